//! What is to be known of a model to predict with it as it was trained.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use swath_geo::evaluation::Metrics;
use swath_proto::{
    item::{Architecture, ClassStyle, WindowShape},
    source::{Nodata, Scaling, SourceSpec},
};

use crate::error::{Problem, Result, shown};

const MAX_BANDS: u32 = 4096;
/// 255 is no class in rasters of labels.
const MAX_CLASSES: usize = 255;
const MAX_CLASS_NAME_LEN: usize = 200;
const MAX_CORE_PX: u32 = 8192;
const MAX_BATCH: u32 = 256;
/// Of a network, from layer to layer.
const MAX_VALUES: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub architecture: Architecture,
    /// What the network takes, after scaling.
    pub bands: u32,
    /// In the order of the network's outputs.
    pub classes: Vec<ClassStyle>,
    pub null_class: u32,
    pub window: WindowShape,
    /// The edge to which windows are resized for the network; none where it sees them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_px: Option<u32>,
    pub batch: u32,
    /// How an image is read, and what is done with its pixels before the network sees them. Names no files.
    pub pixels: SourceSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Summary>,
    /// Where 8 bits were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<Int8>,
}

/// The network in 8 bits beside itself in 32, on chips for validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Int8 {
    pub chips: u64,
    /// Of each class, in their order.
    pub f1_fp32: Vec<Option<f64>>,
    pub f1_int8: Vec<Option<f64>>,
    /// Between which the network's values lie, in the order in which they are computed. Missing where 8 bits were not
    /// good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<(f32, f32)>>,
}

/// How well it did, where that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    pub average: Metrics,
    /// In the order of the classes.
    pub classes: Vec<Metrics>,
}

impl Summary {
    /// Of all scenes together, as `eval.json` has it.
    pub fn of_eval(json: &[u8]) -> serde_json::Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Eval {
            overall: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            metrics: Metrics,
        }
        let Eval { overall } = serde_json::from_slice(json)?;
        let mut classes: Vec<Metrics> = overall.iter().map(|entry| entry.metrics).collect();
        // Their average stands behind them.
        Ok(classes.pop().map(|average| Self { average, classes }))
    }
}

impl Model {
    pub(crate) fn check(&self) -> Result<()> {
        let Self { architecture, bands, classes, null_class, window, seen_px, batch, pixels, metrics, int8 } =
            self;
        let WindowShape { core_px, margin_px } = window;
        let bad = |text: String| Err(Problem::Model(text));
        if architecture.is_program() {
            return bad(
                "architecture: a TorchScript or ONNX model is a file of its own, and has no bundle".into()
            );
        }
        if !(1..=MAX_BANDS).contains(bands) {
            return bad(format!("bands = {bands}: must be 1 to {MAX_BANDS}"));
        }
        if !(1..=MAX_CLASSES).contains(&classes.len()) {
            return bad(format!("{} classes: must be 1 to {MAX_CLASSES}", classes.len()));
        }
        let mut names = HashSet::new();
        for ClassStyle { name, .. } in classes {
            if name.is_empty() || name.len() > MAX_CLASS_NAME_LEN {
                return bad(format!("class '{}': must have 1 to {MAX_CLASS_NAME_LEN} bytes", shown(name)));
            }
            if !names.insert(name) {
                return bad(format!("class '{}' is there twice", shown(name)));
            }
        }
        if *null_class as usize >= classes.len() {
            return bad(format!("null_class = {null_class}: must be one of {} classes", classes.len()));
        }
        if !(1..=MAX_CORE_PX).contains(core_px) {
            return bad(format!("core_px = {core_px}: must be 1 to {MAX_CORE_PX}"));
        }
        if margin_px > core_px {
            return bad(format!("margin_px = {margin_px}: must not be larger than core_px ({core_px})"));
        }
        if let Some(seen_px) = seen_px
            && !(1..=MAX_CORE_PX).contains(seen_px)
        {
            return bad(format!("seen_px = {seen_px}: must be 1 to {MAX_CORE_PX}"));
        }
        if !(1..=MAX_BATCH).contains(batch) {
            return bad(format!("batch = {batch}: must be 1 to {MAX_BATCH}"));
        }
        check_pixels(pixels, *bands)?;
        if let Some(int8) = int8 {
            int8.check(classes.len())?;
        }
        match metrics {
            Some(metrics) => metrics.check(classes.len()),
            None => Ok(()),
        }
    }
}

impl Int8 {
    fn check(&self, n_classes: usize) -> Result<()> {
        let bad = |text: String| Err(Problem::Model(format!("int8.{text}")));
        for (what, f1) in [("f1_fp32", &self.f1_fp32), ("f1_int8", &self.f1_int8)] {
            if f1.len() != n_classes {
                return bad(format!(
                    "{what}: there must be one for each of {n_classes} classes, and there are {}",
                    f1.len()
                ));
            }
            if let Some(value) = f1.iter().flatten().find(|value| !(0.0..=1.0).contains(*value)) {
                return bad(format!("{what}: {value} must be 0 to 1"));
            }
        }
        let ranges = self.ranges.as_deref().unwrap_or_default();
        if ranges.len() > MAX_VALUES {
            return bad(format!("ranges: there are {}, and {MAX_VALUES} at most", ranges.len()));
        }
        let is_range = |(low, high): &(f32, f32)| low.is_finite() && high.is_finite() && low <= high;
        match ranges.iter().position(|range| !is_range(range)) {
            Some(at) => bad(format!("ranges: number {at} is none")),
            None => Ok(()),
        }
    }
}

fn check_pixels(pixels: &SourceSpec, bands: u32) -> Result<()> {
    let bad = |text: String| Err(Problem::Model(format!("pixels.{text}")));
    if !pixels.files.is_empty() {
        return bad("files: a bundle names none".into());
    }
    let n_bands = bands as usize;
    let of_each = |what: &str, n: usize| match n == n_bands {
        true => Ok(()),
        false => bad(format!("{what}: there must be one for each of {bands} bands, and there are {n}")),
    };
    if !pixels.bands.is_empty() {
        of_each("bands", pixels.bands.len())?;
    }
    if let Some(Nodata::OfEach(values)) = &pixels.nodata
        && !values.is_empty()
    {
        of_each("nodata", values.len())?;
    }
    match &pixels.scaling {
        Scaling::Cast | Scaling::None => Ok(()),
        Scaling::MinMax { min, max } => {
            of_each("scaling.min", min.len())?;
            of_each("scaling.max", max.len())
        }
        Scaling::Stats { means, stds } | Scaling::WideStats { means, stds } => {
            of_each("scaling.means", means.len())?;
            of_each("scaling.stds", stds.len())
        }
    }
}

impl Summary {
    fn check(&self, n_classes: usize) -> Result<()> {
        if self.classes.len() != n_classes {
            let text = format!("metrics of {} classes, but there are {n_classes}", self.classes.len());
            return Err(Problem::Model(text));
        }
        for metrics in self.classes.iter().chain([&self.average]) {
            let Metrics { recall, precision, f1, sensitivity, specificity, iou } = metrics;
            let all = [recall, precision, f1, sensitivity, specificity, iou];
            // An average of ones may come out the last bit larger.
            let is_share = |value: &f64| (0.0..=1.0 + 1e-9).contains(value);
            if let Some(value) = all.into_iter().flatten().find(|value| !is_share(value)) {
                return Err(Problem::Model(format!("a metric of {value}: must be 0 to 1")));
            }
        }
        Ok(())
    }
}
