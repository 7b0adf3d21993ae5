//! `swath schema`: what editors complete and check pipeline files by.

use std::io::Write as _;

use swath_proto::pipeline;

use crate::exit::Exit;

pub(super) fn run() -> anyhow::Result<Exit> {
    let mut json = serde_json::to_vec_pretty(&pipeline::schema())?;
    json.push(b'\n');
    std::io::stdout().write_all(&json)?;
    Ok(Exit::Done)
}
