//! Runs the network over a rectangle: read, compute, encode; each on its own kind of thread, so
//! that several items overlap.

use anyhow::anyhow;
use swath_geo::{
    decide, grid,
    pack::{self, EncodedProduct},
    pyramid,
};
use swath_proto::{
    geometry::{RectPx, WindowPx},
    item::Predict,
};
use swath_raster::{Aoi, Block, Scaler, Source, Valid};

use super::{Output, scene_file::making};
use crate::{
    context::{Claimed, Context},
    device::{Key, Models},
    failure::JobError,
    models,
};

/// What the network said of an item's rectangle.
pub(super) struct Planes {
    classes: Vec<u8>,
    scores: Option<Vec<u8>>,
    /// No pixel was to be predicted.
    pub(super) is_blank: bool,
}

/// The item's pixels with the context around them, and which of its own pixels are to be predicted.
struct Read {
    block: Block,
    scaler: Scaler,
    /// 0 where a pixel is missing or outside the area of interest; none where all count.
    mask: Option<Vec<u8>>,
}

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Predict) -> Result<Output, JobError> {
    let planes = planes(cx, item, work).await?;
    let wanted = work.clone();
    let phases = cx.phases.clone();
    let body = cx.native(item, move || phases.encode(|| encode(&wanted, planes))).await?;
    Ok(Output { body: body.into(), pixels: work.rect.pixels() })
}

/// Reads and computes.
pub(super) async fn planes(cx: &Context, item: &Claimed, work: &Predict) -> Result<Planes, JobError> {
    let files = models::files(cx, &work.model).await?;
    let wanted = work.clone();
    let phases = cx.phases.clone();
    let read = cx.native(item, move || phases.read(|| read(&wanted))).await?;
    let wanted = work.clone();
    cx.check_all_unchanged(item, &work.scene.files()).await?;
    cx.device.run(cx.suspect(item), move |models| infer(models, &wanted, &files, &read)).await
}

/// One read for all windows, up to the last window's far margin.
fn read(work: &Predict) -> Result<Read, JobError> {
    let source = Source::of_scene(&work.scene)?;
    let block = source.read(work.window.reach(work.rect))?;
    let mut mask = match &block.valid {
        Valid::All => None,
        Valid::Within(part) if contains(*part, work.rect) => None,
        Valid::Within(_) | Valid::Each(_) => {
            block.mask().map(|mask| cropped(&mask.pixels, block.window, work.rect))
        }
    };
    if let Some(aoi) = &work.scene.aoi {
        let mut inside = vec![0; work.rect.pixels() as usize];
        Aoi::open(aoi, &work.scene)?.burn(work.rect.into(), &mut inside);
        if let Some(valid) = &mask {
            inside.iter_mut().zip(valid).for_each(|(inside, valid)| *inside &= valid);
        }
        mask = Some(inside);
    }
    let mask = mask.filter(|mask| mask.contains(&0));
    Ok(Read { block, scaler: source.scaler().clone(), mask })
}

const fn contains(outer: WindowPx, inner: RectPx) -> bool {
    outer.col <= inner.col as i64
        && outer.row <= inner.row as i64
        && outer.col + outer.width as i64 >= inner.col as i64 + inner.width as i64
        && outer.row + outer.height as i64 >= inner.row as i64 + inner.height as i64
}

/// The part of a window's plane that lies in `rect`.
fn cropped(plane: &[u8], window: WindowPx, rect: RectPx) -> Vec<u8> {
    let (left, top) =
        ((i64::from(rect.col) - window.col) as usize, (i64::from(rect.row) - window.row) as usize);
    let lines = plane.chunks_exact(window.width as usize).skip(top).take(rect.height as usize);
    lines.flat_map(|line| &line[left..left + rect.width as usize]).copied().collect()
}

fn infer(
    models: &mut Models,
    work: &Predict,
    files: &swath_model::Files,
    read: &Read,
) -> Result<Planes, JobError> {
    let key =
        Key { model: work.model.clone(), window: work.window, batch: work.batch, threads: work.threads };
    let predictor = models.get(&key, files)?;
    let here = predictor.class().id();
    if here != work.class {
        return Err(JobError::Unfit(anyhow!(
            "this worker computes in numeric class {here}, the run is pinned to {}: the two would not give the same \
             bytes. Start the run's workers on machines of one kind, or begin a new run with --rerun",
            work.class
        )));
    }
    let (bands, n_classes) = (work.model.bands as usize, work.model.classes as usize);
    let edge_px = work.window.edge_px();
    let window_values = (edge_px as usize).pow(2) * bands;
    let pixels = work.rect.pixels() as usize;
    let mut classes = vec![0; pixels];
    let mut scores = work.scores.then(|| vec![0; pixels * n_classes]);
    // Where nothing is to be predicted the network need not look.
    let is_wanted =
        |window: &grid::Window| read.mask.as_ref().is_none_or(|mask| any(mask, work.rect, window.core));
    let windows = grid::windows(work.rect, work.window).map_err(JobError::internal)?;
    let windows: Vec<_> = windows.filter(is_wanted).collect();
    let mut input = vec![0.0; work.batch as usize * window_values];
    for batch in windows.chunks(work.batch as usize) {
        for (window, input) in batch.iter().zip(input.chunks_exact_mut(window_values)) {
            let seen = WindowPx::new(window.input_col, window.input_row, edge_px, edge_px);
            read.scaler.scale(&read.block, seen, input);
        }
        let logits = predictor.forward(&input[..batch.len() * window_values], batch.len())?;
        for (window, logits) in batch.iter().zip(logits.chunks_exact((edge_px as usize).pow(2) * n_classes)) {
            decide::classify(
                logits,
                edge_px,
                n_classes,
                window,
                work.rect,
                &mut classes,
                scores.as_deref_mut(),
            )
            .map_err(JobError::data)?;
        }
    }
    if let Some(mask) = &read.mask {
        let stands_for_none = work.nodata.unwrap_or(work.null_class as u8);
        blank(mask, stands_for_none, work.null_class as usize, &mut classes, scores.as_deref_mut());
    }
    let is_blank = read.mask.as_ref().is_some_and(|mask| !mask.contains(&1));
    Ok(Planes { classes, scores, is_blank })
}

/// Whether any pixel of a core counts.
fn any(mask: &[u8], rect: RectPx, core: RectPx) -> bool {
    let left = (core.col - rect.col) as usize;
    let lines = mask.chunks_exact(rect.width as usize).skip((core.row - rect.row) as usize);
    lines.take(core.height as usize).any(|line| line[left..left + core.width as usize].contains(&1))
}

/// What does not count is of the null class, and that for certain; in the map, a value of its own may stand for it.
fn blank(mask: &[u8], stands_for_none: u8, null_class: usize, classes: &mut [u8], scores: Option<&mut [u8]>) {
    let n_classes = scores.as_ref().map_or(0, |scores| scores.len() / mask.len().max(1));
    for (class, _) in classes.iter_mut().zip(mask).filter(|(_, counts)| **counts == 0) {
        *class = stands_for_none;
    }
    let Some(scores) = scores else { return };
    for (scores, _) in scores.chunks_exact_mut(n_classes).zip(mask).filter(|(_, counts)| **counts == 0) {
        scores.fill(0);
        scores[null_class] = u8::MAX;
    }
}

/// Tiles of every level that lies within the item, as they will stand in the scene's file.
fn encode(work: &Predict, planes: Planes) -> Result<Vec<u8>, JobError> {
    let block_px = work.block_px;
    let n_levels = pyramid::item_levels(work.scene.size, work.item_px, block_px).ok_or_else(|| {
        JobError::data(anyhow!("an item of {} px does not fit tiles of {block_px} px", work.item_px))
    })?;
    let is_blank = planes.is_blank;
    let products = products(work, planes, n_levels)?;
    pack::build(work.rect, block_px, is_blank, &products).map_err(JobError::internal)
}

pub(super) fn products(
    work: &Predict,
    planes: Planes,
    n_levels: u32,
) -> Result<Vec<EncodedProduct>, JobError> {
    let (size, block_px) = (work.rect.size(), work.block_px);
    let encoded = |name, plane| {
        let making = making(name, work.model.classes, work.compression, work.nodata);
        EncodedProduct::of_plane(name, plane, size, block_px, n_levels, making).map_err(JobError::internal)
    };
    let mut products = vec![encoded(pack::CLASSES, planes.classes)?];
    if let Some(scores) = planes.scores {
        products.push(encoded(pack::SCORES, scores)?);
    }
    Ok(products)
}
