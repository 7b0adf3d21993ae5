//! The unit of work: small, self-contained, and named by its content.

mod architecture;
mod coding;
mod mixing;
mod model;
mod place;
mod scenes;
mod work;

use serde::{Deserialize, Serialize};

pub use self::{
    architecture::{Architecture, Decoder, Depth, Made},
    coding::Compression,
    mixing::{Blend, Mixing, Views},
    model::{DeviceName, EngineName, Member, ModelRef, Precision, Weights, WindowShape},
    place::{Place, Stage},
    scenes::{EvalPart, EvalScenes, PredictScenes, ScenePart, VectorizeScenes},
    work::{
        Analyze, Assemble, AssembleInputs, AssemblePart, Bundle, Calibrate, Chip, Eval, Merge, Noop, Predict,
        Probe, Step, Survey, Train, Vectorize,
    },
};
use crate::{
    access::Access,
    geometry::RectPx,
    ids::{ItemId, RunId, SceneId},
    scene::{FileRef, SceneFiles},
    source::LabelSpec,
};

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
    Merge(Merge),
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
            Work::Merge(_) => Stage::Merge,
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
            Work::Probe(_) | Work::Train(_) | Work::Merge(_) | Work::Bundle(_) | Work::Noop(_) => None,
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
            | Work::Merge(_)
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
    fn the_id_follows_the_content() {
        let one = Work::Noop(Noop { nonce: 1 });
        assert_eq!(one.id(), Work::Noop(Noop { nonce: 1 }).id());
        assert_ne!(one.id(), Work::Noop(Noop { nonce: 2 }).id());
    }
}
