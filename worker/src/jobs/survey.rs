//! Reads the headers of scenes, where GDAL is, and looks once at labels and area of interest. A scene
//! that can't be read is a finding.

use anyhow::anyhow;
use swath_proto::{
    geometry::{RectPx, SizePx},
    item::Survey,
    outcome::FailureClass,
    scene::{SceneFiles, SceneHeader, Surveyed, SurveyedScene},
    source::{ClassList, IGNORED, LabelSpec},
};
use swath_raster::{Aoi, Labels, Source};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// A header goes into every item of its scene, and messages have an end.
const MAX_HEADER_LEN: usize = 100 << 10;

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Survey) -> Result<Output, JobError> {
    let wanted = work.clone();
    let is_last_try = item.is_last_try();
    let survey = move || {
        let scenes = wanted.scenes.iter().map(|scene| survey(scene, &wanted.classes, is_last_try));
        scenes.collect::<Result<Vec<_>, _>>()
    };
    let surveyed = cx.native(item, survey).await?;
    for (scene, found) in work.scenes.iter().zip(&surveyed) {
        if !found.is_unreadable() {
            cx.check_all_unchanged(item, &scene.files()).await?;
        }
    }
    json(&Surveyed::V1 { scenes: surveyed }, 0)
}

/// What no worker could open is a finding at last: the others of the item are not held up by it.
fn survey(scene: &SceneFiles, classes: &ClassList, is_last_try: bool) -> Result<SurveyedScene, JobError> {
    match header(scene, classes) {
        Ok(header) => Ok(SurveyedScene::Readable(header)),
        Err(JobError::Failed { class, source })
            if class == FailureClass::Data || (class == FailureClass::Fault && is_last_try) =>
        {
            Ok(SurveyedScene::Unreadable { id: scene.id.clone(), message: format!("{source:#}") })
        }
        Err(error) => Err(error),
    }
}

fn header(scene: &SceneFiles, classes: &ClassList) -> Result<SceneHeader, JobError> {
    let header = Source::open(&scene.source)?.header(scene.id.clone())?;
    let mut header = SceneHeader { aoi: scene.aoi.clone(), ..header };
    // Rasters of labels lie on the whole scene's pixels.
    let has_rasters = matches!(scene.labels, Some(LabelSpec::ClassRaster(_) | LabelSpec::ColorRaster(_)));
    if let Some(edge_px) = scene.crop_px.filter(|_| !has_rasters) {
        header = header.cropped(best_square(scene, &header, classes, edge_px)?);
    }
    let len = serde_json::to_vec(&header).map_err(JobError::internal)?.len();
    if len > MAX_HEADER_LEN {
        return Err(JobError::data(anyhow!(
            "its {} files do not fit a message ({len} bytes, and {MAX_HEADER_LEN} do): make a VRT of them with \
             gdalbuildvrt, and name that as the image",
            scene.source.files.len()
        )));
    }
    if let Some(labels) = &scene.labels {
        Labels::open(labels, &header, classes)?;
    }
    if let Some(aoi) = &scene.aoi {
        Aoi::open(aoi, &header)?;
    }
    Ok(header)
}

/// The square with the most labels, of some that lie evenly over the scene; that in the middle where there are
/// none.
fn best_square(
    scene: &SceneFiles,
    header: &SceneHeader,
    classes: &ClassList,
    edge_px: u32,
) -> Result<RectPx, JobError> {
    const STEPS: u32 = 8;
    let SizePx { width, height } = header.size;
    let (edge_x, edge_y) = (edge_px.min(width), edge_px.min(height));
    let at = |step: u32, whole: u32, edge: u32| {
        (u64::from(whole - edge) * u64::from(step) / u64::from(STEPS)) as u32
    };
    let square = |x, y| RectPx::new(at(x, width, edge_x), at(y, height, edge_y), edge_x, edge_y);
    let middle = square(STEPS / 2, STEPS / 2);
    let Some(labels) = &scene.labels else { return Ok(middle) };
    let labels = Labels::open(labels, header, classes)?;
    let mut burnt = vec![0; middle.pixels() as usize];
    let (mut best, mut most) = (middle, 0);
    for (y, x) in (0..=STEPS).flat_map(|y| (0..=STEPS).map(move |x| (y, x))) {
        let square = square(x, y);
        labels.burn(square, &mut burnt)?;
        let n = burnt.iter().filter(|class| **class != classes.null_class && **class != IGNORED).count();
        if n > most {
            (best, most) = (square, n);
        }
    }
    Ok(best)
}
