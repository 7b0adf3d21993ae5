//! `run.json`: what is frozen when a run begins. The order of bits in the ledger is a function of
//! this document and of what the surveys found, and of nothing else.

use serde::{Deserialize, Serialize};

use crate::{
    access::Access,
    ids::{Digest, RunId},
    item::{ClassStyle, Compression, DeviceName, Mixing, ModelRef, Stage, Weights, WindowShape},
    learn::{LearnPlan, LearnScene},
    numeric::{Int8, NumericClass},
    scene::{SceneFiles, SceneHeader},
    source::{ClassList, Scaling, SourceSpec},
    steps::StepPlan,
    train::Start,
    vectors::VectorPlan,
};

/// GDAL's name of 8 bits without sign.
const BYTE: &str = "Byte";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    pub run: RunId,
    /// RFC 3339.
    pub created: String,
    /// Version of the program that froze the run.
    pub program: String,
    /// SHA-256 of `pipeline.toml` beside this file.
    pub pipeline: Digest,
    pub stages: Vec<Stage>,
    pub scenes: Vec<SceneFiles>,
    /// Scenes a survey item.
    pub lot_scenes: u32,
    pub classes: Vec<ClassStyle>,
    pub null_class: u32,
    pub predict: PredictPlan,
    /// How pixels become what the network sees.
    pub scale: ScalePlan,
    /// Pinned once the stage analyze is over; empty where nothing had to be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<ScaleStatistics>,
    /// What a network is trained on before, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn: Option<LearnPlan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<VectorPlan>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepPlan>,
    /// How buckets are reached, where it is not as the environment says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<Access>,
    /// Failures after which an item is buried.
    pub max_failures: u32,
    /// No-op items, for `swath bench control`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub noops: u32,
    /// Shuffles the order in which items are published; the output must not care.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<u64>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalePlan {
    /// As the scenes' sources say.
    Given,
    /// 8-bit scenes are cast, all others are scaled by the run's statistics.
    Auto,
    /// All scenes by the run's statistics.
    Statistics,
}

/// One of each for every band, over all scenes that were measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleStatistics {
    pub means: Vec<f64>,
    pub stds: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictPlan {
    pub model: ModelRef,
    pub window: WindowShape,
    pub batch: u32,
    pub block_px: u32,
    #[serde(default, skip_serializing_if = "Compression::is_default")]
    pub compression: Compression,
    /// What stands in maps for pixels that do not count; the null class where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
    pub scores: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confidence: bool,
    #[serde(default, skip_serializing_if = "Mixing::is_plain")]
    pub mixing: Mixing,
    /// Edge of an item; chosen from the measured speed where the pipeline names none.
    pub item_px: Option<u32>,
    /// Windows of small scenes that share an item. Pinned with the class; a run that began without shares
    /// nothing, since its places are counted so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_windows: Option<u64>,
    /// Pinned once the probe has found it.
    pub class: Option<NumericClass>,
    /// The probe is to see whether 8 bits will do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wants_int8: bool,
    /// What it has seen: pinned with the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<Int8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

const NEWEST: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum Versioned {
    #[serde(rename = "1")]
    V1(RunRecord),
}

/// Says what to do about a record of a program that came after this one.
fn newer(bytes: &[u8]) -> Option<serde_json::Error> {
    #[derive(Deserialize)]
    struct Tag {
        version: String,
    }
    let Tag { version } = serde_json::from_slice(bytes).ok()?;
    let number: u32 = version.parse().ok().filter(|number| *number > NEWEST)?;
    let words = format!("it is of version {number}, and this program knows {NEWEST} at most: update it");
    Some(serde::de::Error::custom(words))
}

impl RunRecord {
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(&Versioned::V1(self.clone())).expect("string keys");
        json.push(b'\n');
        json
    }

    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let Versioned::V1(record) =
            serde_json::from_slice(bytes).map_err(|error| newer(bytes).unwrap_or(error))?;
        // Work is divided by them.
        let shard = record.learn.as_ref().map(|learn| learn.windows_per_shard);
        for (what, number) in [("lot_scenes", Some(record.lot_scenes)), ("windows_per_shard", shard)] {
            if number == Some(0) {
                return Err(serde::de::Error::custom(format!("{what} must not be 0")));
            }
        }
        if let Some((key, why)) = record.access.iter().find_map(Access::problem) {
            return Err(serde::de::Error::custom(format!("access: {key} {why}")));
        }
        Ok(record)
    }

    /// Scenes of one lot. Lots to learn from come first; a scene that is both learnt from and predicted
    /// is in two.
    pub fn lot(&self, lot: u32) -> Vec<SceneFiles> {
        let learnt = self.learnt().iter().map(|scene| &scene.files);
        match lot.checked_sub(self.learn_lots()) {
            None => self.part(lot, learnt),
            Some(lot) => self.part(lot, self.scenes.iter()),
        }
    }

    fn part<'a>(&self, lot: u32, scenes: impl Iterator<Item = &'a SceneFiles>) -> Vec<SceneFiles> {
        let lot_scenes = self.lot_scenes as usize;
        scenes.skip(lot as usize * lot_scenes).take(lot_scenes).cloned().collect()
    }

    /// The scenes that chips are cut from, where this run cuts any.
    pub fn learnt(&self) -> &[LearnScene] {
        self.learn.as_ref().filter(|_| self.has(Stage::Chip)).map_or(&[], |learn| &learn.scenes)
    }

    /// A scene of a lot to learn from.
    pub fn learn_scene(&self, lot: u32, ordinal: u32) -> Option<&LearnScene> {
        self.learnt().get(lot as usize * self.lot_scenes as usize + ordinal as usize)
    }

    pub fn learn_lots(&self) -> u32 {
        (self.learnt().len() as u32).div_ceil(self.lot_scenes)
    }

    pub fn lots(&self) -> u32 {
        self.learn_lots() + (self.scenes.len() as u32).div_ceil(self.lot_scenes)
    }

    pub fn class_list(&self) -> ClassList {
        let names = self.classes.iter().map(|class| class.name.clone()).collect();
        // There are 255 classes at most.
        ClassList { names, null_class: u8::try_from(self.null_class).unwrap_or(u8::MAX) }
    }

    /// Whether a scene's scaling takes statistics of pixels.
    pub fn needs_statistics(&self, header: &SceneHeader) -> bool {
        match self.scale {
            ScalePlan::Given => false,
            ScalePlan::Auto => header.data_type != BYTE,
            ScalePlan::Statistics => true,
        }
    }

    /// Whether it is known how every scene is scaled.
    pub fn has_scaling(&self) -> bool {
        self.scale == ScalePlan::Given || !self.has(Stage::Analyze) || self.statistics.is_some()
    }

    /// The scene with its scaling; none before that is known.
    pub fn scaled(&self, header: &SceneHeader) -> Option<SceneHeader> {
        let mut header = header.clone();
        if self.needs_statistics(&header) {
            let ScaleStatistics { means, stds } = self.statistics.clone()?;
            header.source.scaling = Scaling::Stats { means, stds };
        }
        Some(header)
    }

    /// How pixels are read where nothing is known but the run: what a bundle says.
    pub fn reading(&self, source: &SourceSpec) -> SourceSpec {
        let mut reading = SourceSpec { files: Vec::new(), ..source.clone() };
        let measured = self.statistics.clone().filter(|statistics| !statistics.means.is_empty());
        if self.scale != ScalePlan::Given
            && let Some(ScaleStatistics { means, stds }) = measured
        {
            reading.scaling = Scaling::Stats { means, stds };
        }
        reading
    }

    /// Whether the network is there: it may have to be trained first.
    pub fn has_weights(&self) -> bool {
        self.predict.model.weights != Weights::Trained
    }

    /// Whether its training may begin before all chips are cut.
    pub fn trains_with_chips(&self) -> bool {
        self.learn.as_ref().is_some_and(|learn| learn.train.start == Start::WithChips)
    }

    /// Whether some of its items need a worker with a card.
    pub fn needs_cards(&self) -> bool {
        self.has(Stage::Predict) && self.predict.model.device == DeviceName::Cuda
    }

    pub fn has(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }
}
