//! Finds the numeric class of this kind of worker and how long a window takes on it.

use std::time::Instant;

use swath_proto::{item::Probe, numeric::Probed};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    device::Key,
    failure::JobError,
    models,
};

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Probe) -> Result<Output, JobError> {
    let file = models::file(cx, &work.model).await?;
    let key = Key { model: work.model.clone(), window: work.window, batch: work.batch, threads: cx.threads };
    let probed = cx.device.run(cx.suspect(item), move |models| {
        let bands = key.model.bands as usize;
        let edge_px = key.window.edge_px() as usize;
        let predictor = models.get(&key, file)?;
        let n = key.batch as usize;
        let input = vec![0.5; n * edge_px * edge_px * bands];
        // Loading has run a batch already, so this one meets warm caches.
        let started = Instant::now();
        predictor.forward(&input, n)?;
        let seconds_per_window = started.elapsed().as_secs_f64() / n as f64;
        Ok(Probed::V1 { class: predictor.class().clone(), seconds_per_window })
    });
    json(&probed.await?, 0)
}
