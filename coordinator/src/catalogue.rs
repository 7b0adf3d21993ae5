//! What a run has made, told in STAC once it is over: an Item a scene, one of the bundle, and a Collection that
//! links them. It is made of what the items have left behind and of nothing else, so whoever writes it, and
//! however often, writes the same.

use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;
use swath_backends::{
    Kind,
    blobs::{Put, SharedBlobs},
};
use swath_proto::{
    finished::{Assembled, Bundled, Finished, FinishedFile, FinishedScene},
    footprint::Footprint,
    ids::{Digest, ItemId, SceneId},
    item::{Item, Place, ScenePart, Stage, Work},
    keys,
    vectors::{Merged, Vectorized},
};
use swath_stac::{File, Packed, Scene};

use crate::{
    board::{Board, MERGE},
    plan::{self, Lot, PlannedScene},
};

/// Requests under way at a time. A run may have a hundred thousand scenes, and nothing else is left to do.
const REQUESTS: usize = 32;

/// A scene's files, as whoever wrote them has noted.
struct Made {
    classes: File,
    scores: Option<File>,
    confidence: Option<File>,
    footprint: Footprint,
}

pub async fn write(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<()> {
    let record = &board.record;
    if !record.has(Stage::Predict) {
        return Ok(());
    }
    let eval = evaluation(board, blobs).await?;
    let has_model = write_model(board, blobs).await?;
    let mut entries = Vec::new();
    for lot in board.lots() {
        let mut made = made(board, blobs, lot).await?;
        let mut polygons = polygons(board, blobs, lot).await?;
        let mut writes = Vec::new();
        for scene in &lot.scenes {
            let Some(made) = made.remove(&scene.header.id) else { continue };
            let known = Scene {
                header: &scene.header,
                footprint: &made.footprint,
                classes: made.classes,
                scores: made.scores,
                confidence: made.confidence,
                polygons: polygons.remove(&scene.header.id).unwrap_or_default(),
                is_evaluated: eval.is_some() && is_evaluated(board, lot, scene),
                has_model,
            };
            let (document, entry) = swath_stac::item(record, &known);
            let key = keys::stac_item(&record.run, &scene.header.id);
            entries.push(entry);
            writes.push(async move { keep(blobs, &key, &document).await }.boxed());
        }
        futures::stream::iter(writes).buffered(REQUESTS).try_collect::<()>().await?;
    }
    if entries.is_empty() && !has_model {
        return Ok(());
    }
    let merged = merged(board, blobs).await?;
    // Last: what it links is there.
    let document = swath_stac::collection(record, &entries, has_model, eval.as_ref(), &merged);
    keep(blobs, &keys::stac_collection(&record.run), &document).await
}

async fn evaluation(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<Option<File>> {
    if !board.record.has(Stage::Eval) {
        return Ok(None);
    }
    let key = keys::eval(&board.record.run);
    match blobs.get(&key).await {
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        json => {
            let json = json.context("reading eval.json")?;
            Ok(Some(File { key, bytes: Some(json.len() as u64), sha256: Some(Digest::of(&json)) }))
        }
    }
}

fn is_evaluated(board: &Board, lot: &Lot, scene: &PlannedScene) -> bool {
    let place = Place::new(Stage::Eval, lot.lot, scene.ordinal);
    board.record.has(Stage::Eval) && scene.files.labels.is_some() && board.is_made(place)
}

/// Whether the run has a bundle that can be described.
async fn write_model(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<bool> {
    let place = Place::new(Stage::Bundle, 0, 0);
    let item = board.item(place).filter(|_| board.is_done(place)).map(|publish| publish.item);
    let Some(item) = item else { return Ok(false) };
    let Work::Bundle(work) = &item.work else { return Ok(false) };
    let Some(noted) = noted::<Bundled>(blobs, &keys::item_output(&item)).await? else { return Ok(false) };
    let Bundled::V1 { key, bytes, sha256 } = noted;
    let packed = Packed { work, file: File { key, bytes: Some(bytes), sha256 } };
    let document = swath_stac::model(&board.record, &packed);
    keep(blobs, &keys::stac_model(&board.record.run), &document).await?;
    Ok(true)
}

/// Files of the polygons of all scenes together.
async fn merged(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<Vec<File>> {
    let item = board.item(MERGE).filter(|_| board.is_done(MERGE)).map(|publish| publish.item);
    let Some(item) = item else { return Ok(Vec::new()) };
    let Some(noted) = noted::<Merged>(blobs, &keys::item_output(&item)).await? else { return Ok(Vec::new()) };
    let Merged::V1 { files, .. } = noted;
    Ok(files.into_iter().map(File::from).collect())
}

/// The maps of a lot that are there.
async fn made(board: &Board, blobs: &SharedBlobs, lot: &Lot) -> anyhow::Result<BTreeMap<SceneId, Made>> {
    let is_made = |scene: &&PlannedScene| board.is_made(Place::new(Stage::Assemble, lot.lot, scene.ordinal));
    let mut makers: Vec<Place> =
        lot.scenes.iter().filter(is_made).map(|scene| lot.maker(Stage::Assemble, scene)).collect();
    makers.dedup();
    let reads = makers.into_iter().map(|maker| made_by(board, blobs, lot, maker).boxed());
    let reads: Vec<_> = reads.collect();
    let made: Vec<Vec<(SceneId, Made)>> =
        futures::stream::iter(reads).buffered(REQUESTS).try_collect().await?;
    Ok(made.into_iter().flatten().collect())
}

/// What one item has made: an assembled scene, or the scenes of a group.
async fn made_by(
    board: &Board,
    blobs: &SharedBlobs,
    lot: &Lot,
    maker: Place,
) -> anyhow::Result<Vec<(SceneId, Made)>> {
    let record = &board.record;
    if maker.stage == Stage::Predict {
        return of_group(board, blobs, lot, maker).await;
    }
    let Some((item, _)) = plan::assemble(record, lot, maker.index) else { return Ok(Vec::new()) };
    let Work::Assemble(work) = &item.work else { return Ok(Vec::new()) };
    let Some(noted) = noted::<Assembled>(blobs, &keys::item_output(&item)).await? else {
        return Ok(Vec::new());
    };
    let Assembled::V1 { files, footprint } = noted;
    let file = |key: &str| files.iter().find(|file| file.key == key).cloned().map(File::from);
    let made = file(&work.output).zip(placed(footprint, &work.scene)).map(|(classes, footprint)| {
        let [scores, confidence] =
            [&work.scores_output, &work.confidence_output].map(|key| file(key.as_deref()?));
        (work.scene.clone(), Made { classes, scores, confidence, footprint })
    });
    Ok(made.into_iter().collect())
}

/// Small scenes are noted under a name that all runs share which want the same: what is in their files is the same too,
/// and where they lie is this run's.
async fn of_group(
    board: &Board,
    blobs: &SharedBlobs,
    lot: &Lot,
    maker: Place,
) -> anyhow::Result<Vec<(SceneId, Made)>> {
    let item = plan::predict(&board.record, lot, maker.index);
    let Some(Item { work: Work::PredictScenes(work), run, .. }) = item else { return Ok(Vec::new()) };
    let key = |id: &ItemId| keys::output(Stage::Predict, id);
    let of_all = noted::<Finished>(blobs, &key(&Work::PredictScenes(work.clone()).id())).await?;
    let scenes = |noted: Option<Finished>| noted.into_iter().flat_map(|Finished::V1 { scenes }| scenes);
    let by_name = |finished: FinishedScene| (finished.scene.clone(), finished);
    let mut found: BTreeMap<SceneId, FinishedScene> = scenes(of_all).map(by_name).collect();
    // What another run had set aside is noted by itself.
    let is_made = |part: &&ScenePart| board.is_made(Place::new(Stage::Assemble, lot.lot, part.ordinal));
    let lacking = work.scenes.iter().filter(is_made).filter(|part| !found.contains_key(&part.scene.id));
    let lacking: Vec<String> = lacking.map(|part| key(&work.alone(&part.scene))).collect();
    for key in lacking {
        found.extend(scenes(noted::<Finished>(blobs, &key).await?).map(by_name));
    }
    let made = found.into_values().filter_map(|finished| {
        let FinishedScene { scene, classes, scores, confidence, footprint } = finished;
        let here = |file: FinishedFile, key: String| File { key, ..File::from(file) };
        let made = Made {
            classes: here(classes, keys::prediction(&run, &scene)),
            scores: scores.map(|file| here(file, keys::scores(&run, &scene))),
            confidence: confidence.map(|file| here(file, keys::confidence(&run, &scene))),
            footprint: placed(footprint, &scene)?,
        };
        Some((scene, made))
    });
    Ok(made.collect())
}

/// A scene that lies nowhere says so. One of which nobody has noted anything was finished by a version before there were
/// catalogues.
fn placed(footprint: Option<Footprint>, scene: &SceneId) -> Option<Footprint> {
    if footprint.is_none() {
        tracing::info!(%scene, "an older version has finished it: it has no STAC Item");
    }
    footprint
}

/// Files of polygons, by scene.
async fn polygons(
    board: &Board,
    blobs: &SharedBlobs,
    lot: &Lot,
) -> anyhow::Result<BTreeMap<SceneId, Vec<File>>> {
    let record = &board.record;
    let makers = lot.dependents(record, Stage::Vectorize);
    let items = makers.into_iter().filter(|place| board.is_done(*place)).filter_map(|place| {
        let item = plan::vectorize(record, lot, place.index, |own| !board.has_failed(own))?;
        Some(keys::item_output(&item))
    });
    let reads = items.map(|key| async move { noted::<Vectorized>(blobs, &key).await }.boxed());
    let reads: Vec<_> = reads.collect();
    let read: Vec<_> = futures::stream::iter(reads).buffered(REQUESTS).try_collect().await?;
    // By name, for the note may be another run's.
    let named = |file: File| (file.key.rsplit('/').next().unwrap_or_default().to_owned(), file);
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    for Vectorized::V1 { files: names, written, .. } in read.into_iter().flatten() {
        // Keys first: an older version has noted nothing else.
        let bare = names.into_iter().map(|key| File { key, bytes: None, sha256: None });
        files.extend(bare.chain(written.into_iter().map(File::from)).map(named));
    }
    let of_scene = |scene: &PlannedScene| {
        let stem = keys::vectors(&record.run, &scene.header.id);
        let formats = record.vectors.iter().flat_map(|plan| &plan.formats);
        let mut own = Vec::new();
        for format in formats {
            let key = format!("{stem}.{}", format.extension());
            let name = format!("{}.{}", scene.header.id, format.extension());
            own.extend(files.remove(&name).map(|file| File { key, ..file }));
        }
        (scene.header.id.clone(), own)
    };
    Ok(lot.scenes.iter().map(of_scene).collect())
}

/// What an item has left. A note that is gone, or that nobody can read, costs the catalogue an entry and not the run its end.
async fn noted<T: DeserializeOwned>(blobs: &SharedBlobs, key: &str) -> anyhow::Result<Option<T>> {
    let json = match blobs.get(key).await {
        Err(error) if error.kind == Kind::NotFound => {
            tracing::warn!(key, "it is gone, and what it told is left out of the catalogue");
            return Ok(None);
        }
        json => json.with_context(|| format!("reading {key}"))?,
    };
    match serde_json::from_slice(&json) {
        Ok(noted) => Ok(Some(noted)),
        Err(error) => {
            tracing::warn!(key, %error, "it can't be read, and what it told is left out of the catalogue");
            Ok(None)
        }
    }
}

/// The first one stays, unless a scene that was replayed has changed what there is to tell.
async fn keep(blobs: &SharedBlobs, key: &str, document: &Value) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec_pretty(document)?;
    json.push(b'\n');
    let doing = || format!("writing {key}");
    if blobs.put_new(key, json.clone().into()).await.with_context(doing)? == Put::Created {
        return Ok(());
    }
    match blobs.get(key).await {
        Ok(before) if before == json => return Ok(()),
        Err(error) if error.kind != Kind::NotFound => return Err(error).with_context(doing),
        _ => {}
    }
    blobs.put(key, json.into()).await.with_context(doing)
}
