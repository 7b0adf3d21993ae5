//! Cuts a stretch of a scene's windows into chips: image, labels and where both are from. What is kept is
//! one shard, beside the index of its bytes.

use swath_backends::blobs::Put;
use swath_geo::chips::{Counts, Keep, RandomWindows, SlidingWindows, Verdict};
use swath_proto::{
    chips::ChipEncoding,
    geometry::{RectPx, SizePx, WindowPx},
    item::Chip,
    keys,
    learn::{ChipWindows, Chipped},
    source::{ClassList, IGNORED, Scaling},
};
use swath_raster::{Aoi, Block, Coverage, Labels, Pixels, Source, labels};
use swath_shard::{EncodedChip, Encoding, Image, SampleType, Shape, ShardWriter, chip};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
    metrics,
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
    metrics::kept_chips(cut.chips);
    let mut read = work.scene.files();
    read.push(work.labels.file().clone());
    cx.check_all_unchanged(item, &read).await?;
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
    let source = Source::of_scene(&work.scene)?;
    let aoi = work.scene.aoi.as_ref().map(|aoi| Aoi::open(aoi, &work.scene)).transpose()?;
    let names: Vec<String> = work.classes.iter().map(|class| class.name.clone()).collect();
    let n_classes = names.len();
    let null_class = u8::try_from(work.null_class).map_err(JobError::data)?;
    let labels = Labels::open(&work.labels, &work.scene, &ClassList { names, null_class })?;
    let keep = Keep::new(work.keep.clone()).map_err(JobError::data)?;
    let mut writer = ShardWriter::new(Vec::new());
    let (mut chips, mut pixels, mut pixels_by_class) = (0, 0, vec![0; n_classes]);
    for (window, draw) in windows(work, aoi.as_ref())? {
        let block = source.read(window)?;
        let mut classes = classes(&labels, work.scene.size, &block)?;
        if let Some(aoi) = &aoi {
            aoi.ignore_outside(window, &mut classes);
        }
        let by_class = chip::histogram(&classes);
        let counts = Counts { pixels: window.size().pixels(), nodata: block.n_blank(), by_class: &by_class };
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
        let image = image(&source, block)?;
        let chip = chip::Chip {
            scene: work.scene.id.clone(),
            window,
            draw,
            source_pixel_crs,
            image,
            labels: classes,
        };
        let encoded = EncodedChip::with(&chip, encoding(work.encoding)).map_err(JobError::data)?;
        writer.push_encoded(encoded).map_err(JobError::data)?;
    }
    let (tar, index) = writer.finish().map_err(JobError::internal)?;
    let index = index.to_bytes().map_err(JobError::internal)?;
    Ok(Cut { tar, index, chips, pixels, pixels_by_class })
}

const fn encoding(asked: ChipEncoding) -> Encoding {
    match asked {
        ChipEncoding::Compressed => Encoding::Compressed,
        ChipEncoding::Stored => Encoding::Stored,
    }
}

/// The item's windows, and how random ones were found.
type Windows<'a> = Box<dyn Iterator<Item = (WindowPx, Option<chip::Draw>)> + 'a>;

/// Sliding windows touch the area of interest; random ones are drawn until they lie within it.
fn windows<'a>(work: &'a Chip, aoi: Option<&'a Aoi>) -> Result<Windows<'a>, JobError> {
    let is_covered =
        move |window, wanted: &[Coverage]| aoi.is_none_or(|aoi| wanted.contains(&aoi.covers(window)));
    match &work.windows {
        ChipWindows::Sliding(spec) => {
            let windows = SlidingWindows::new(work.scene.size, spec).map_err(JobError::data)?;
            let all = (work.from..work.to).filter_map(move |index| windows.nth(index));
            let touching = all.filter(move |window| is_covered(*window, &[Coverage::Part, Coverage::All]));
            Ok(Box::new(touching.map(|window| (window, None))))
        }
        ChipWindows::Random(spec) => {
            let seed = spec.seed;
            let mut windows = RandomWindows::new(work.scene.id.clone(), work.scene.size, spec.clone())
                .map_err(JobError::data)?;
            if let Some(bounds) = aoi.and_then(Aoi::bounds) {
                windows = windows.inside(bounds);
            }
            Ok(Box::new((work.from..work.to).filter_map(move |index| {
                let drawn = windows.nth(index, |window| is_covered(window, &[Coverage::All]))?;
                Some((drawn.window, Some(chip::Draw { seed, index, attempt: drawn.attempt })))
            })))
        }
    }
}

/// The class of each pixel of a window; those without data train nothing.
fn classes(from: &Labels, scene: SizePx, block: &Block) -> Result<Vec<u8>, JobError> {
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
        from.burn(inside, &mut burnt)?;
        let (right_of, below) = ((i64::from(left) - col) as usize, (i64::from(top) - row) as usize);
        for (number, line) in burnt.chunks_exact(inner_width as usize).enumerate() {
            let at = (below + number) * width as usize + right_of;
            classes[at..at + line.len()].copy_from_slice(line);
        }
    }
    if let Some(mask) = block.mask() {
        labels::ignore_where_zero(&mask.pixels, &mut classes);
    }
    Ok(classes)
}

/// Pixels as the network will be given them, in as few bytes as hold them exactly.
fn image(source: &Source, block: Block) -> Result<Image, JobError> {
    let size = block.window.size();
    let bands = block.bands as u32;
    let (samples, bytes) = match (&source.spec().scaling, block.pixels) {
        // What the trainer itself divides by the largest value.
        (Scaling::Cast | Scaling::WideStats { .. }, Pixels::U8(values)) => (SampleType::Uint8, values),
        (Scaling::Cast, Pixels::U16(values)) => {
            (SampleType::Uint16, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        (scaling, pixels) => {
            let window = block.window;
            let mut values = vec![0.0; pixels.len()];
            source.scaler().scale(&Block { pixels, ..block }, window, &mut values);
            match scaling {
                Scaling::Stats { .. } | Scaling::WideStats { .. } => {
                    // 256 levels.
                    (SampleType::Uint8, values.iter().map(|value| (value * 255.0).round() as u8).collect())
                }
                _ => (SampleType::Float32, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            }
        }
    };
    Image::new(Shape::new(size, bands, samples), bytes).map_err(JobError::data)
}
