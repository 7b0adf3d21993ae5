//! `swath coordinator`: serves every run under the root.

use swath_backends::open::open;
use swath_coordinator::{run::Me, serve::serve};

use crate::{
    args::{CoordinatorArgs, DoorArgs},
    config,
    exit::Exit,
    signals::stop_on_signals,
};

pub(super) async fn run(args: CoordinatorArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let me = Me { name: config::process_name("coordinator"), lease: config::seconds("--lease", args.lease)? };
    let stop = stop_on_signals()?;
    let doors = open(&config::urls(&doors)).await?;
    tracing::info!("watching the root for runs");
    serve(doors, me, stop).await?;
    Ok(Exit::Done)
}
