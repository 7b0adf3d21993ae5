//! Small pictures of scenes for the report: imagery, labels, prediction and errors side by side. They are drawn beside the
//! work that has just been at the scene, of a few scenes an item, from overviews or a part. An item ends as well without.

use std::collections::BTreeSet;

use swath_geo::confusion::Confusion;
use swath_proto::{geometry::RectPx, item::ClassStyle, keys, scene::SceneHeader};
use swath_raster::{
    Raster, Reduction,
    picture::{Scene, Shown, compose, pixels},
    remote::with_passes,
};

use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// So many scenes of a lot have pictures where there are no labels: the first.
pub(super) const FIRST: u32 = 3;

/// A picture in the making: for each of its pixels the class of one pixel of the scene.
pub(super) struct Sample {
    scene: SceneHeader,
    shown: Shown,
    null_class: u8,
    truth: Option<Vec<u8>>,
    guess: Vec<u8>,
}

impl Sample {
    pub(super) fn with_labels(scene: &SceneHeader, shown: Shown, null_class: u8) -> Self {
        let n = shown.size().pixels() as usize;
        Self { scene: scene.clone(), shown, null_class, truth: Some(vec![0; n]), guess: vec![0; n] }
    }

    /// Takes what lies in a block of the scene.
    pub(super) fn take(&mut self, block: RectPx, truth: &[u8], guess: &[u8]) {
        let Shown { rect, level } = self.shown;
        let size = self.shown.size();
        let middle = (1_u32 << level) / 2;
        let row_of = |row: u32| rect.row + ((row << level) + middle).min(rect.height - 1);
        let col_of = |col: u32| rect.col + ((col << level) + middle).min(rect.width - 1);
        for row in (0..size.height).filter(|row| (block.row..block.bottom()).contains(&row_of(*row))) {
            for col in (0..size.width).filter(|col| (block.col..block.right()).contains(&col_of(*col))) {
                let line = (row_of(row) - block.row) as usize * block.width as usize;
                let from = line + (col_of(col) - block.col) as usize;
                let onto = row as usize * size.width as usize + col as usize;
                self.guess[onto] = guess[from];
                if let Some(plane) = &mut self.truth {
                    plane[onto] = truth[from];
                }
            }
        }
    }
}

/// Which part of a scene its picture is to show; none where it is to have no picture.
pub(super) async fn shown(cx: &Context, item: &Claimed, scene: &SceneHeader) -> Option<Shown> {
    // It may have been the picture at which its worker has crashed, or hung: no item is buried for that.
    if item.is_suspect() {
        return None;
    }
    if let Some(whole) = Shown::of_small(scene) {
        return Some(whole);
    }
    let of = scene.clone();
    let shown = reading(cx, item, scene, move || Ok(Shown::of(&of)?)).await;
    shown.unwrap_or_else(|error| {
        is_missing(scene, &error);
        None
    })
}

/// Draws a sample, and puts the picture beside the item's output.
pub(super) async fn put(cx: &Context, item: &Claimed, classes: &[ClassStyle], sample: Sample) {
    let scene = sample.scene.clone();
    if let Err(error) = try_put(cx, item, classes.to_vec(), sample).await {
        is_missing(&scene, &error);
    }
}

/// Of a map that is held against nothing.
pub(super) async fn put_of_map(
    cx: &Context,
    item: &Claimed,
    scene: &SceneHeader,
    map: &str,
    classes: &[ClassStyle],
) {
    let Some(shown) = shown(cx, item, scene).await else { return };
    let (header, map) = (scene.clone(), cx.blobs.uri(map));
    let sampled = move || -> Result<Sample, JobError> {
        let map = Raster::open(&map)?;
        let guess = map.read_part_reduced(shown.rect, shown.size(), &[1], Reduction::Nearest)?;
        let guess = guess.into_iter().map(|class| class as u8).collect();
        Ok(Sample { scene: header, shown, null_class: 0, truth: None, guess })
    };
    match cx.native(item, sampled).await {
        Ok(sample) => put(cx, item, classes, sample).await,
        Err(error) => is_missing(scene, &error),
    }
}

/// Those of an item's scenes that people want to see, of their F1: the first, the worst, and the best. So the worst and
/// the best of a run have pictures, whichever items they are in.
pub(super) fn chosen(f1: &[f64]) -> BTreeSet<usize> {
    let by_f1 = |one: &usize, other: &usize| f1[*one].total_cmp(&f1[*other]);
    let (worst, best) = ((0..f1.len()).min_by(by_f1), (0..f1.len()).max_by(by_f1));
    worst.into_iter().chain(best).chain((!f1.is_empty()).then_some(0)).collect()
}

/// As the report sorts scenes: the mean over the classes that are something; where nothing is there and nothing was found, by
/// the pixels that are right.
pub(super) fn f1(confusion: &Confusion, null_class: u32) -> f64 {
    let classes = (0..confusion.n_classes()).filter(|class| *class != null_class);
    let of_classes: Vec<f64> = classes.filter_map(|class| confusion.measures(class).f1).collect();
    match of_classes.len() {
        0 => confusion.accuracy().unwrap_or(-1.0),
        n => of_classes.iter().sum::<f64>() / n as f64,
    }
}

async fn try_put(
    cx: &Context,
    item: &Claimed,
    classes: Vec<ClassStyle>,
    sample: Sample,
) -> Result<(), JobError> {
    let scene = sample.scene.clone();
    let png = reading(cx, item, &scene, move || draw(&classes, &sample)).await?;
    cx.blobs.put_new(&keys::picture(&item.id, &scene.id), png.into()).await?;
    Ok(())
}

/// Runs native code that reads a scene's imagery, which items that come after prediction do not name.
async fn reading<T: Send + 'static>(
    cx: &Context,
    item: &Claimed,
    scene: &SceneHeader,
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    let uris: Vec<&str> = scene.source.files.iter().map(|file| file.uri.as_str()).collect();
    let outside = cx.outside.reached_as(&item.access);
    let passes = outside.passes(uris, &cx.blobs.uri("")).await.map_err(JobError::outside)?;
    cx.native(item, move || with_passes(passes, work)).await
}

fn draw(classes: &[ClassStyle], sample: &Sample) -> Result<Vec<u8>, JobError> {
    let Shown { rect, level } = sample.shown;
    let drawn = pixels::read(&sample.scene, rect, level)?;
    let ranges = if sample.scene.data_type == "Byte" { [(0.0, 255.0); 3] } else { drawn.ranges() };
    let shaded = drawn.shade(ranges);
    let imagery: Vec<u8> = shaded.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect();
    let picture = compose(&Scene {
        size: sample.shown.size(),
        imagery: &imagery,
        labels: sample.truth.as_deref(),
        prediction: &sample.guess,
        classes,
        null_class: sample.null_class,
    });
    picture.png().map_err(JobError::internal)
}

fn is_missing(scene: &SceneHeader, error: &JobError) {
    tracing::info!(scene = %scene.id, %error, "the report will have no picture of it");
}

#[cfg(test)]
mod tests {
    use swath_proto::{
        geometry::{SizePx, WindowPx},
        source::SourceSpec,
    };

    use super::*;

    fn scene(size: SizePx) -> SceneHeader {
        SceneHeader {
            id: "s".parse().unwrap(),
            source: SourceSpec::default(),
            size,
            places: vec![WindowPx::new(0, 0, size.width, size.height)],
            bands: 3,
            data_type: "Byte".into(),
            block: size,
            georeference: None,
            aoi: None,
        }
    }

    #[test]
    fn a_sample_is_the_same_however_the_scene_is_cut_into_blocks() {
        let scene = scene(SizePx::new(13, 11));
        let shown = Shown { rect: RectPx::new(0, 0, 13, 11), level: 2 };
        let sampled = |edge: u32| {
            let mut sample = Sample::with_labels(&scene, shown, 0);
            for row in (0..11).step_by(edge as usize) {
                for col in (0..13).step_by(edge as usize) {
                    let block = RectPx::new(col, row, edge.min(13 - col), edge.min(11 - row));
                    let at =
                        |n: u64| (block.row + n as u32 / block.width, block.col + n as u32 % block.width);
                    let places: Vec<(u32, u32)> = (0..block.pixels()).map(at).collect();
                    let truth: Vec<u8> = places.iter().map(|(row, _)| *row as u8).collect();
                    let guess: Vec<u8> = places.iter().map(|(_, col)| *col as u8).collect();
                    sample.take(block, &truth, &guess);
                }
            }
            (sample.truth, sample.guess)
        };
        let (truth, guess) = sampled(100);
        assert_eq!(guess, [2, 6, 10, 12].repeat(3), "the middle of each, and the last where there is none");
        assert_eq!(truth, Some([[2; 4], [6; 4], [10; 4]].concat()));
        assert_eq!(sampled(4), sampled(100));
        assert_eq!(sampled(5), sampled(100));
    }

    #[test]
    fn the_worst_and_the_best_of_an_item_are_drawn_and_no_more_than_three() {
        let of = |f1: &[f64]| chosen(f1).into_iter().collect::<Vec<_>>();
        assert_eq!(of(&[0.5, 0.9, 0.7, 0.1]), [0, 1, 3]);
        assert_eq!(of(&[0.5]), [0]);
        assert_eq!(of(&[]), [0_usize; 0]);
    }

    #[test]
    fn a_scene_without_anything_to_find_is_judged_by_what_is_right() {
        let of = |counts: [u64; 4]| f1(&Confusion::from_counts(2, counts.to_vec(), 0).unwrap(), 0);
        assert_eq!(of([9, 0, 0, 0]), 1.0);
        assert_eq!(of([9, 1, 0, 0]), 0.0, "what was found is not there");
        assert_eq!(of([0, 1, 1, 1]), 0.5);
        assert_eq!(of([0, 0, 0, 0]), -1.0);
    }
}
