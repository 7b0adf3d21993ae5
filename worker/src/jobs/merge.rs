//! Traces the predictions of all scenes together. Scenes that are tiles of one grid, side by side, are one raster, so that
//! a polygon goes on across their borders; all others are traced as they are by themselves.

use anyhow::Context as _;
use swath_geo::vector::{Mosaic, mosaics};
use swath_proto::{
    geometry::RectPx,
    ids::SceneId,
    item::Merge,
    keys,
    vectors::{MergeInputs, MergeScene, Merged, VectorFormat},
};

use super::{
    Output, json,
    polygon_files::{PolygonFiles, put},
    trace::{Canvas, Plane, Prediction, Source},
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// Predictions that are held open; neighbours come again in the next row of blocks.
const OPEN: usize = 64;

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
    let pixels = inputs.scenes.iter().map(|scene| scene.size.pixels()).sum();
    let uris: Vec<Uris> = inputs
        .scenes
        .iter()
        .map(|scene| Uris {
            classes: cx.blobs.uri(&scene.prediction),
            scores: scene.scores.as_ref().map(|key| cx.blobs.uri(key)),
        })
        .collect();
    let wanted = work.clone();
    let Traced { files, polygons, mosaics, left_out } =
        cx.native(item, move || trace(&wanted, &inputs.scenes, &uris)).await?;
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

fn trace(work: &Merge, scenes: &[MergeScene], uris: &[Uris]) -> Result<Traced, JobError> {
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
        let first = mosaic.tiles.first().map_or("?", |tile| scenes[tile.scene].id.as_str());
        let name = match mosaic.tiles.len() {
            0 | 1 => first.to_owned(),
            n => format!("{first} and {} scenes around it", n - 1),
        };
        let canvas = Canvas {
            name: &name,
            size: mosaic.size,
            georeference: mosaic.georeference.as_ref(),
            classes: &work.classes,
            plan: &work.plan,
        };
        let mut tiles = Tiles { mosaic, scenes, uris, open: Vec::new() };
        polygons += canvas.draw(&mut tiles, &mut files)?;
    }
    files.finish().map_err(JobError::data)?;
    let names = |mosaic: &Mosaic| -> Vec<SceneId> {
        mosaic.tiles.iter().map(|tile| scenes[tile.scene].id.clone()).collect()
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
    /// The one that was read last is the last.
    open: Vec<(usize, Prediction)>,
}

impl Tiles<'_> {
    fn of_scene(&mut self, scene: usize, plane: Plane, rect: RectPx) -> Result<Vec<u8>, JobError> {
        let mut prediction = match self.open.iter().position(|(open, _)| *open == scene) {
            Some(at) => self.open.remove(at).1,
            None => {
                let Uris { classes, scores } = &self.uris[scene];
                let producer = self.scenes[scene].producer;
                let gone = |message| JobError::MissingInputs { places: vec![producer], message };
                Prediction::open(classes, scores.as_deref(), gone)?
            }
        };
        let pixels = prediction.read(plane, rect)?;
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        self.open.push((scene, prediction));
        Ok(pixels)
    }
}

impl Source for Tiles<'_> {
    /// Scores are made for all scenes of a run, or for none.
    fn has_scores(&self) -> bool {
        self.scenes.iter().all(|scene| scene.scores.is_some())
    }

    fn read(&mut self, plane: Plane, rect: RectPx) -> Result<Vec<u8>, JobError> {
        let mosaic = self.mosaic;
        // There are 255 classes at most, so that none has this number.
        let nothing = if plane == Plane::Classes { u8::MAX } else { 0 };
        mosaic.plane(rect, nothing, |scene, rect| self.of_scene(scene, plane, rect))
    }

    fn is_empty_in(&self, rect: RectPx) -> bool {
        !self.mosaic.is_anywhere_in(rect)
    }
}
