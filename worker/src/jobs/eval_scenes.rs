//! Counts the predictions of several small scenes against their labels. Runs that want the same have their scores
//! under the same name, though each may have set aside other scenes: what one of them has, all have.

use futures::FutureExt as _;
use swath_backends::Kind;
use swath_proto::{
    ids::SceneId,
    item::{Eval, EvalPart, EvalScenes, Stage},
    keys,
    score::{SceneScore, SceneScores},
};

use super::{
    Output, TriedAgain,
    eval::{self, Counted},
    json, pictures,
    scenes::{Part, each},
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

pub(super) async fn run(
    cx: &Context,
    item: &Claimed,
    again: TriedAgain,
    work: &EvalScenes,
) -> Result<Output, JobError> {
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
            nodata: work.nodata,
        };
        async move { eval::counted(cx, item, &alone).await }.boxed()
    };
    let counted = each(cx, item, again, &parts, one).await?;
    let chosen = pictures::chosen(&counted.iter().map(|counted| counted.f1).collect::<Vec<_>>());
    let mut scenes = Vec::new();
    for (at, Counted { score, sample, .. }) in counted.into_iter().enumerate() {
        if let Some(sample) = sample.filter(|_| chosen.contains(&at)) {
            pictures::put(cx, item, &work.classes, sample).await;
        }
        scenes.push(score);
    }
    let pixels = work.scenes.iter().map(|part| part.scene.size.pixels()).sum();
    let key = keys::item_output(item);
    let Some(there) = there(cx, &key).await? else { return json(&SceneScores::V1 { scenes }, pixels) };
    // What lies there is not all, or nobody would have asked for more.
    let output = json(&joined(work, scenes, there), pixels)?;
    cx.blobs.put(&key, output.body.clone()).await?;
    Ok(output)
}

/// Every scene's score is there.
pub(super) async fn is_made(cx: &Context, work: &EvalScenes, key: &str) -> Result<bool, JobError> {
    let there = there(cx, key).await?;
    Ok(there.is_some_and(|there| work.scenes.iter().all(|part| there.has(&part.scene.id))))
}

/// None where nothing lies.
async fn there(cx: &Context, key: &str) -> Result<Option<SceneScores>, JobError> {
    let json = match cx.blobs.get(key).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        json => json?,
    };
    let scores = serde_json::from_slice(&json).unwrap_or_else(|error| {
        tracing::warn!(key, %error, "scores can't be read and are counted anew");
        SceneScores::V1 { scenes: Vec::new() }
    });
    Ok(Some(scores))
}

/// In the order of the work. Of two scores of a scene either will do: they are the same.
fn joined(work: &EvalScenes, ours: Vec<SceneScore>, there: SceneScores) -> SceneScores {
    let SceneScores::V1 { scenes } = there;
    let all: Vec<SceneScore> = ours.into_iter().chain(scenes).collect();
    let of = |id: &SceneId| all.iter().find(|SceneScore::V1 { scene, .. }| scene == id).cloned();
    SceneScores::V1 { scenes: work.scenes.iter().filter_map(|part| of(&part.scene.id)).collect() }
}
