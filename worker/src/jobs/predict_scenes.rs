//! Runs the network over several small scenes and writes each one's finished files: the same bytes as when
//! parts of it were predicted and assembled. What is finished is noted beside each scene, and taken as it is
//! by whoever begins again, and by other runs that want the same.

use std::collections::BTreeMap;

use anyhow::anyhow;
use futures::FutureExt as _;
use swath_backends::Kind;
use swath_geo::{
    cog,
    pack::{CLASSES, CONFIDENCE, EncodedProduct, SCORES},
    planes::Planes,
    pyramid,
};
use swath_proto::{
    finished::{Finished, FinishedFile, FinishedScene},
    geometry::RectPx,
    ids::Digest,
    item::{ClassStyle, Predict, PredictScenes, ScenePart, Stage},
    keys,
    scene::SceneHeader,
};

use super::{
    Output, TriedAgain, json, pictures, predict,
    scene_file::{Style, footprint, no_pixel_counts, spec},
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
    work: &PredictScenes,
) -> Result<Output, JobError> {
    // A map that can't be made stands where it would have been assembled.
    let part = |part: &ScenePart| Part::new(item, Stage::Assemble, part.ordinal, &part.scene.id);
    let parts: Vec<Part> = work.scenes.iter().map(part).collect();
    let one = |at: usize| finish(cx, item, work, &work.scenes[at].scene).boxed();
    let made = each(cx, item, again, &parts, one).await?;
    for ScenePart { scene, .. } in work.scenes.iter().filter(|part| part.ordinal < pictures::FIRST) {
        if made.iter().any(|(finished, _)| finished.scene == scene.id) {
            let map = keys::prediction(&item.run, &scene.id);
            pictures::put_of_map(cx, item, scene, &map, &work.classes).await;
        }
    }
    let pixels = made.iter().map(|(_, pixels)| pixels).sum();
    json(&Finished::V1 { scenes: made.into_iter().map(|(scene, _)| scene).collect() }, pixels)
}

/// Sees that a scene's files are there. Returns its pixels too, where they had to be computed.
async fn finish(
    cx: &Context,
    item: &Claimed,
    work: &PredictScenes,
    scene: &SceneHeader,
) -> Result<(FinishedScene, u64), JobError> {
    let note = keys::output(Stage::Predict, &work.alone(scene));
    if let Some(noted) = noted(cx, &note).await?
        && let Some(finished) = take_over(cx, item, noted).await?
    {
        return Ok((finished, 0));
    }
    let whole = whole(work, scene);
    let planes = predict::planes(cx, item, &whole).await?;
    if planes.is_blank {
        return Err(no_pixel_counts(scene));
    }
    let classes = work.classes.clone();
    let phases = cx.phases.clone();
    let encoded = move || {
        let footprint = footprint(&whole.scene);
        Ok((phases.encode(|| encode(&whole, planes, &classes))?, footprint))
    };
    let (files, footprint) = cx.native(item, encoded).await?;
    let mut written = BTreeMap::new();
    // The classes last: whoever waits for a scene looks for them.
    for (product, body) in files.into_iter().rev() {
        let key = match product.as_str() {
            SCORES => keys::scores,
            CONFIDENCE => keys::confidence,
            _ => keys::prediction,
        }(&item.run, &scene.id);
        let file = FinishedFile { bytes: body.len() as u64, sha256: Digest::of(&body), key };
        cx.blobs.put_new(&file.key, body.into()).await?;
        written.insert(product, file);
    }
    let classes = written.remove(CLASSES);
    let classes = classes.ok_or_else(|| JobError::internal(anyhow!("no classes were encoded")))?;
    let (scores, confidence) = (written.remove(SCORES), written.remove(CONFIDENCE));
    let (name, footprint) = (scene.id.clone(), Some(footprint));
    let finished = FinishedScene { scene: name, classes, scores, confidence, footprint };
    let Output { body, .. } = json(&Finished::V1 { scenes: vec![finished.clone()] }, 0)?;
    cx.blobs.put_new(&note, body).await?;
    Ok((finished, scene.size.pixels()))
}

/// What an earlier attempt, or another run, has finished.
async fn noted(cx: &Context, note: &str) -> Result<Option<FinishedScene>, JobError> {
    let json = match cx.blobs.get(note).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        json => json?,
    };
    match serde_json::from_slice(&json) {
        Ok(Finished::V1 { scenes }) => Ok(scenes.into_iter().next()),
        Err(error) => {
            tracing::warn!(note, %error, "a note of finished files can't be read: the scene is predicted anew");
            Ok(None)
        }
    }
}

/// None where a file is gone, or is not what was noted: people may have touched it.
async fn take_over(
    cx: &Context,
    item: &Claimed,
    noted: FinishedScene,
) -> Result<Option<FinishedScene>, JobError> {
    let FinishedScene { scene, classes, scores, confidence, footprint } = noted;
    let scores = take_beside(cx, scores, keys::scores(&item.run, &scene)).await?;
    let confidence = take_beside(cx, confidence, keys::confidence(&item.run, &scene)).await?;
    let (Some(scores), Some(confidence)) = (scores, confidence) else { return Ok(None) };
    let classes = take(cx, classes, keys::prediction(&item.run, &scene)).await?;
    Ok(classes.map(|classes| FinishedScene { scene, classes, scores, confidence, footprint }))
}

/// A file that not every run has.
async fn take_beside(
    cx: &Context,
    noted: Option<FinishedFile>,
    key: String,
) -> Result<Option<Option<FinishedFile>>, JobError> {
    match noted {
        Some(noted) => Ok(take(cx, noted, key).await?.map(Some)),
        None => Ok(Some(None)),
    }
}

async fn take(cx: &Context, noted: FinishedFile, key: String) -> Result<Option<FinishedFile>, JobError> {
    if cx.blobs.head(&key).await?.is_some() {
        return Ok(Some(FinishedFile { key, ..noted }));
    }
    let body = match cx.blobs.get(&noted.key).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        body => body?,
    };
    if Digest::of(&body) != noted.sha256 {
        tracing::warn!(file = noted.key, "is not what was written there: the scene is predicted anew");
        return Ok(None);
    }
    cx.blobs.put_new(&key, body).await?;
    Ok(Some(FinishedFile { key, ..noted }))
}

/// The scene as the only rectangle of its own.
fn whole(work: &PredictScenes, scene: &SceneHeader) -> Predict {
    let edge_px = scene.size.width.max(scene.size.height).max(1);
    Predict {
        scene: scene.clone(),
        rect: RectPx::new(0, 0, scene.size.width, scene.size.height),
        item_px: edge_px,
        model: work.model.clone(),
        window: work.window,
        batch: work.batch,
        threads: work.threads,
        class: work.class,
        scores: work.scores,
        confidence: work.confidence,
        mixing: work.mixing,
        block_px: work.block_px,
        compression: work.compression,
        null_class: work.null_class,
        nodata: work.nodata,
    }
}

/// The files, by their product.
fn encode(
    work: &Predict,
    planes: Planes,
    classes: &[ClassStyle],
) -> Result<Vec<(String, Vec<u8>)>, JobError> {
    let n_levels = pyramid::n_levels(work.scene.size, work.block_px);
    let geo = match &work.scene.georeference {
        Some(georeference) => swath_raster::geo_tags(georeference)?,
        None => Vec::new(),
    };
    let style = Style {
        scene: &work.scene,
        classes,
        block_px: work.block_px,
        compression: work.compression,
        nodata: work.nodata,
        geo,
    };
    let products = predict::products(work, planes, n_levels)?;
    let file = |EncodedProduct { name, levels, tallies, .. }: EncodedProduct| {
        let sizes = levels.iter().map(|tiles| tiles.iter().map(|tile| tile.len() as u32).collect());
        let spec = spec(&style, &name, &tallies, sizes.collect());
        let layout = cog::layout(&spec).map_err(JobError::internal)?;
        let mut file = layout.header;
        for run in &layout.runs {
            file.extend(levels[run.level as usize][run.tiles.clone()].iter().flatten());
        }
        Ok((name, file))
    };
    products.into_iter().map(file).collect()
}
