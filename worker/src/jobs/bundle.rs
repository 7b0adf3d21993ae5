//! Packs the network with all that is needed to predict with it.

use anyhow::{Context as _, anyhow};
use swath_bundle::{Int8, Model, Summary};
use swath_proto::{finished::Bundled, ids::Digest, item::Bundle};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
    models,
};

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Bundle) -> Result<Output, JobError> {
    let swath_model::Files { weights, ranges } = models::files_of(cx, &work.model).await?;
    let weights = weights.ok_or_else(|| {
        JobError::data(anyhow!(
            "weights that are drawn from a seed are no model to pack: train them, or name a file"
        ))
    })?;
    let eval = match &work.eval {
        Some((key, _)) => Some(cx.blobs.get(key).await?),
        None => None,
    };
    let metrics = match &eval {
        Some(json) => Summary::of_eval(json).context("reading eval.json").map_err(JobError::data)?,
        None => None,
    };
    let model = Model {
        architecture: work.model.architecture,
        bands: work.model.bands,
        classes: work.classes.clone(),
        null_class: work.null_class,
        window: work.window,
        seen_px: work.model.seen_px,
        batch: work.batch,
        pixels: work.pixels.clone(),
        metrics,
        int8: work.int8.clone().map(|int8| Int8 {
            chips: int8.chips,
            f1_fp32: int8.f1_fp32,
            f1_int8: int8.f1_int8,
            ranges: ranges.map(Into::into),
        }),
    };
    let pack = move || {
        swath_bundle::write(Vec::new(), env!("CARGO_PKG_VERSION"), &model, &weights, eval.as_deref())
            .map_err(JobError::data)
    };
    let body = cx.native(item, pack).await?;
    let (bytes, sha256) = (body.len() as u64, Some(Digest::of(&body)));
    cx.blobs.put(&work.output, body.into()).await?;
    json(&Bundled::V1 { key: work.output.clone(), bytes, sha256 }, 0)
}
