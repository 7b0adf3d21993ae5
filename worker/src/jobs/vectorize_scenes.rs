//! Traces the predictions of several small scenes, and writes each one's polygons.

use futures::FutureExt as _;
use swath_proto::{
    item::{ScenePart, Stage, Vectorize, VectorizeScenes},
    keys,
};

use super::{
    Output, TriedAgain, json,
    scenes::{Part, each},
    vectorize,
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

pub(super) async fn run(
    cx: &Context,
    item: &Claimed,
    again: TriedAgain,
    work: &VectorizeScenes,
) -> Result<Output, JobError> {
    let part = |part: &ScenePart| Part::new(item, Stage::Vectorize, part.ordinal, &part.scene.id);
    let parts: Vec<Part> = work.scenes.iter().map(part).collect();
    let one = |at: usize| {
        let scene = &work.scenes[at].scene;
        let alone = Vectorize {
            scene: scene.clone(),
            prediction: keys::prediction(&item.run, &scene.id),
            scores: work.scores.then(|| keys::scores(&item.run, &scene.id)),
            producer: work.producer,
            classes: work.classes.clone(),
            plan: work.plan.clone(),
            output: keys::vectors(&item.run, &scene.id),
        };
        async move { vectorize::write_files(cx, item, &alone).await }.boxed()
    };
    let made = each(cx, item, again, &parts, one).await?;
    let polygons = made.iter().map(|(_, polygons)| polygons).sum();
    let files = made.into_iter().flat_map(|(files, _)| files).collect();
    let pixels = work.scenes.iter().map(|part| part.scene.size.pixels()).sum();
    json(&vectorize::vectorized(files, polygons), pixels)
}
