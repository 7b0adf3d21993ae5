//! What is to be known of a model to predict with it as it was trained.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use swath_geo::evaluation::{Metrics, Scores};
use swath_proto::item::{Architecture, ClassStyle, WindowShape};

use crate::error::{Problem, Result, shown};

const MAX_BANDS: u32 = 4096;
/// 255 is no class in rasters of labels.
const MAX_CLASSES: usize = 255;
const MAX_CLASS_NAME_LEN: usize = 200;
const MAX_CORE_PX: u32 = 8192;
const MAX_BATCH: u32 = 256;

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
    pub batch: u32,
    /// What is done with an image before the network sees it, in the words of the pipeline file. An object.
    pub scaling: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Summary>,
}

/// How well it did, where that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    pub average: Metrics,
    /// In the order of the classes.
    pub classes: Vec<Metrics>,
}

impl From<&Scores> for Summary {
    fn from(scores: &Scores) -> Self {
        let classes = scores.classes.iter().map(|class| class.metrics).collect();
        Self { average: scores.average.metrics, classes }
    }
}

impl Model {
    pub(crate) fn check(&self) -> Result<()> {
        let Self { architecture, bands, classes, null_class, window, batch, scaling, metrics } = self;
        let WindowShape { core_px, margin_px } = window;
        let bad = |text: String| Err(Problem::Model(text));
        if *architecture == Architecture::Torchscript {
            return bad("architecture: a TorchScript module is a file of its own, and has no bundle".into());
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
        if !(1..=MAX_BATCH).contains(batch) {
            return bad(format!("batch = {batch}: must be 1 to {MAX_BATCH}"));
        }
        if !scaling.is_object() {
            return bad("scaling: must be an object".into());
        }
        match metrics {
            Some(metrics) => metrics.check(classes.len()),
            None => Ok(()),
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
