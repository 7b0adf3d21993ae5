//! The unit of work: small, self-contained, and named by its content.

mod scenes;
mod work;

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    scenes::{EvalPart, EvalScenes, PredictScenes, ScenePart, VectorizeScenes},
    work::{
        Analyze, Assemble, AssembleInputs, AssemblePart, Bundle, Chip, Eval, Noop, Predict, Probe, Step,
        Survey, Train, Vectorize,
    },
};
use crate::{
    access::Access,
    geometry::{RectPx, WindowPx},
    ids::{Digest, ItemId, RunId, SceneId},
    scene::{FileRef, SceneFiles},
    source::LabelSpec,
};

/// A kind of work. The order is the order in which stages come to a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Find the numeric class of a kind of worker, and its speed.
    Probe,
    /// Read the headers of scenes.
    Survey,
    /// Sum the pixels of a scene, for scaling by statistics.
    Analyze,
    /// Cut a stretch of a scene's windows into a shard of training samples.
    Chip,
    /// Fit a network to the shards.
    Train,
    /// Run the network over a rectangle.
    Predict,
    /// Join a scene's predicted rectangles to one file.
    Assemble,
    /// Count a scene's prediction against its labels.
    Eval,
    /// Trace a scene's prediction into polygons.
    Vectorize,
    /// Pack the trained network with all that is needed to predict with it.
    Bundle,
    /// Run a command of the user's own.
    Step,
    /// Do nothing: what `swath bench control` measures the control path with.
    Noop,
}

impl Stage {
    pub const ALL: [Stage; 12] = [
        Stage::Probe,
        Stage::Survey,
        Stage::Analyze,
        Stage::Chip,
        Stage::Train,
        Stage::Predict,
        Stage::Assemble,
        Stage::Eval,
        Stage::Vectorize,
        Stage::Bundle,
        Stage::Step,
        Stage::Noop,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Stage::Probe => "probe",
            Stage::Survey => "survey",
            Stage::Analyze => "analyze",
            Stage::Chip => "chip",
            Stage::Train => "train",
            Stage::Predict => "predict",
            Stage::Assemble => "assemble",
            Stage::Eval => "eval",
            Stage::Vectorize => "vectorize",
            Stage::Bundle => "bundle",
            Stage::Step => "step",
            Stage::Noop => "noop",
        }
    }

    /// Counts the changes of a stage's code that change its output; part of every item's id.
    pub const fn revision(self) -> u32 {
        1
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stage {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Stage::ALL.into_iter().find(|stage| stage.name() == s).ok_or_else(|| {
            let names = Stage::ALL.map(Stage::name).join(", ");
            format!("no stage is called '{s}'; the stages are {names}")
        })
    }
}

/// Where an item stands in its run: one bit of the ledger. Scenes are planned in lots (the scenes
/// of one survey item), so that work begins before the last header is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Place {
    pub stage: Stage,
    pub lot: u32,
    pub index: u32,
}

impl Place {
    pub const fn new(stage: Stage, lot: u32, index: u32) -> Self {
        Self { stage, lot, index }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.stage, self.lot, self.index)
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("'{s}' is not a place: it should look like predict.0.17");
        let mut parts = s.split('.');
        let (Some(stage), Some(lot), Some(index), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            stage: stage.parse()?,
            lot: lot.parse().map_err(|_| wrong())?,
            index: index.parse().map_err(|_| wrong())?,
        })
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

/// One item, as it goes over the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub run: RunId,
    pub place: Place,
    pub id: ItemId,
    /// Failures after which the item is buried.
    pub max_failures: u32,
    /// How buckets are reached, where it is not as the environment says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<Access>,
    pub work: Work,
}

impl Item {
    pub fn new(run: RunId, place: Place, max_failures: u32, work: Work) -> Self {
        let id = work.id();
        Self { run, place, id, max_failures, access: Vec::new(), work }
    }

    #[must_use]
    pub fn with_access(self, access: &[Access]) -> Self {
        Self { access: access.to_vec(), ..self }
    }
}

/// What is to be done: everything that decides the output, and nothing else. Its hash is the
/// item's id, so two runs that want the same thing share one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Work {
    Probe(Probe),
    Survey(Survey),
    Analyze(Analyze),
    Chip(Chip),
    Train(Train),
    Predict(Predict),
    PredictScenes(PredictScenes),
    Assemble(Assemble),
    Eval(Eval),
    EvalScenes(EvalScenes),
    Vectorize(Vectorize),
    VectorizeScenes(VectorizeScenes),
    Bundle(Bundle),
    Step(Step),
    Noop(Noop),
}

impl Work {
    pub const fn stage(&self) -> Stage {
        match self {
            Work::Probe(_) => Stage::Probe,
            Work::Survey(_) => Stage::Survey,
            Work::Analyze(_) => Stage::Analyze,
            Work::Chip(_) => Stage::Chip,
            Work::Train(_) => Stage::Train,
            Work::Predict(_) | Work::PredictScenes(_) => Stage::Predict,
            Work::Assemble(_) => Stage::Assemble,
            Work::Eval(_) | Work::EvalScenes(_) => Stage::Eval,
            Work::Vectorize(_) | Work::VectorizeScenes(_) => Stage::Vectorize,
            Work::Bundle(_) => Stage::Bundle,
            Work::Step(_) => Stage::Step,
            Work::Noop(_) => Stage::Noop,
        }
    }

    pub fn id(&self) -> ItemId {
        // Struct fields serialise in the order of their declaration, so this is canonical.
        let wire = serde_json::to_vec(self).expect("work has only string keys");
        let mut hash = <sha2::Sha256 as sha2::Digest>::new();
        sha2::Digest::update(&mut hash, format!("{}:{}\n", self.stage(), self.stage().revision()));
        sha2::Digest::update(&mut hash, wire);
        ItemId::from_sha256(hash)
    }

    /// The scene that a failure is to be booked on, where there is just one.
    pub fn scene(&self) -> Option<&SceneId> {
        match self {
            Work::Probe(_) | Work::Train(_) | Work::Bundle(_) | Work::Noop(_) => None,
            Work::Analyze(analyze) => Some(&analyze.scene.id),
            Work::Step(step) => step.scene.as_ref(),
            Work::Chip(chip) => Some(&chip.scene.id),
            Work::Vectorize(vectorize) => Some(&vectorize.scene.id),
            Work::Survey(survey) => match survey.scenes.as_slice() {
                [one] => Some(&one.id),
                _ => None,
            },
            Work::Predict(predict) => Some(&predict.scene.id),
            Work::PredictScenes(PredictScenes { scenes, .. })
            | Work::VectorizeScenes(VectorizeScenes { scenes, .. }) => match scenes.as_slice() {
                [one] => Some(&one.scene.id),
                _ => None,
            },
            Work::EvalScenes(eval) => match eval.scenes.as_slice() {
                [one] => Some(&one.scene.id),
                _ => None,
            },
            Work::Assemble(assemble) => Some(&assemble.scene),
            Work::Eval(eval) => Some(&eval.scene.id),
        }
    }

    /// What is read of it outside the root.
    pub fn files(&self) -> Vec<FileRef> {
        let with = |mut files: Vec<FileRef>, labels: &LabelSpec| {
            files.push(labels.file().clone());
            files
        };
        match self {
            Work::Survey(survey) => survey.scenes.iter().flat_map(SceneFiles::files).collect(),
            Work::Analyze(analyze) => analyze.scene.source.files.clone(),
            Work::Chip(chip) => with(chip.scene.files(), &chip.labels),
            Work::Predict(predict) => predict.scene.files(),
            Work::Eval(eval) => {
                with(eval.scene.aoi.iter().flat_map(|aoi| &aoi.files).cloned().collect(), &eval.labels)
            }
            Work::PredictScenes(work) => work.scenes.iter().flat_map(|part| part.scene.files()).collect(),
            Work::EvalScenes(work) => {
                let of_aoi = work.scenes.iter().flat_map(|part| &part.scene.aoi).flat_map(|aoi| &aoi.files);
                of_aoi.chain(work.scenes.iter().map(|part| part.labels.file())).cloned().collect()
            }
            Work::Probe(_)
            | Work::Train(_)
            | Work::Assemble(_)
            | Work::Vectorize(_)
            | Work::VectorizeScenes(_)
            | Work::Bundle(_)
            | Work::Step(_)
            | Work::Noop(_) => Vec::new(),
        }
    }

    pub fn rect(&self) -> Option<RectPx> {
        match self {
            Work::Analyze(analyze) => Some(analyze.rect),
            Work::Predict(predict) => Some(predict.rect),
            Work::Step(step) => step.rect,
            _ => None,
        }
    }
}

/// Which network, and its exact bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    pub architecture: Architecture,
    pub weights: Weights,
    pub bands: u32,
    pub classes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Two small convolutions: for trying things out, and for tests.
    Tiny,
    /// U-Net on a ResNet encoder, with torchvision's layer names under `encoder.`.
    UnetResnet18,
    UnetResnet34,
    UnetResnet50,
    /// torchvision's DeepLabV3, with its layer names.
    Deeplabv3Resnet50,
    Deeplabv3Resnet101,
    /// A TorchScript module; its file says what it computes.
    Torchscript,
}

impl Architecture {
    /// Edges of windows and chips are multiples of this.
    pub const fn edge_multiple_px(self) -> u32 {
        match self {
            Self::UnetResnet18 | Self::UnetResnet34 | Self::UnetResnet50 => 32,
            Self::Tiny | Self::Deeplabv3Resnet50 | Self::Deeplabv3Resnet101 | Self::Torchscript => 1,
        }
    }

    /// The encoder, as torchvision calls it.
    pub const fn backbone(self) -> Option<&'static str> {
        match self {
            Self::UnetResnet18 => Some("resnet18"),
            Self::UnetResnet34 => Some("resnet34"),
            Self::UnetResnet50 | Self::Deeplabv3Resnet50 => Some("resnet50"),
            Self::Deeplabv3Resnet101 => Some("resnet101"),
            Self::Tiny | Self::Torchscript => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Weights {
    /// Weights drawn from a seed: the same on every machine.
    Seed(u64),
    /// A file under the root, named by its content: `models/<sha-256>.<extension>`.
    File { sha256: Digest, extension: String },
    /// What the run trains. Becomes a file once it is there; no item names it.
    Trained,
}

/// How windows are laid over a scene: a core, whose pixels are kept, in a margin of context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowShape {
    pub core_px: u32,
    pub margin_px: u32,
}

impl WindowShape {
    /// The edge of what the network sees.
    pub const fn edge_px(self) -> u32 {
        self.core_px + 2 * self.margin_px
    }

    /// What a rectangle's windows see: whole windows, and their margins.
    pub const fn reach(self, rect: RectPx) -> WindowPx {
        WindowPx::new(
            rect.col as i64 - self.margin_px as i64,
            rect.row as i64 - self.margin_px as i64,
            rect.width.next_multiple_of(self.core_px) + 2 * self.margin_px,
            rect.height.next_multiple_of(self.core_px) + 2 * self.margin_px,
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassStyle {
    pub name: String,
    pub rgb: [u8; 3],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_what_it_prints() {
        let place = Place::new(Stage::Predict, 3, 17);
        assert_eq!(place.to_string(), "predict.3.17");
        assert_eq!("predict.3.17".parse(), Ok(place));
        for bad in ["predict.3", "predict.3.17.1", "bake.0.0", "predict.x.1", "predict.0.-1", ""] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_id_follows_the_content() {
        let one = Work::Noop(Noop { nonce: 1 });
        assert_eq!(one.id(), Work::Noop(Noop { nonce: 1 }).id());
        assert_ne!(one.id(), Work::Noop(Noop { nonce: 2 }).id());
    }
}
