//! Traces a scene's prediction into polygons, and writes them as files: what is written equals tracing the whole
//! raster.

use swath_proto::{
    finished::FinishedFile,
    item::Vectorize,
    vectors::{VectorFormat, Vectorized},
};

use super::{
    Output, json,
    polygon_files::{PolygonFiles, put},
    trace::{Canvas, Prediction, block_px},
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

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
    Ok((put(cx, &work.output, files).await?, polygons))
}

type Files = Vec<(VectorFormat, Vec<u8>)>;

fn vectorize(work: &Vectorize, prediction: &str, scores: Option<&str>) -> Result<(Files, u64), JobError> {
    let gone = |message| JobError::MissingInputs { places: vec![work.producer], message };
    let mut prediction = Prediction::open(prediction, scores, gone)?;
    let canvas = Canvas {
        name: work.scene.id.as_str(),
        size: work.scene.size,
        georeference: work.scene.georeference.as_ref(),
        classes: &work.classes,
        plan: &work.plan,
        block_px: block_px(&work.plan),
    };
    let mut bodies: Files = work.plan.formats.iter().map(|&format| (format, Vec::new())).collect();
    let mut files = PolygonFiles::begin(&mut bodies).map_err(JobError::data)?;
    let n_polygons = canvas.draw(&mut prediction, &mut files)?;
    files.finish().map_err(JobError::data)?;
    Ok((bodies, n_polygons))
}
