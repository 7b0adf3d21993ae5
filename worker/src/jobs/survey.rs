//! Reads the headers of scenes, where GDAL is, and looks once at labels and area of interest. A scene
//! that can't be read is a finding.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::anyhow;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use swath_proto::{
    geometry::{RectPx, SizePx},
    item::Survey,
    outcome::FailureClass,
    scene::{SceneFiles, SceneHeader, Surveyed, SurveyedScene},
    source::{ClassList, IGNORED, LabelSpec},
};
use swath_raster::{Aoi, Labels, Source, remote};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
    tail::Tail,
};

/// A header goes into every item of its scene, and messages have an end.
const MAX_HEADER_LEN: usize = 100 << 10;

/// Scenes that are looked at at a time: that is waiting for a store more than it is work.
const AT_A_TIME: usize = 16;

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Survey) -> Result<Output, JobError> {
    let wanted = work.clone();
    let is_last_try = item.is_last_try();
    let surveyed = cx.native(item, move || survey_all(&wanted, is_last_try)).await?;
    let readable = work.scenes.iter().zip(&surveyed).filter(|(_, found)| !found.is_unreadable());
    // Boxed and in a list: the compiler can't see otherwise that they may move between threads.
    let checks: Vec<_> = readable
        .map(|(scene, _)| {
            let files = scene.files();
            async move { cx.check_all_unchanged(item, &files).await }.boxed()
        })
        .collect();
    let checks = futures::stream::iter(checks).buffer_unordered(AT_A_TIME);
    checks.try_for_each(|()| std::future::ready(Ok(()))).await?;
    json(&Surveyed::V1 { scenes: surveyed }, 0)
}

/// In the order of the item. An error stops those that have not begun.
fn survey_all(work: &Survey, is_last_try: bool) -> Result<Vec<SurveyedScene>, JobError> {
    let next = AtomicUsize::new(0);
    let look = || {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(scene) = work.scenes.get(at) else { return found };
            let surveyed = survey(scene, &work.classes, is_last_try);
            if surveyed.is_err() {
                next.store(work.scenes.len(), Ordering::Relaxed);
            }
            found.push((at, surveyed));
        }
    };
    // How buckets are reached, and where what is logged belongs, is known thread by thread.
    let (passes, tail) = (remote::passes(), Tail::current());
    let look = || tail.clone().within(|| remote::with_passes(passes.clone(), look));
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        let n = AT_A_TIME.min(work.scenes.len());
        // As many as the machine has: each takes what is next.
        let spawn = |number| {
            let spawned = std::thread::Builder::new().spawn_scoped(scope, look);
            spawned.inspect_err(|error| tracing::warn!(%error, "{number} of {n} threads could be started to read headers")).ok()
        };
        let threads: Vec<_> = (0..n).map_while(spawn).collect();
        if threads.is_empty() {
            found.extend(look());
        }
        for thread in threads {
            found.extend(thread.join().map_err(|_| JobError::internal(anyhow!("reading headers panicked")))?);
        }
        Ok::<_, JobError>(())
    })?;
    found.sort_unstable_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, surveyed)| surveyed).collect()
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
    // Rasters of labels lie on the whole scene's pixels, which the part of a mosaic does not know.
    let has_rasters = matches!(scene.labels, Some(LabelSpec::ClassRaster(_) | LabelSpec::ColorRaster(_)));
    if let Some(edge_px) = scene.crop_px.filter(|_| !has_rasters || header.places.len() == 1) {
        let square = match scene.crop_labels {
            Some(least) if !has_rasters && scene.labels.is_some() => {
                first_square(scene, &header, classes, edge_px, least)?
            }
            _ => best_square(scene, &header, classes, edge_px)?,
        };
        header = header.cropped(square);
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

/// The first square, row by row, that so many labels lie in.
fn first_square(
    scene: &SceneFiles,
    header: &SceneHeader,
    classes: &ClassList,
    edge_px: u32,
    least: u32,
) -> Result<RectPx, JobError> {
    let Some(labels) = &scene.labels else { return best_square(scene, header, classes, edge_px) };
    let labels = Labels::open(labels, header, classes)?;
    let SizePx { width, height } = header.size;
    let (edge_x, edge_y) = (edge_px.min(width), edge_px.min(height));
    let starts = |whole: u32, edge: u32| (0..whole / edge).map(move |nth| nth * edge);
    let squares = starts(height, edge_y).flat_map(|row| starts(width, edge_x).map(move |col| (col, row)));
    let mut squares = squares.map(|(col, row)| RectPx::new(col, row, edge_x, edge_y));
    squares.find(|square| labels.count(*square) >= least as usize).ok_or_else(|| {
        JobError::data(anyhow!(
            "no square of {edge_px} px has {least} labels or more (test.min_labels): ask for fewer, or leave the key out"
        ))
    })
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
    let Some(labels) = scene.labels.as_ref().filter(|_| middle.size() != header.size) else {
        return Ok(middle);
    };
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
