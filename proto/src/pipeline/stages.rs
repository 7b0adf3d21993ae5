//! `stages`: what is to be done.

use schemars::JsonSchema;

use super::{Path, Pipeline, check::Check};
use crate::item::Stage;

/// The stages that a pipeline can name; what others there are is none of its business.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum StageWord {
    /// Read the headers of scenes.
    Survey,
    /// Measure the values of bands, for `data.scale`.
    Analyze,
    /// Cut training samples.
    Chip,
    /// Teach the network.
    Train,
    /// Run the network over the scenes.
    Predict,
    /// Join what was predicted to one file a scene.
    Assemble,
    /// Count predictions against labels.
    Eval,
    /// Make polygons of predictions.
    Vectorize,
    /// Make polygons of all predictions together, so that they go on across the borders of scenes.
    Merge,
    /// Pack the model with all that is needed to predict with it.
    Bundle,
}

pub(super) fn default() -> Vec<Stage> {
    vec![Stage::Survey, Stage::Predict, Stage::Assemble, Stage::Eval]
}

/// Which stage needs what another makes.
const NEEDS: [(Stage, Stage); 8] = [
    (Stage::Analyze, Stage::Survey),
    (Stage::Chip, Stage::Survey),
    (Stage::Train, Stage::Chip),
    (Stage::Predict, Stage::Survey),
    (Stage::Assemble, Stage::Predict),
    (Stage::Eval, Stage::Assemble),
    (Stage::Vectorize, Stage::Assemble),
    (Stage::Merge, Stage::Assemble),
];

pub(super) fn check_all(pipeline: &Pipeline, check: &mut Check<'_>) {
    if !check.sound(&["stages"]) {
        return;
    }
    let stages = &pipeline.stages;
    for (at, stage) in stages.iter().enumerate() {
        let path = Path::from("stages").index(at);
        if stages[..at].contains(stage) {
            check.wrong(path, "is named twice");
        } else if let Some((_, needs)) =
            NEEDS.iter().find(|(one, needs)| one == stage && !stages.contains(needs))
        {
            check.wrong(path, format!("needs what {needs} makes: name both (what exists is not made again)"));
        }
    }
    if check.sound(&["stages", "scenes"]) {
        let has = |wanted| {
            let group =
                |scene: &super::SceneEntry| scene.group.unwrap_or(super::Group::of(scene.labels.is_some()));
            // What a CSV file says is not known before it is read.
            pipeline.scenes.iter().any(|scene| scene.csv.is_some() || group(scene) == wanted)
        };
        if stages.contains(&Stage::Train) && !has(super::Group::Train) {
            check.wrong("stages", "train needs scenes with group = \"train\", and there are none");
        }
    }
}
