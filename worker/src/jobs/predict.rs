//! Runs the network over a rectangle: read, compute, encode; each on its own kind of thread, so
//! that several items overlap.

use anyhow::anyhow;
use swath_geo::{
    decide, grid,
    pack::{self, EncodedProduct},
    pyramid::{self, Reduction},
    tiles::Predictor,
};
use swath_proto::{geometry::SizePx, item::Predict};
use swath_raster::{Pixels, Raster};

use super::Output;
use crate::{
    context::{Claimed, Context},
    device::{Key, Models},
    failure::JobError,
    models,
};

/// What the network said of an item's rectangle.
struct Planes {
    classes: Vec<u8>,
    scores: Option<Vec<u8>>,
}

/// The item's pixels and the context around them.
struct Block {
    pixels: Vec<u8>,
    size: SizePx,
    /// Scene coordinates of its upper-left corner; negative at the scene's edge.
    col: i64,
    row: i64,
}

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Predict) -> Result<Output, JobError> {
    let file = models::file(cx, &work.model).await?;
    let wanted = work.clone();
    let block = cx.native(item, move || read(&wanted)).await?;
    let wanted = work.clone();
    cx.check_unchanged(&work.scene.image).await?;
    let planes = cx.device.run(cx.suspect(item), move |models| infer(models, &wanted, file, &block)).await?;
    let wanted = work.clone();
    let body = cx.native(item, move || encode(&wanted, planes)).await?;
    Ok(Output { body: body.into(), pixels: work.rect.pixels() })
}

/// One read for all windows, up to the last window's far margin.
fn read(work: &Predict) -> Result<Block, JobError> {
    let (core_px, margin_px) = (work.window.core_px, i64::from(work.window.margin_px));
    let with_margin = |length: u32| length.next_multiple_of(core_px) + 2 * work.window.margin_px;
    let size = SizePx::new(with_margin(work.rect.width), with_margin(work.rect.height));
    let (col, row) = (i64::from(work.rect.col) - margin_px, i64::from(work.rect.row) - margin_px);
    let bands: Vec<usize> = (1..=work.model.bands as usize).collect();
    let raster = Raster::open(&work.scene.image.uri)?;
    match raster.read(col, row, size, &bands)? {
        Pixels::U8(pixels) => Ok(Block { pixels, size, col, row }),
        other => Err(JobError::data(anyhow!(
            "{} has pixels of type {}; only 8-bit images can be predicted so far",
            work.scene.image.uri,
            other.type_name()
        ))),
    }
}

fn infer(
    models: &mut Models,
    work: &Predict,
    file: Option<std::path::PathBuf>,
    block: &Block,
) -> Result<Planes, JobError> {
    let key =
        Key { model: work.model.clone(), window: work.window, batch: work.batch, threads: work.threads };
    let predictor = models.get(&key, file)?;
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
    let windows: Vec<_> = grid::windows(work.rect, work.window).map_err(JobError::internal)?.collect();
    let mut input = vec![0.0; work.batch as usize * window_values];
    for batch in windows.chunks(work.batch as usize) {
        for (window, input) in batch.iter().zip(input.chunks_exact_mut(window_values)) {
            copy_window(block, window, edge_px as usize, bands, input);
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
    Ok(Planes { classes, scores })
}

/// Bytes to the 0..1 that networks take.
fn copy_window(block: &Block, window: &grid::Window, edge_px: usize, bands: usize, input: &mut [f32]) {
    let (left, top) = ((window.input_col - block.col) as usize, (window.input_row - block.row) as usize);
    let stride = block.size.width as usize * bands;
    for (row, out) in input.chunks_exact_mut(edge_px * bands).enumerate() {
        let from = (top + row) * stride + left * bands;
        for (value, byte) in out.iter_mut().zip(&block.pixels[from..from + edge_px * bands]) {
            *value = f32::from(*byte) * (1.0 / 255.0);
        }
    }
}

/// Tiles of every level that lies within the item, as they will stand in the scene's file.
fn encode(work: &Predict, planes: Planes) -> Result<Vec<u8>, JobError> {
    let (size, block_px) = (work.rect.size(), work.block_px);
    let n_levels = pyramid::item_levels(work.scene.size, work.item_px, block_px).ok_or_else(|| {
        JobError::data(anyhow!("an item of {} px does not fit tiles of {block_px} px", work.item_px))
    })?;
    let encoded = |name, plane, reduction, predictor| {
        EncodedProduct::of_plane(name, plane, size, block_px, n_levels, reduction, predictor)
            .map_err(JobError::internal)
    };
    let mut products = vec![encoded(pack::CLASSES, planes.classes, Reduction::Mode, Predictor::None)?];
    if let Some(scores) = planes.scores {
        let reduction = Reduction::Mean { bands: work.model.classes };
        products.push(encoded(pack::SCORES, scores, reduction, Predictor::Horizontal)?);
    }
    pack::build(work.rect, block_px, &products).map_err(JobError::internal)
}
