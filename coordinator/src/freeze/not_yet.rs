//! Words of the pipeline file that this version reads and does not act on. They are refused, since
//! what is ignored in silence is found out on the map. Whoever wires one takes it away here.

use anyhow::bail;
use swath_proto::pipeline::Pipeline;

pub(super) fn refuse(pipeline: &Pipeline) -> anyhow::Result<()> {
    if !pipeline.steps.is_empty() {
        bail!("this version can't do yet what the pipeline asks for: [[steps]]");
    }
    Ok(())
}
