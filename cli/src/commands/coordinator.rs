//! `swath coordinator`: serves every run under the root.

use swath_backends::{
    counted::counted,
    open::{Urls, open},
};
use swath_coordinator::{metrics::serve::Door, run::Me, serve::serve};

use crate::{
    args::{CoordinatorArgs, DoorArgs},
    config,
    exit::{Exit, Usage},
    signals::stop_on_signals,
};

pub(super) async fn run(args: CoordinatorArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let me = Me { name: config::process_name("coordinator"), lease: config::seconds("--lease", args.lease)? };
    let stop = stop_on_signals()?;
    let urls = config::urls(&doors);
    let mut doors = open(&urls).await?;
    if let Some(wanted) = args.metrics {
        let door = Door::open(wanted).await;
        let door = door.map_err(|error| Usage(format!("--metrics {wanted}: {error}")))?;
        doors = counted(doors);
        tracing::info!(address = %door.address, "metrics are shown");
        tokio::spawn(door.serve(doors.ledger.clone()));
    }
    let Urls { root, queue, ledger } = config::shown(&urls);
    tracing::info!(root, queue, ledger, "watching the root for runs");
    serve(doors, me, stop).await?;
    Ok(Exit::Done)
}
