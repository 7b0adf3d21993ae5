//! `swath picture`: a scene of a run as a PNG for people.

use std::path::PathBuf;

use anyhow::Context as _;
use swath_backends::open::open_blobs;
use swath_coordinator::plan::PlannedScene;
use swath_geo::pyramid::{level_size, reduce_classes};
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    keys,
    scene::SceneHeader,
    source::{Scaling, SourceSpec},
};
use swath_raster::{
    Kind, Labels, Raster, Reduction, Source,
    picture::{Canvas, Scene, compose},
    remote::with_passes,
};

use crate::{
    args::{DoorArgs, PictureArgs},
    exit::{Exit, Usage},
    made::Made,
};

/// Rows of labels that are burnt at a time, at least.
const STRIP: u32 = 256;

pub(super) async fn run(args: PictureArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    if !(64..=8192).contains(&args.panel) {
        return Err(Usage(format!("--panel {}: must be 64 to 8192 pixels", args.panel)).into());
    }
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let root = open_blobs(&doors.root).await?;
    let made = Made::of(&args.run, &root).await?;
    let scene = choose(&made, &args)?;
    let id = &scene.header.id;
    let predicted = root.uri(&keys::prediction(&args.run, id));
    let passes = made.passes(&root).await?;
    let picture = with_passes(passes, || draw(&made, scene, &args, &predicted))?;

    let file = args.output.unwrap_or_else(|| PathBuf::from(format!("{}-{id}.png", args.run)));
    std::fs::write(&file, picture.png()?).with_context(|| format!("writing {}", file.display()))?;
    say!("{}", file.display());
    Ok(Exit::Done)
}

fn draw(made: &Made, scene: &PlannedScene, args: &PictureArgs, predicted: &str) -> anyhow::Result<Canvas> {
    let id = &scene.header.id;
    let predicted = Raster::open(predicted).map_err(|error| match error.kind {
        Kind::Missing => Usage(format!("{id} is not predicted yet; see: swath status {}", args.run)).into(),
        _ => anyhow::Error::from(error),
    })?;

    let level = level(scene.header.size, args.panel);
    let size = level_size(scene.header.size, level);
    let prediction = predicted.read_reduced(size, &[1], Reduction::Nearest)?;
    let (null_class, nodata) = (made.record.null_class as u8, predicted.nodata());
    // What does not count is of the null class, whatever stands for it in the map.
    let class = |value: f32| if Some(value as u8) == nodata { null_class } else { value as u8 };
    let prediction: Vec<u8> = prediction.into_iter().map(class).collect();
    let labels = made.labels(scene)?.map(|labels| burn(&labels, scene.header.size, level)).transpose()?;
    Ok(compose(&Scene {
        size,
        imagery: &imagery(scene, size)?,
        labels: labels.as_deref(),
        prediction: &prediction,
        classes: &made.record.classes,
        null_class,
    }))
}

fn choose<'a>(made: &'a Made, args: &PictureArgs) -> anyhow::Result<&'a PlannedScene> {
    let labelled = || made.scenes().find(|scene| scene.files.labels.is_some());
    let found = match &args.scene {
        Some(id) => made.scenes().find(|scene| scene.header.id == *id),
        None => labelled().or_else(|| made.scenes().next()),
    };
    let ids =
        || made.scenes().take(5).map(|scene| scene.header.id.to_string()).collect::<Vec<_>>().join(", ");
    let missing = || match &args.scene {
        Some(id) => format!("{} predicts no scene '{id}'; it predicts {}", args.run, ids()),
        None => format!("{} predicts no scene", args.run),
    };
    Ok(found.ok_or_else(|| Usage(missing()))?)
}

/// The largest level of the scene's pyramid that fits.
fn level(scene: SizePx, edge_px: u32) -> u32 {
    let fits = |level: &u32| {
        let size = level_size(scene, *level);
        size.width.max(size.height) <= edge_px
    };
    (0..32).find(fits).unwrap_or(32)
}

/// The labels as the prediction's overviews would show them.
fn burn(labels: &Labels, scene: SizePx, level: u32) -> anyhow::Result<Vec<u8>> {
    // Rows of a strip are whole rows of the level.
    let strip = STRIP.max(1 << level.min(31));
    let mut out = Vec::new();
    for row in (0..scene.height).step_by(strip as usize) {
        let rect = RectPx::new(0, row, scene.width, strip.min(scene.height - row));
        let mut plane = vec![0; rect.pixels() as usize];
        labels.burn(rect, &mut plane)?;
        for above in 0..level {
            plane = reduce_classes(&plane, level_size(rect.size(), above));
        }
        out.append(&mut plane);
    }
    Ok(out)
}

/// Three bands as red, green and blue; of fewer, the first in grey.
fn imagery(scene: &PlannedScene, size: SizePx) -> anyhow::Result<Vec<u8>> {
    let header = &scene.header;
    let shown: [u32; 3] = match header.source.bands.as_slice() {
        [red, green, blue, ..] => [*red, *green, *blue],
        [one, ..] => [*one; 3],
        [] if header.bands >= 3 => [0, 1, 2],
        [] => [0; 3],
    };
    let is_whole_file =
        header.places.as_slice() == [RectPx::new(0, 0, header.size.width, header.size.height).into()];
    let values = match header.source.files.as_slice() {
        // With its overviews.
        [file] if is_whole_file => {
            let bands = shown.map(|band| band as usize + 1);
            Raster::open(&file.uri)?.read_reduced(size, &bands, Reduction::Mean)?
        }
        _ => reduced(header, shown, size)?,
    };
    if scene.header.data_type == "Byte" {
        return Ok(values.into_iter().map(|value| value.round() as u8).collect());
    }
    let ranges = [0, 1, 2].map(|band| range(values.iter().skip(band).step_by(3)));
    let shade = |(at, value): (usize, &f32)| {
        let (low, high) = ranges[at % 3];
        (255.0 * (value - low) / (high - low).max(f32::MIN_POSITIVE)).round() as u8
    };
    Ok(values.iter().enumerate().map(shade).collect())
}

/// The mean of the pixels that fall on each of fewer.
fn reduced(header: &SceneHeader, bands: [u32; 3], size: SizePx) -> anyhow::Result<Vec<f32>> {
    let spec = SourceSpec { bands: bands.into(), scaling: Scaling::None, ..header.source.clone() };
    let source = Source::open_at(&spec, &header.layout())?;
    let (mut sums, mut counts) = (vec![0.0; size.pixels() as usize * 3], vec![0_u32; size.pixels() as usize]);
    let to = |at: u32, from: u32, onto: u32| (u64::from(at) * u64::from(onto) / u64::from(from)) as usize;
    let SizePx { width, height } = header.size;
    for row in (0..height).step_by(STRIP as usize) {
        let strip = WindowPx::new(0, row.into(), width, STRIP.min(height - row));
        let pixels = source.read_scaled(strip)?.values;
        for (line, pixels) in (row..).zip(pixels.chunks_exact(width as usize * 3)) {
            let first = to(line, height, size.height) * size.width as usize;
            for (col, pixel) in (0..).zip(pixels.chunks_exact(3)) {
                let at = first + to(col, width, size.width);
                counts[at] += 1;
                sums[at * 3..at * 3 + 3].iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    sums.chunks_exact_mut(3)
        .zip(&counts)
        .for_each(|(sum, n)| sum.iter_mut().for_each(|sum| *sum /= *n as f32));
    Ok(sums)
}

/// What most values lie in: the outermost fiftieths are left out.
fn range<'a>(values: impl Iterator<Item = &'a f32>) -> (f32, f32) {
    let mut values: Vec<f32> = values.copied().filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return (0.0, 1.0);
    }
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len() - 1;
    (values[last / 50], values[last - last / 50])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_shown_as_large_as_fits() {
        assert_eq!(level(SizePx::new(1000, 1024), 1024), 0);
        assert_eq!(level(SizePx::new(1025, 10), 1024), 1);
        assert_eq!(level(SizePx::new(30_000, 30_000), 1024), 5);
    }

    #[test]
    fn the_outermost_values_do_not_decide_how_bright_the_rest_is() {
        let mut values: Vec<f32> = (0..100).map(|value| value as f32).collect();
        values.extend([9e9, f32::NAN]);
        let (low, high) = range(values.iter());
        assert!((low, high) == (2.0, 98.0), "{low} {high}");
    }
}
