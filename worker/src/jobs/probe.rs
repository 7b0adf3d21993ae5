//! Finds the numeric class of this kind of worker and how long a window takes on it; before that, where it is asked
//! for, whether the network can be computed in 8 bits.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use swath_model::{Files, Ranges};
use swath_proto::{
    item::{Calibrate, DeviceName, ModelRef, Precision, Probe},
    keys,
    numeric::{Int8, Probed},
};
use swath_train::{Calibrated, Store};

use super::{Output, json, train};
use crate::{
    context::{Claimed, Context},
    device::Key,
    failure::JobError,
    models,
};

/// A first pass that takes as long says well enough how long others take.
const LONG: Duration = Duration::from_millis(300);

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Probe) -> Result<Output, JobError> {
    let mut model = work.model.clone();
    let mut files = models::files(cx, &model).await?;
    let int8 = match (&work.int8, files.as_mut_slice()) {
        (Some(calibrate), [files]) => Some(self::int8(cx, item, (&mut model, files), calibrate).await?),
        (Some(_), _) => {
            return Err(JobError::data(anyhow!(
                "several networks together are not tried in 8 bits: predict with fp32"
            )));
        }
        (None, _) => None,
    };
    let key = Key { model, window: work.window, batch: work.batch, threads: cx.threads };
    let probed = cx.device.run(cx.suspect(item), move |models| {
        let predictor = models.get(&key, &files)?;
        let n = key.batch as usize;
        let mut took = predictor.first_pass();
        // Cold caches make much of a short one, and a card's first is unlike all others.
        if took < LONG || key.model.device != DeviceName::Cpu {
            predictor.input(n)?.fill(0.5);
            let started = Instant::now();
            predictor.run(n)?;
            took = started.elapsed();
        }
        let seconds_per_window = took.as_secs_f64() / n as f64;
        Ok(Probed::V1 { class: predictor.class().clone(), seconds_per_window, int8 })
    });
    json(&probed.await?, 0)
}

/// Tries 8 bits, and goes on with them where they are good enough.
async fn int8(
    cx: &Context,
    item: &Claimed,
    (model, files): (&mut ModelRef, &mut Files),
    Calibrate { spec, inputs }: &Calibrate,
) -> Result<Int8, JobError> {
    let inputs = train::inputs(cx, item, inputs).await?;
    let training = train::shards(cx, &inputs.train, &mut vec![0; spec.classes as usize]).await?;
    let validation = train::shards(cx, &inputs.validation, &mut Vec::new()).await?;
    let store = Store::new(cx.blobs.clone(), tokio::runtime::Handle::current());
    let (spec, threads) = (spec.clone(), cx.threads);
    let (whole, of_whole) = (model.clone(), files.clone());
    let work = move || -> Result<(Ranges, Int8), JobError> {
        let calibrated = Calibrated {
            model: &whole,
            files: &of_whole,
            spec: &spec,
            train: &training,
            validation: &validation,
            store: &store,
            threads,
        };
        Ok(calibrated.run()?)
    };
    let (ranges, int8) = cx.native(item, work).await?;
    cx.blobs.put_new(&keys::ranges(&int8.ranges), ranges.to_json().into()).await?;
    let lost_points = int8.lost() * 100.0;
    if int8.is_accepted() {
        tracing::info!(chips = int8.chips, lost_points, "the network computes in 8 bits");
        model.precision = Precision::Int8(int8.ranges);
        files.ranges = Some(ranges);
    } else {
        tracing::warn!(chips = int8.chips, lost_points, "8 bits are not good enough: 32 are used");
    }
    Ok(int8)
}
