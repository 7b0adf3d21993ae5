//! Counts a scene's prediction against its labels, block by block.

use anyhow::anyhow;
use swath_geo::confusion::Confusion;
use swath_proto::{
    geometry::{RectPx, SizePx},
    item::Eval,
    score::SceneScore,
    source::ClassList,
};
use swath_raster::{Aoi, Kind, Labels, Pixels, Raster, picture::Shown};

use super::{
    Output, json,
    pictures::{self, Sample},
};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// Edge of what is compared at a time: bounds the memory, whatever the scene.
const BLOCK_PX: u32 = 2048;

/// What comes of a scene.
pub(super) struct Counted {
    pub(super) score: SceneScore,
    pub(super) f1: f64,
    /// For its picture.
    pub(super) sample: Option<Sample>,
}

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Eval) -> Result<Output, JobError> {
    let Counted { score, sample, .. } = counted(cx, item, work).await?;
    if let Some(sample) = sample {
        pictures::put(cx, item, &work.classes, sample).await;
    }
    json(&score, work.scene.size.pixels())
}

pub(super) async fn counted(cx: &Context, item: &Claimed, work: &Eval) -> Result<Counted, JobError> {
    let prediction = cx.blobs.uri(&work.prediction);
    let shown = pictures::shown(cx, item, &work.scene).await;
    let wanted = work.clone();
    let counted = cx.native(item, move || count(&wanted, &prediction, shown)).await?;
    let aoi = work.scene.aoi.iter().flat_map(|aoi| &aoi.files).cloned();
    let read: Vec<_> = aoi.chain([work.labels.file().clone()]).collect();
    cx.check_all_unchanged(item, &read).await?;
    Ok(counted)
}

fn count(work: &Eval, prediction: &str, shown: Option<Shown>) -> Result<Counted, JobError> {
    let predicted = Raster::open(prediction).map_err(|error| match error.kind {
        Kind::Missing => JobError::MissingInputs {
            places: vec![work.producer],
            message: format!("{} is gone", work.prediction),
        },
        _ => error.into(),
    })?;
    let names = work.classes.iter().map(|class| class.name.clone()).collect();
    let null_class = u8::try_from(work.null_class).map_err(JobError::data)?;
    let labels = Labels::open(&work.labels, &work.scene, &ClassList { names, null_class })?;
    let aoi = work.scene.aoi.as_ref().map(|aoi| Aoi::open(aoi, &work.scene)).transpose()?;
    let mut confusion = Confusion::new(work.classes.len() as u32).map_err(JobError::data)?;
    let mut sample = shown.map(|shown| Sample::with_labels(&work.scene, shown, null_class));
    let mut truth = Vec::new();
    let SizePx { width, height } = work.scene.size;
    for row in (0..height).step_by(BLOCK_PX as usize) {
        for col in (0..width).step_by(BLOCK_PX as usize) {
            let rect = RectPx::new(col, row, BLOCK_PX.min(width - col), BLOCK_PX.min(height - row));
            let Pixels::U8(mut guess) = predicted.read(i64::from(col), i64::from(row), rect.size(), &[1])?
            else {
                return Err(JobError::data(anyhow!(
                    "{} is no raster of 8 bits, which the run has written there: delete it and replay the item",
                    work.prediction
                )));
            };
            // What does not count is predicted as the null class, whatever stands for it in the map.
            if let Some(nodata) = work.nodata {
                guess.iter_mut().filter(|guess| **guess == nodata).for_each(|guess| *guess = null_class);
            }
            truth.resize(guess.len(), 0);
            labels.burn(rect, &mut truth)?;
            if let Some(aoi) = &aoi {
                aoi.ignore_outside(rect.into(), &mut truth);
            }
            confusion.add(&truth, &guess).map_err(JobError::data)?;
            if let Some(sample) = &mut sample {
                sample.take(rect, &truth, &guess);
            }
            // Tiles of up to 2,048 px lie in one block each: no other block needs them again.
            predicted.forget_pixels();
        }
    }
    let score = SceneScore::V1 {
        scene: work.scene.id.clone(),
        classes: work.classes.iter().map(|class| class.name.clone()).collect(),
        counts: confusion.counts().to_vec(),
        ignored: confusion.ignored(),
    };
    Ok(Counted { score, f1: pictures::f1(&confusion, work.null_class), sample })
}
