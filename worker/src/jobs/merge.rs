//! Traces the predictions of all scenes together. Scenes that are tiles of one grid, side by side, are one raster, so that
//! a polygon goes on across their borders; all others are traced as they are by themselves.

use std::collections::BTreeSet;

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use swath_geo::vector::{Layers, Mosaic, mosaics};
use swath_proto::{
    geometry::RectPx,
    ids::SceneId,
    item::{Merge, Place},
    keys,
    vectors::{MergeInputs, MergeScene, Merged, VectorFormat},
};

use super::{
    Output, json,
    polygon_files::{PolygonFiles, put},
    trace::{Canvas, Prediction, Source, block_px},
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// Predictions that are held open. Blocks come in Z-order, so that most of what one touches is touched by the next
/// few; what comes again later than that is opened again.
const OPEN: usize = 64;
/// Looks under way at a time.
const LOOKS: usize = 16;
/// Stands where there is no scene. There are 255 classes at most, so that none has this number.
const NOTHING: u8 = u8::MAX;
/// Scenes that a warning names.
const NAMED: usize = 5;

struct Traced {
    files: Vec<(VectorFormat, Vec<u8>)>,
    polygons: u64,
    mosaics: Vec<Vec<SceneId>>,
    left_out: Vec<SceneId>,
}

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Merge) -> Result<Output, JobError> {
    let key = keys::inputs(&item.run, &work.inputs);
    let inputs: MergeInputs = serde_json::from_slice(&cx.blobs.get(&key).await?)
        .with_context(|| format!("reading {key}"))
        .map_err(JobError::data)?;
    all_there(cx, &inputs.scenes).await?;
    let pixels = inputs.scenes.iter().map(|scene| scene.size.pixels()).sum();
    // Scores are made for all scenes of a run, or for none.
    let has_scores = inputs.scenes.iter().all(|scene| scene.scores.is_some());
    let uris: Vec<Uris> = inputs
        .scenes
        .iter()
        .map(|scene| Uris {
            classes: cx.blobs.uri(&scene.prediction),
            scores: scene.scores.as_ref().filter(|_| has_scores).map(|key| cx.blobs.uri(key)),
        })
        .collect();
    let wanted = work.clone();
    let Traced { files, polygons, mosaics, left_out } =
        cx.native(item, move || trace(&wanted, &inputs.scenes, &uris, block_px(&wanted.plan))).await?;
    let files = put(cx, &work.output, files).await?;
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().take(NAMED).map(SceneId::as_str).collect();
        tracing::warn!(
            scenes = left_out.len(),
            first = names.join(", "),
            "left out of the merged polygons: their images name no coordinate reference system"
        );
    }
    json(&Merged::V1 { files, polygons, mosaics, left_out }, pixels)
}

/// Whatever is gone is named at once: each time costs an attempt.
async fn all_there(cx: &Context, scenes: &[MergeScene]) -> Result<(), JobError> {
    // Boxed and in a list: the compiler can't see otherwise that they may move between threads.
    let looks: Vec<_> = scenes.iter().map(|scene| is_there(cx, scene).boxed()).collect();
    let found: Vec<bool> = futures::stream::iter(looks).buffered(LOOKS).try_collect().await?;
    none_gone(scenes, &found)
}

async fn is_there(cx: &Context, scene: &MergeScene) -> Result<bool, JobError> {
    for key in [Some(&scene.prediction), scene.scores.as_ref()].into_iter().flatten() {
        if cx.blobs.head(key).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `found` says of each scene whether its files are there. Scenes of a group have one producer.
fn none_gone(scenes: &[MergeScene], found: &[bool]) -> Result<(), JobError> {
    let gone = scenes.iter().zip(found).filter(|(_, found)| !**found);
    let producers: Vec<Place> = gone.map(|(scene, _)| scene.producer).collect();
    if producers.is_empty() {
        return Ok(());
    }
    let message = format!("the predictions of {} of {} scenes are gone", producers.len(), scenes.len());
    let places: BTreeSet<Place> = producers.into_iter().collect();
    Err(JobError::MissingInputs { places: places.into_iter().collect(), message })
}

fn trace(work: &Merge, scenes: &[MergeScene], uris: &[Uris], block_px: u32) -> Result<Traced, JobError> {
    let sizes: Vec<_> = scenes.iter().map(|scene| (scene.size, scene.georeference.as_ref())).collect();
    // What lies nowhere has no polygons, and keeps no other scene from having them.
    let lies_somewhere = |mosaic: &Mosaic| {
        mosaic.georeference.as_ref().is_some_and(|georeference| !georeference.crs_wkt.is_empty())
    };
    let (found, left_out): (Vec<Mosaic>, Vec<Mosaic>) = mosaics(&sizes).into_iter().partition(lies_somewhere);
    let mut bodies: Vec<_> = work.plan.formats.iter().map(|&format| (format, Vec::new())).collect();
    let mut files = PolygonFiles::begin(&mut bodies).map_err(JobError::data)?;
    let mut polygons = 0;
    for mosaic in &found {
        let first = mosaic.tiles().first().map_or("?", |tile| scenes[tile.scene].id.as_str());
        let name = match mosaic.tiles().len() {
            0 | 1 => first.to_owned(),
            n => format!("{first} and {} scenes around it", n - 1),
        };
        let canvas = Canvas {
            name: &name,
            size: mosaic.size,
            georeference: mosaic.georeference.as_ref(),
            classes: &work.classes,
            plan: &work.plan,
            block_px,
        };
        let mut tiles = Tiles { mosaic, scenes, uris, nodata: work.nodata, open: Vec::new() };
        polygons += canvas.draw(&mut tiles, &mut files)?;
    }
    files.finish().map_err(JobError::data)?;
    let names = |mosaic: &Mosaic| -> Vec<SceneId> {
        mosaic.tiles().iter().map(|tile| scenes[tile.scene].id.clone()).collect()
    };
    Ok(Traced {
        files: bodies,
        polygons,
        mosaics: found.iter().map(names).collect(),
        left_out: left_out.iter().flat_map(names).collect(),
    })
}

/// Where a scene's files lie.
struct Uris {
    classes: String,
    scores: Option<String>,
}

/// The scenes of a mosaic, opened as they are come upon.
struct Tiles<'a> {
    mosaic: &'a Mosaic,
    scenes: &'a [MergeScene],
    uris: &'a [Uris],
    /// What stands for pixels that do not count.
    nodata: Option<u8>,
    /// The one that was read last is the last.
    open: Vec<(usize, Prediction)>,
}

impl Tiles<'_> {
    fn of_scene(&mut self, scene: usize, class: u8, rect: RectPx) -> Result<Layers, JobError> {
        let mut prediction = match self.open.iter().position(|(open, _)| *open == scene) {
            Some(at) => self.open.remove(at).1,
            None => {
                let Uris { classes, scores } = &self.uris[scene];
                let producer = self.scenes[scene].producer;
                let gone = |message| JobError::MissingInputs { places: vec![producer], message };
                Prediction::open(classes, scores.as_deref(), gone)?
            }
        };
        let layers = prediction.read(class, rect)?;
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        self.open.push((scene, prediction));
        Ok(layers)
    }
}

impl Source for Tiles<'_> {
    fn read(&mut self, class: u8, rect: RectPx) -> Result<Layers, JobError> {
        let (mosaic, nodata) = (self.mosaic, self.nodata);
        mosaic.layers(rect, NOTHING, nodata, |scene, rect| self.of_scene(scene, class, rect))
    }

    fn is_empty_in(&self, rect: RectPx) -> bool {
        !self.mosaic.is_anywhere_in(rect)
    }
}

#[cfg(test)]
mod tests;
