//! The end of a run: the scores of its scenes, summed; and what gathers from all scenes, made again where it was
//! made before the last of them came.

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_geo::{confusion::Confusion, evaluation::Evaluation};
use swath_proto::{
    ids::Digest,
    item::{EvalPart, Item, Place, Stage, Work},
    keys,
    score::{SceneScore, SceneScores},
    vectors::Merged,
};

use crate::{
    board::{Board, MERGE},
    plan,
    steps::{self, Need},
};

/// Outputs that are looked for at a time.
const LOOKS: usize = 16;

pub enum Evaluated {
    /// Of all scenes that have a score.
    All(Content),
    /// There is no score.
    Nothing,
    /// The scores of these items can't be found any more.
    Gone(Vec<Place>),
}

/// What `eval.json` is to hold.
pub struct Content {
    pub json: Vec<u8>,
    pub digest: Digest,
    /// There is one, and it says something else.
    pub is_other: bool,
}

/// What `eval.json` is to hold, where the run evaluates anything.
pub async fn evaluation(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<Evaluated> {
    let record = &board.record;
    let n_classes = record.classes.len() as u32;
    let mut gone = Vec::new();
    let mut scenes = Vec::new();
    for lot in board.lots() {
        for place in lot.dependents(record, Stage::Eval) {
            let is_left = |own| !board.has_failed(own);
            let item = plan::eval(record, lot, place.index, is_left).filter(|_| board.is_done(place));
            let Some(item) = item else { continue };
            let key = keys::item_output(&item);
            let json = match blobs.get(&key).await {
                Err(error) if error.kind == Kind::NotFound => {
                    gone.push(place);
                    continue;
                }
                json => json.context("reading a scene's score")?,
            };
            let found = scores(&item, &json).with_context(|| format!("reading {key}"))?;
            if lacks_a_scene(board, &item, &found) {
                gone.push(place);
                continue;
            }
            for SceneScore::V1 { scene, counts, ignored, .. } in found {
                let confusion = Confusion::from_counts(n_classes, counts, ignored)
                    .with_context(|| format!("{key} does not fit the run's classes"))?;
                scenes.push((scene.to_string(), confusion));
            }
        }
    }
    if !gone.is_empty() {
        return Ok(Evaluated::Gone(gone));
    }
    if scenes.is_empty() {
        return Ok(Evaluated::Nothing);
    }
    let classes: Vec<_> = record.classes.iter().map(|class| class.name.clone()).collect();
    let evaluation = Evaluation::new(&classes, scenes)?;
    let mut json = serde_json::to_vec_pretty(&evaluation)?;
    json.push(b'\n');
    let is_other = match blobs.get(&keys::eval(&record.run)).await {
        Err(error) if error.kind == Kind::NotFound => false,
        before => before.context("reading eval.json")? != json,
    };
    Ok(Evaluated::All(Content { digest: Digest::of(&json), json, is_other }))
}

/// What is done and would be made of something else now: polygons, those of all scenes, the bundle, and steps for
/// the run. Scenes that were set aside may have come since, when somebody has replayed them.
pub async fn stale(
    board: &Board,
    blobs: &SharedBlobs,
    evaluation: Option<Digest>,
    is_other: bool,
) -> anyhow::Result<Vec<Place>> {
    let record = &board.record;
    let mut stale = polygons_without_a_scene(board, blobs).await?;
    let bundle = plan::bundle(record, evaluation);
    if board.is_done(bundle.place) && blobs.head(&keys::item_output(&bundle)).await?.is_none() {
        stale.push(bundle.place);
    }
    if is_merge_stale(board, blobs).await? {
        stale.push(MERGE);
    }
    // A step takes what earlier ones have made.
    for place in steps::places_of_run(record).into_iter().filter(|place| board.is_done(*place)) {
        let Some(step) = board.item(place) else { continue };
        let follows = |need: Need| match need {
            Need::Done(input) => stale.contains(&input),
            Need::Evaluation => is_other,
            Need::All(_) | Need::AllOfStep(_) | Need::Weights => false,
        };
        let needs = board.needs(place).unwrap_or_default();
        if needs.into_iter().any(follows) || blobs.head(&keys::item_output(&step.item)).await?.is_none() {
            stale.push(place);
        }
    }
    Ok(stale)
}

/// The files of all merges of a run have the same names: a note may be of one that was written over since, while a scene
/// was away.
async fn is_merge_stale(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<bool> {
    let Some(merge) = board.item(MERGE).filter(|_| board.is_done(MERGE)) else { return Ok(false) };
    let key = keys::item_output(&merge.item);
    let json = match blobs.get(&key).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(true),
        json => json.with_context(|| format!("reading {key}"))?,
    };
    let Merged::V1 { files, .. } = serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
    for file in files {
        let there = blobs.head(&file.key).await?;
        if there.is_none_or(|there| there.len != file.bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Another run has written what it had, under the same name.
fn lacks_a_scene(board: &Board, item: &Item, found: &[SceneScore]) -> bool {
    let Work::EvalScenes(work) = &item.work else { return false };
    let has = |part: &EvalPart| found.iter().any(|SceneScore::V1 { scene, .. }| *scene == part.scene.id);
    let is_left = |part: &&EvalPart| !board.has_failed(Place::new(Stage::Eval, item.place.lot, part.ordinal));
    work.scenes.iter().filter(is_left).any(|part| !has(part))
}

/// Items of groups that were done with other scenes than there are now: such an output has another name.
async fn polygons_without_a_scene(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<Vec<Place>> {
    let mut looks = Vec::new();
    for lot in board.lots() {
        for place in lot.dependents(&board.record, Stage::Vectorize) {
            if !board.is_done(place) || lot.group_at(place.index).is_none() {
                continue;
            }
            let item = plan::vectorize(&board.record, lot, place.index, |own| !board.has_failed(own));
            let Some(key) = item.map(|item| keys::item_output(&item)) else { continue };
            let blobs = blobs.clone();
            looks.push(async move { anyhow::Ok((place, blobs.head(&key).await?.is_none())) }.boxed());
        }
    }
    let looked: Vec<(Place, bool)> = futures::stream::iter(looks).buffered(LOOKS).try_collect().await?;
    Ok(looked.into_iter().filter(|(_, is_gone)| *is_gone).map(|(place, _)| place).collect())
}

/// Of one scene, or of several that share an item.
fn scores(item: &Item, json: &[u8]) -> serde_json::Result<Vec<SceneScore>> {
    match &item.work {
        Work::EvalScenes(_) => {
            let SceneScores::V1 { scenes } = serde_json::from_slice(json)?;
            Ok(scenes)
        }
        _ => Ok(vec![serde_json::from_slice(json)?]),
    }
}
