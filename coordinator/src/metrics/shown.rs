//! What is known of runs and workers, as Prometheus takes it: made when it is asked for.

use std::collections::{BTreeMap, HashMap};

use prometheus::{
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use swath_backends::declared::{Declared, Type};

use super::{SHOWN, runs, workers};

/// Its labels in the order in which they are declared.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) of: &'static str,
    pub(crate) labels: Vec<String>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn new(of: &Declared, labels: &[&str], value: f64) -> Self {
        debug_assert_eq!(of.labels.len(), labels.len(), "{}", of.name);
        Self { of: of.name, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
    }
}

struct Shown(Vec<Desc>);

pub(super) fn begin() {
    let desc = |of: &Declared| {
        let labels: Vec<String> = of.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(of.name.into(), of.help.into(), labels, HashMap::new())
    };
    let descs = SHOWN.iter().map(|of| desc(of).expect("a name and labels that Prometheus takes"));
    let shown = Shown(descs.collect());
    prometheus::register(Box::new(shown)).expect("each metric is declared once");
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.0.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut samples = runs::samples();
        samples.extend(workers::samples());
        families(samples)
    }
}

fn families(samples: Vec<Sample>) -> Vec<MetricFamily> {
    let mut by_name: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        by_name.entry(sample.of).or_default().push(sample);
    }
    SHOWN.iter().filter_map(|of| Some(family(of, by_name.remove(of.name)?))).collect()
}

fn family(of: &Declared, samples: Vec<Sample>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(of.name.into());
    family.set_help(of.help.into());
    family.set_field_type(match of.is {
        Type::Counter => MetricType::COUNTER,
        Type::Gauge | Type::Histogram => MetricType::GAUGE,
    });
    family.set_metric(samples.into_iter().map(|sample| metric(of, sample)).collect());
    family
}

fn metric(of: &Declared, sample: Sample) -> Metric {
    let pair = |(name, value): (&&str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value(value);
        pair
    };
    let mut metric = Metric::from_label(of.labels.iter().zip(sample.labels).map(pair).collect());
    if of.is == Type::Counter {
        let mut counter = Counter::default();
        counter.set_value(sample.value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(sample.value);
        metric.set_gauge(gauge);
    }
    metric
}
