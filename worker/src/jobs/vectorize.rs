//! Traces a scene's prediction into polygons, block by block, and writes them as files. The blocks leave no
//! trace: what is written equals tracing the whole raster.

use std::sync::Arc;

use anyhow::anyhow;
use swath_geo::{
    grid::ItemGrid,
    vector::{Joiner, Polygon, Tracing, simplify},
};
use swath_proto::{
    finished::FinishedFile,
    geometry::{RectPx, SizePx},
    ids::Digest,
    item::Vectorize,
    vectors::{VectorFormat, Vectorized},
};
use swath_raster::{
    Kind, Pixels, Raster,
    place::{Coordinates, Placer},
};
use swath_vectors::{AreaUnit, Crs, Feature, GeoJson, GeoParquet};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// Edge of what is traced at a time: bounds the memory, whatever the scene.
const BLOCK_PX: u32 = 4096;
/// Areas of pixels differ little from this many polygons to the next.
const PLACED_AT_ONCE: usize = 1024;

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Vectorize) -> Result<Output, JobError> {
    let (written, polygons) = write_files(cx, item, work).await?;
    json(&vectorized(written, polygons), work.scene.size.pixels())
}

pub(super) fn vectorized(written: Vec<FinishedFile>, polygons: u64) -> Vectorized {
    let files = written.iter().map(|file| file.key.clone()).collect();
    Vectorized::V1 { files, polygons, written }
}

/// The files, and how many polygons each holds.
pub(super) async fn write_files(
    cx: &Context,
    item: &Claimed,
    work: &Vectorize,
) -> Result<(Vec<FinishedFile>, u64), JobError> {
    let (prediction, scores) =
        (cx.blobs.uri(&work.prediction), work.scores.as_ref().map(|key| cx.blobs.uri(key)));
    let wanted = work.clone();
    let (files, polygons) =
        cx.native(item, move || vectorize(&wanted, &prediction, scores.as_deref())).await?;
    let mut written = Vec::new();
    for (format, body) in files {
        let key = format!("{}.{}", work.output, format.extension());
        let file = FinishedFile { bytes: body.len() as u64, sha256: Digest::of(&body), key };
        cx.blobs.put(&file.key, body.into()).await?;
        written.push(file);
    }
    Ok((written, polygons))
}

type Files = Vec<(VectorFormat, Vec<u8>)>;

fn vectorize(work: &Vectorize, prediction: &str, scores: Option<&str>) -> Result<(Files, u64), JobError> {
    let gone = |what: &str, error: swath_raster::RasterError| match error.kind {
        Kind::Missing => {
            JobError::MissingInputs { places: vec![work.producer], message: format!("{what} is gone") }
        }
        _ => error.into(),
    };
    let classes = Raster::open(prediction).map_err(|error| gone(prediction, error))?;
    let scores = scores.map(|uri| Raster::open(uri).map_err(|error| gone(uri, error))).transpose()?;
    let placer = Placer::new(work.scene.georeference.as_ref(), Coordinates::LonLat)?;
    let mut features = Vec::new();
    for &class in &work.plan.classes {
        let polygons = polygons(work, class, &classes, scores.as_ref())?;
        features.extend(place(work, class, &placer, polygons)?);
    }
    let mut files = Vec::new();
    for &format in &work.plan.formats {
        files.push((format, write(format, &features)?));
    }
    Ok((files, features.len() as u64))
}

fn polygons(
    work: &Vectorize,
    class: u8,
    classes: &Raster,
    scores: Option<&Raster>,
) -> Result<Vec<Polygon>, JobError> {
    let scene = work.scene.size;
    let tracing = Tracing { scene, class, denoise_px: work.plan.denoise_px };
    let grid = ItemGrid::new(scene, BLOCK_PX).map_err(JobError::internal)?;
    let mut joiner = Joiner::new(scene, 1);
    let mut polygons = Vec::new();
    for item in (0..grid.len()).filter_map(|index| grid.rect(index)) {
        let window = tracing.window_px(item).map_err(JobError::internal)?;
        let plane = read(classes, window, 1)?;
        let sure = scores.map(|scores| read(scores, window, usize::from(class) + 1)).transpose()?;
        let fragment = tracing.fragment(item, &plane, sure.as_deref()).map_err(JobError::internal)?;
        polygons.extend(joiner.add(fragment).map_err(JobError::internal)?);
    }
    joiner.finish().map_err(JobError::internal)?;
    polygons.sort_unstable_by_key(Polygon::first_corner);
    Ok(polygons)
}

fn read(raster: &Raster, rect: RectPx, band: usize) -> Result<Vec<u8>, JobError> {
    let size = SizePx::new(rect.width, rect.height);
    match raster.read(i64::from(rect.col), i64::from(rect.row), size, &[band])? {
        Pixels::U8(pixels) => Ok(pixels),
        other => Err(JobError::data(anyhow!("a prediction of type {}", other.type_name()))),
    }
}

fn place(
    work: &Vectorize,
    class: u8,
    placer: &Placer,
    polygons: Vec<Polygon>,
) -> Result<Vec<Feature>, JobError> {
    let name = work.classes.get(usize::from(class)).map(|class| class.name.as_str());
    let name: Arc<str> = name.ok_or_else(|| JobError::data(anyhow!("there is no class {class}")))?.into();
    let mut features = Vec::new();
    for part in polygons.chunks(PLACED_AT_ONCE) {
        let simple: Vec<Polygon> = part
            .iter()
            .map(|polygon| match work.plan.tolerance_px {
                0.0 => polygon.clone(),
                tolerance_px => simplify(polygon.clone(), tolerance_px).polygon,
            })
            .collect();
        for (polygon, placed) in part.iter().zip(placer.place(&simple)?) {
            let area = placed.area_m2.unwrap_or_default();
            if area >= work.plan.min_area_m2 {
                let (class_name, score) = (name.clone(), polygon.mean_score());
                features.push(Feature { class_id: class, class_name, score, area, rings: placed.rings });
            }
        }
    }
    Ok(features)
}

fn write(format: VectorFormat, features: &[Feature]) -> Result<Vec<u8>, JobError> {
    let mut bytes = Vec::new();
    let bad = |error: swath_vectors::WriteError| JobError::data(error);
    match format {
        VectorFormat::GeoJson => {
            let mut file = GeoJson::new(&mut bytes, AreaUnit::SquareMetres).map_err(bad)?;
            features.iter().try_for_each(|feature| file.add(feature)).map_err(bad)?;
            file.finish().map_err(bad)?;
        }
        VectorFormat::GeoParquet => {
            let mut file = GeoParquet::new(&mut bytes, Crs::LonLat, AreaUnit::SquareMetres).map_err(bad)?;
            features.iter().try_for_each(|feature| file.add(feature)).map_err(bad)?;
            file.finish().map_err(bad)?;
        }
    }
    Ok(bytes)
}
