//! Measures the pixels of a rectangle: all of them, before scaling.

use swath_geo::stats::Analyzed;
use swath_proto::item::Analyze;
use swath_raster::Source;

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Analyze) -> Result<Output, JobError> {
    let wanted = work.clone();
    let measure = move || Ok(swath_raster::analyze(&Source::of_scene(&wanted.scene)?, wanted.rect)?);
    let statistics = cx.native(item, measure).await?;
    cx.check_all_unchanged(item, &work.scene.source.files).await?;
    json(&Analyzed::V1 { statistics }, work.rect.pixels())
}
