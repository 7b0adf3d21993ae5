//! `swath schema`: what editors complete and check pipeline files by.

use swath_proto::pipeline;

use crate::{exit::Exit, say};

pub(super) fn run() -> anyhow::Result<Exit> {
    let mut json = serde_json::to_vec_pretty(&pipeline::schema())?;
    json.push(b'\n');
    say::bytes(&json);
    Ok(Exit::Done)
}
