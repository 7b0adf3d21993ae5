//! The file a person writes: TOML, in which an unknown key or a wrong value is told of with its
//! place and the nearest right one, all of them at once.
//!
//! A section is a file, with its keys, its defaults and what must hold between its values. From the
//! types comes a JSON [`schema()`], against which `shape` holds what `tree` has read and [`layers`]
//! has put together. [`crate::run::RunRecord`] is what it all becomes.

mod access;
mod arguments;
mod bundle;
mod check;
mod chips;
mod classes;
mod data;
mod labels;
pub mod layers;
mod model;
mod predict;
mod problem;
mod run;
mod scenes;
mod schema;
mod shape;
mod stages;
mod step;
mod steps;
mod train;
mod tree;
mod trial;
mod variants;
mod vectorize;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::check::Check;
pub(crate) use self::problem::nearest;
pub use self::{
    arguments::ArgumentEntry,
    bundle::{BundleEntry, Checkpoint},
    chips::{ChipWindows, ChipsEntry, SizeEntry, WindowKind},
    classes::ClassEntry,
    data::{
        DataEntry, MaskUse, NanUse, NanWord, Nodata, NodataWord, Reclass, Scale, ScaleRange, ScaleStatistics,
        ScaleWord, ValueOrRange,
    },
    labels::{BufferPx, LabelFilter, LabelKind, LabelsEntry, Match, Word},
    model::{MAX_BUNDLES, ModelEntry, is_bundle},
    predict::{PrecisionWord, PredictEntry},
    problem::{BadPipeline, Origin, Path, Problem},
    run::RunEntry,
    scenes::{Group, SceneEntry},
    schema::schema,
    step::{Loss, LossSum, LossWord, TrainPrecision},
    steps::{StepEntry, StepFor},
    train::{
        AugmentEntry, AugmentStrength, AugmentWord, Backbone, BatchNorm, CheckpointEntry, ClassWeightWord,
        ClassWeights, Optimizer, Oversample, OversampleWord, Schedule, Start, SubsetEntry, TrainEntry,
    },
    trial::{TestEntry, TestScenes},
    variants::fits,
    vectorize::{VectorFormat, VectorizeEntry},
};
use crate::{access::Access, ids::RunId, item::Stage};

/// A pipeline: which scenes, which network, and what is to be done with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Names the run, together with a hash of all that decides it.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"))]
    pub name: String,
    /// What is to be done, in any order.
    #[serde(default = "stages::default")]
    #[schemars(with = "Vec<stages::StageWord>", length(min = 1), extend("uniqueItems" = true))]
    pub stages: Vec<Stage>,
    /// The images, and their labels.
    #[schemars(length(min = 1))]
    pub scenes: Vec<SceneEntry>,
    /// What a pixel can be.
    #[schemars(length(min = 2, max = 255))]
    pub classes: Vec<ClassEntry>,
    pub model: ModelEntry,
    #[serde(default)]
    pub data: DataEntry,
    #[serde(default)]
    pub labels: LabelsEntry,
    #[serde(default)]
    pub chips: ChipsEntry,
    #[serde(default)]
    pub train: TrainEntry,
    #[serde(default)]
    pub predict: PredictEntry,
    #[serde(default)]
    pub vectorize: VectorizeEntry,
    #[serde(default)]
    pub bundle: BundleEntry,
    /// Commands of your own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepEntry>,
    /// How buckets are reached, where it is not as the environment says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<Access>,
    #[serde(default)]
    pub run: RunEntry,
    #[serde(default)]
    pub test: TestEntry,
    /// What a command gives with -a NAME VALUE; {NAME} stands for it in every text. Settled before a pipeline is
    /// checked: none is left in what is kept of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, ArgumentEntry>,
    /// Other runs of the same file, by name, each with some keys of its own. Settled likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub variants: BTreeMap<String, toml::Table>,
}

/// A word, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A number for all bands, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NumberOrMany {
    One(f64),
    Many(Vec<f64>),
}

impl NumberOrMany {
    pub fn of(&self, band: usize) -> Option<f64> {
        match self {
            Self::One(one) => Some(*one),
            Self::Many(many) => many.get(band).copied(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &f64> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
    }
}

impl Pipeline {
    /// Reads and checks a file's text alone. Never panics, whatever the text: this is what is fuzzed.
    pub fn parse(text: &str) -> Result<Self, BadPipeline> {
        Ok(layers::Layers::of_file("pipeline", text).read()?.pipeline)
    }

    fn check(&self, check: &mut Check<'_>) {
        let trains = self.stages.contains(&Stage::Train);
        if let Err(error) = self.name.parse::<RunId>() {
            check.wrong("name", error.to_string());
        } else {
            check.need(self.name.len() <= 60, "name", || {
                "must be at most 60 characters, since the run's hash is added to it".into()
            });
        }
        classes::check_all(&self.classes, check);
        stages::check_all(self, check);
        scenes::check_all(&self.scenes, check);
        let has_bundles = !self.model.bundles().is_empty();
        let predicts = self.stages.iter().any(|stage| matches!(stage, Stage::Predict | Stage::Bundle));
        self.model.check(trains, predicts, check);
        self.data.check(self.model.bands, self.stages.contains(&Stage::Analyze), check);
        self.labels.check(&self.classes, check);
        self.chips.check(&self.classes, check);
        self.train.check(&self.classes, self.model.bands, check);
        let is_judged_by = |scene: &SceneEntry| match scene.group {
            None => scene.labels.is_some(),
            Some(group) => group == Group::Validation,
        };
        let validates = self.scenes.iter().any(is_judged_by);
        let has_judges = validates || self.train.overfits();
        if check.sound(&["scenes"]) {
            check.need(has_judges || self.train.patience.is_none(), "train.patience", || {
                "nothing is validated, so that nothing could rise: give scenes of the group validation".into()
            });
        }
        self.predict.check(self.model.architecture, &self.classes, check);
        if self.predict.precision == Some(PrecisionWord::Int8)
            && check.sound(&["predict.precision", "stages", "scenes"])
        {
            check.need(has_bundles || (trains && validates), "predict.precision", || {
                "int8 is measured on chips: it takes the stage train, and scenes of the group validation to judge by; or \
                 weights of a bundle in which it was"
                    .into()
            });
        }
        if has_bundles && check.sound(&["data", "stages", "model.weights"]) {
            check.need(self.data == DataEntry::default(), "data", || {
                "the bundle says how pixels are read: leave it out".into()
            });
            check.need(!self.stages.contains(&Stage::Analyze), "stages", || {
                "a bundle says how pixels are scaled: leave analyze out".into()
            });
            check.need(!self.stages.contains(&Stage::Bundle), "stages", || {
                "the weights are a bundle already: leave bundle out".into()
            });
        }
        self.vectorize.check(&self.classes, check);
        access::check_all(&self.access, check);
        self.test.check(check);
        steps::check_all(&self.steps, &self.stages, &self.predict, check);
    }
}
