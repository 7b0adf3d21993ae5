//! Counts the predictions of several small scenes against their labels.

use futures::FutureExt as _;
use swath_proto::{
    item::{Eval, EvalPart, EvalScenes, Stage},
    keys,
    score::SceneScores,
};

use super::{
    Output, eval, json,
    scenes::{Part, each},
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

pub(super) async fn run(cx: &Context, item: &Claimed, work: &EvalScenes) -> Result<Output, JobError> {
    let part = |part: &EvalPart| Part::new(item, Stage::Eval, part.ordinal, &part.scene.id);
    let parts: Vec<Part> = work.scenes.iter().map(part).collect();
    let one = |at: usize| {
        let EvalPart { scene, labels, .. } = &work.scenes[at];
        let alone = Eval {
            scene: scene.clone(),
            labels: labels.clone(),
            prediction: keys::prediction(&item.run, &scene.id),
            producer: work.producer,
            classes: work.classes.clone(),
            null_class: work.null_class,
        };
        async move { eval::score(cx, item, &alone).await }.boxed()
    };
    let scenes = each(cx, item, &parts, one).await?;
    let pixels = work.scenes.iter().map(|part| part.scene.size.pixels()).sum();
    json(&SceneScores::V1 { scenes }, pixels)
}
