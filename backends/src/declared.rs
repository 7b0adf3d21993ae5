//! How a metric is declared: once, with its type, its labels and what it means. What is declared is what is registered,
//! and what `docs/metrics.md` is held against.

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    Opts, TextEncoder, core::Collector,
};

/// The format that [`render`] writes.
pub const TEXT_FORMAT: &str = prometheus::TEXT_FORMAT;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Items and scenes are no labels: there are too many of them. Nor is what Prometheus calls targets by: worker, host, kind,
/// zone, instance, job.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    pub name: &'static str,
    pub is: Type,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const PLAIN: &str = "a metric that is declared with labels is made with them";

impl Declared {
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, is: Type::Counter, labels, help }
    }

    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, is: Type::Gauge, labels, help }
    }

    pub const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, is: Type::Histogram, labels, help }
    }

    fn opts(self, is: Type) -> Opts {
        assert_eq!(self.is, is, "{} is declared otherwise", self.name);
        Opts::new(self.name, self.help)
    }

    /// Counts whole things. Like all of these, it is registered, and so made once a process.
    pub fn to_int_counter(self) -> IntCounter {
        assert!(self.labels.is_empty(), "{}: {PLAIN}", self.name);
        registered(IntCounter::with_opts(self.opts(Type::Counter)))
    }

    pub fn to_int_counters(self) -> IntCounterVec {
        registered(IntCounterVec::new(self.opts(Type::Counter), self.labels))
    }

    /// Counts seconds and money.
    pub fn to_counter(self) -> Counter {
        assert!(self.labels.is_empty(), "{}: {PLAIN}", self.name);
        registered(Counter::with_opts(self.opts(Type::Counter)))
    }

    pub fn to_counters(self) -> CounterVec {
        registered(CounterVec::new(self.opts(Type::Counter), self.labels))
    }

    pub fn to_gauge(self) -> Gauge {
        assert!(self.labels.is_empty(), "{}: {PLAIN}", self.name);
        registered(Gauge::with_opts(self.opts(Type::Gauge)))
    }

    pub fn to_gauges(self) -> GaugeVec {
        registered(GaugeVec::new(self.opts(Type::Gauge), self.labels))
    }

    pub fn to_histogram(self, buckets: &[f64]) -> Histogram {
        assert!(self.labels.is_empty(), "{}: {PLAIN}", self.name);
        let opts = HistogramOpts::from(self.opts(Type::Histogram)).buckets(buckets.to_vec());
        registered(Histogram::with_opts(opts))
    }

    pub fn to_histograms(self, buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::from(self.opts(Type::Histogram)).buckets(buckets.to_vec());
        registered(HistogramVec::new(opts, self.labels))
    }
}

fn registered<M: Collector + Clone + 'static>(made: prometheus::Result<M>) -> M {
    let metric = made.expect("a name and labels that Prometheus takes");
    prometheus::register(Box::new(metric.clone())).expect("each metric is declared once");
    metric
}

/// All that this process has to say, as Prometheus reads it.
pub fn render() -> String {
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&prometheus::gather(), &mut text) {
        tracing::error!(%error, "some metrics can't be written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_rendered_with_its_type_and_meaning() {
        const DECLARED: Declared = Declared::counter("swath_test_eggs_total", &["colour"], "Eggs.");
        let eggs = DECLARED.to_int_counters();
        eggs.with_label_values(&["red"]).inc_by(3);
        let text = render();
        for line in [
            "# HELP swath_test_eggs_total Eggs.\n",
            "# TYPE swath_test_eggs_total counter\n",
            "swath_test_eggs_total{colour=\"red\"} 3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
