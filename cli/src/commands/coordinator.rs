//! `swath coordinator`: serves every run under the root.

use swath_backends::open::open;
use swath_coordinator::serve::serve;

use super::stop_on_signals;
use crate::{args::DoorArgs, config, exit::Exit};

pub(super) async fn run(doors: DoorArgs) -> anyhow::Result<Exit> {
    let stop = stop_on_signals()?;
    let doors = open(&config::urls(&doors)).await?;
    tracing::info!("watching the root for runs");
    serve(doors, config::process_name("coordinator"), stop).await?;
    Ok(Exit::Done)
}
