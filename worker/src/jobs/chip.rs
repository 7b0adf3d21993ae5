//! Cuts a stretch of a scene's windows into chips: image, labels and where both are from. What is kept is
//! one shard, beside the index of its bytes.

use anyhow::anyhow;
use swath_backends::blobs::Put;
use swath_geo::chips::{Counts, Keep, RandomWindows, SlidingWindows, Verdict};
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    item::Chip,
    keys,
    learn::{ChipWindows, Chipped},
    source::{ClassList, GeoJsonLabels, IGNORED, LabelSpec, SourceSpec},
};
use swath_raster::{Block, Labels, Pixels, Source};
use swath_shard::{Image, SampleType, Shape, ShardWriter, chip};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// What came of the windows.
struct Cut {
    tar: Vec<u8>,
    index: Vec<u8>,
    chips: u64,
    pixels: u64,
    pixels_by_class: Vec<u64>,
}

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Chip) -> Result<Output, JobError> {
    let wanted = work.clone();
    let cut = cx.native(item, move || cut(&wanted)).await?;
    cx.check_unchanged(&work.scene.image).await?;
    cx.check_unchanged(&work.labels).await?;
    let (mut shard, mut index) = (None, None);
    if cut.chips > 0 {
        // The same item makes the same bytes, so whoever was first has written these.
        for (key, body, named) in
            [(keys::shard(&item.id).0, cut.tar, &mut shard), (keys::shard(&item.id).1, cut.index, &mut index)]
        {
            if cx.blobs.put_new(&key, body.into()).await? == Put::Exists {
                tracing::debug!(key, "it is there already");
            }
            *named = Some(key);
        }
    }
    let windows = work.to - work.from;
    let chipped =
        Chipped::V1 { shard, index, chips: cut.chips, windows, pixels_by_class: cut.pixels_by_class };
    json(&chipped, cut.pixels)
}

fn cut(work: &Chip) -> Result<Cut, JobError> {
    let bands = (0..work.bands).collect();
    let source = Source::open(&SourceSpec { bands, ..SourceSpec::new(vec![work.scene.image.clone()]) })?;
    let names: Vec<String> = work.classes.iter().map(|class| class.name.clone()).collect();
    let n_classes = names.len();
    let null_class = u8::try_from(work.null_class).map_err(JobError::data)?;
    let spec = LabelSpec::GeoJson(GeoJsonLabels::new(work.labels.clone()));
    let labels = Labels::open(&spec, &work.scene, &ClassList { names, null_class })?;
    let keep = Keep::new(work.keep.clone()).map_err(JobError::data)?;
    let mut writer = ShardWriter::new(Vec::new());
    let (mut chips, mut pixels, mut pixels_by_class) = (0, 0, vec![0; n_classes]);
    for (window, draw) in windows(work)? {
        let block = source.read(window)?;
        let classes = classes(&labels, work.scene.size, &block)?;
        let mut by_class = vec![0_u64; usize::from(IGNORED) + 1];
        classes.iter().for_each(|class| by_class[usize::from(*class)] += 1);
        let counts = Counts {
            pixels: window.size().pixels(),
            nodata: window.size().pixels() - block.n_valid(),
            by_class: &by_class,
        };
        if keep.decide(&work.scene.id, window, counts) != Verdict::Kept {
            continue;
        }
        pixels_by_class.iter_mut().zip(&by_class).for_each(|(sum, n)| *sum += n);
        pixels += window.size().pixels();
        chips += 1;
        let source_pixel_crs = work.scene.georeference.as_ref().map(|georeference| {
            let [_, a, b, _, c, d] = georeference.crs_from_pixel;
            [a.hypot(c), b.hypot(d)]
        });
        let image = image(window.size(), work.bands, block.pixels)?;
        let chip = chip::Chip {
            scene: work.scene.id.clone(),
            window,
            draw,
            source_pixel_crs,
            image,
            labels: classes,
        };
        writer.push(&chip).map_err(JobError::data)?;
    }
    let (tar, index) = writer.finish().map_err(JobError::internal)?;
    let index = index.to_bytes().map_err(JobError::internal)?;
    Ok(Cut { tar, index, chips, pixels, pixels_by_class })
}

/// The item's windows, and how random ones were found.
type Windows = Box<dyn Iterator<Item = (WindowPx, Option<chip::Draw>)>>;

fn windows(work: &Chip) -> Result<Windows, JobError> {
    match &work.windows {
        ChipWindows::Sliding(spec) => {
            let windows = SlidingWindows::new(work.scene.size, spec).map_err(JobError::data)?;
            Ok(Box::new((work.from..work.to).filter_map(move |index| Some((windows.nth(index)?, None)))))
        }
        ChipWindows::Random(spec) => {
            let seed = spec.seed;
            let windows = RandomWindows::new(work.scene.id.clone(), work.scene.size, spec.clone())
                .map_err(JobError::data)?;
            Ok(Box::new((work.from..work.to).filter_map(move |index| {
                let drawn = windows.nth(index, |_| true)?;
                Some((drawn.window, Some(chip::Draw { seed, index, attempt: drawn.attempt })))
            })))
        }
    }
}

/// The class of each pixel of a window; those without data train nothing.
fn classes(labels: &Labels, scene: SizePx, block: &Block) -> Result<Vec<u8>, JobError> {
    let WindowPx { col, row, width, height } = block.window;
    let mut classes = vec![IGNORED; block.window.size().pixels() as usize];
    let clip = |at: i64, len: u32, end: u32| {
        let (from, to) = (at.clamp(0, i64::from(end)), (at + i64::from(len)).clamp(0, i64::from(end)));
        (from as u32, (to - from) as u32)
    };
    let ((left, inner_width), (top, inner_height)) =
        (clip(col, width, scene.width), clip(row, height, scene.height));
    let inside = RectPx::new(left, top, inner_width, inner_height);
    if inside.pixels() > 0 {
        let mut burnt = vec![0; inside.pixels() as usize];
        labels.burn(inside, &mut burnt)?;
        let (right_of, below) = ((i64::from(left) - col) as usize, (i64::from(top) - row) as usize);
        for (number, line) in burnt.chunks_exact(inner_width as usize).enumerate() {
            let at = (below + number) * width as usize + right_of;
            classes[at..at + line.len()].copy_from_slice(line);
        }
    }
    if let Some(mask) = block.mask() {
        let missing = classes.iter_mut().zip(&mask.pixels).filter(|(_, valid)| **valid == 0);
        missing.for_each(|(class, _)| *class = IGNORED);
    }
    Ok(classes)
}

fn image(size: SizePx, bands: u32, pixels: Pixels) -> Result<Image, JobError> {
    let (samples, bytes) = match pixels {
        Pixels::U8(values) => (SampleType::Uint8, values),
        Pixels::U16(values) => (SampleType::Uint16, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Pixels::F32(values) => (SampleType::Float32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        other => {
            return Err(JobError::data(anyhow!("pixels of type {} can't be trained on", other.type_name())));
        }
    };
    Image::new(Shape::new(size, bands, samples), bytes).map_err(JobError::data)
}
