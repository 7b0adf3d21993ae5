//! Runs the network over a rectangle: read, compute, encode; each on its own kind of thread, so
//! that several items overlap.

use anyhow::anyhow;
use swath_geo::{
    grid::Window,
    look::{BadLook, Looks, Network},
    pack::{self, EncodedProduct},
    planes::{Kept, Missing, Planes},
    pyramid,
};
use swath_model::{ModelError, Predictor};
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
    metrics, models,
    phases::Phases,
};

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

/// Reads and computes. Where no pixel counts there is no need of the network.
pub(super) async fn planes(cx: &Context, item: &Claimed, work: &Predict) -> Result<Planes, JobError> {
    let wanted = work.clone();
    let phases = cx.phases.clone();
    let read = cx.native(item, move || phases.read(|| read(&wanted))).await?;
    cx.check_all_unchanged(item, &work.scene.files()).await?;
    let Some(read) = read else {
        return Ok(Planes::of_nothing(work.rect, work.model.classes as usize, kept(work), missing(work)));
    };
    let files = models::files(cx, &work.model).await?;
    let wanted = work.clone();
    let phases = cx.phases.clone();
    cx.device.run(cx.suspect(item), move |models| infer(models, &phases, &wanted, &files, &read)).await
}

/// One read for all windows that are needed; none where no pixel counts, and then nothing is read that lies outside
/// the area of interest.
fn read(work: &Predict) -> Result<Option<Read>, JobError> {
    let inside = match &work.scene.aoi {
        Some(aoi) => {
            let mut inside = vec![0; work.rect.pixels() as usize];
            Aoi::open(aoi, &work.scene)?.burn(work.rect.into(), &mut inside);
            Some(inside)
        }
        None => None,
    };
    let looks = looks(work);
    let windows = looks.windows(inside.as_deref()).map_err(JobError::internal)?;
    let Some(reach) = looks.reach(&windows) else { return Ok(None) };
    let source = Source::of_scene(&work.scene)?;
    let block = source.read_once(reach)?;
    let mut mask = match &block.valid {
        Valid::All => None,
        Valid::Within(part) if contains(*part, work.rect) => None,
        Valid::Within(_) | Valid::Each(_) => {
            block.mask().map(|mask| cropped(&mask.pixels, block.window, work.rect))
        }
    };
    if let Some(mut inside) = inside {
        if let Some(valid) = &mask {
            inside.iter_mut().zip(valid).for_each(|(inside, valid)| *inside &= valid);
        }
        mask = Some(inside);
    }
    let mask = mask.filter(|mask| mask.contains(&0));
    let counts = mask.as_ref().is_none_or(|mask| mask.contains(&1));
    Ok(counts.then(|| Read { block, scaler: source.scaler().clone(), mask }))
}

const fn contains(outer: WindowPx, inner: RectPx) -> bool {
    outer.col <= inner.col as i64
        && outer.row <= inner.row as i64
        && outer.col + outer.width as i64 >= inner.col as i64 + inner.width as i64
        && outer.row + outer.height as i64 >= inner.row as i64 + inner.height as i64
}

/// What a window's plane says of `rect`, and 0 where they do not overlap.
fn cropped(plane: &[u8], window: WindowPx, rect: RectPx) -> Vec<u8> {
    let mut out = vec![0; rect.pixels() as usize];
    // From the first pixel of both: where it is in `rect` and in the window, and how many there are.
    let overlap = |at: i64, len: u32, rect_at: u32, rect_len: u32| {
        let from = at.max(i64::from(rect_at));
        let to = (at + i64::from(len)).min(i64::from(rect_at) + i64::from(rect_len)).max(from);
        ((from - i64::from(rect_at)) as usize, (from - at) as usize, (to - from) as usize)
    };
    let (to_col, from_col, n_cols) = overlap(window.col, window.width, rect.col, rect.width);
    let (to_row, from_row, n_rows) = overlap(window.row, window.height, rect.row, rect.height);
    if n_cols == 0 {
        return out;
    }
    let lines = plane.chunks_exact(window.width as usize).skip(from_row).take(n_rows);
    for (line, out) in lines.zip(out.chunks_exact_mut(rect.width as usize).skip(to_row)) {
        out[to_col..to_col + n_cols].copy_from_slice(&line[from_col..from_col + n_cols]);
    }
    out
}

fn looks(work: &Predict) -> Looks {
    Looks {
        item: work.rect,
        scene: work.scene.size,
        window: work.window,
        mixing: work.mixing,
        batch: work.batch as usize,
        bands: work.model.bands as usize,
        n_classes: work.model.classes as usize,
    }
}

const fn kept(work: &Predict) -> Kept {
    Kept { scores: work.scores, confidence: work.confidence }
}

/// There are 255 classes at most.
const fn missing(work: &Predict) -> Missing {
    let null_class = work.null_class as u8;
    let in_map = match work.nodata {
        Some(nodata) => nodata,
        None => null_class,
    };
    Missing { in_map, null_class }
}

/// The predictor as the looks need it.
struct Shown<'a> {
    predictor: &'a mut dyn Predictor,
    batch: usize,
}

impl Network for Shown<'_> {
    type Error = ModelError;

    fn input(&mut self, n: usize) -> Result<&mut [f32], ModelError> {
        self.predictor.input(n)
    }

    fn run(&mut self, n: usize) -> Result<&[f32], ModelError> {
        metrics::showed(n, self.batch);
        self.predictor.run(n)
    }
}

fn infer(
    models: &mut Models,
    phases: &Phases,
    work: &Predict,
    files: &[swath_model::Files],
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
    let looks = looks(work);
    let mask = read.mask.as_deref();
    let windows = looks.windows(mask).map_err(JobError::internal)?;
    let edge_px = work.window.edge_px();
    let fill = |window: &Window, out: &mut [f32]| {
        let seen = WindowPx::new(window.input_col, window.input_row, edge_px, edge_px);
        read.scaler.scale(&read.block, seen, out);
    };
    let mut planes = Planes::new(work.rect, work.model.classes as usize, kept(work));
    let before = predictor.computed();
    let shown = looks.show(&windows, fill, &mut Shown { predictor, batch: looks.batch }, &mut planes);
    phases.forward(predictor.computed() - before);
    shown.map_err(|error| match error {
        BadLook::Cut(error) => JobError::internal(error),
        BadLook::Logits(error) => JobError::data(error),
        BadLook::Network(error) => error.into(),
    })?;
    if let Some(mask) = mask {
        planes.blank(mask, missing(work));
    }
    Ok(planes)
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
    for (name, plane) in [(pack::SCORES, planes.scores), (pack::CONFIDENCE, planes.confidence)] {
        products.extend(plane.map(|plane| encoded(name, plane)).transpose()?);
    }
    Ok(products)
}
