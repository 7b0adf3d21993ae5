//! `swath coordinator`: serves every run under the root.

use swath_backends::open::{Urls, open};
use swath_coordinator::{live::Live, run::Me, serve::serve};

use crate::{
    args::{CoordinatorArgs, DoorArgs},
    config,
    exit::Exit,
    page,
    signals::stop_on_signals,
};

pub(super) async fn run(args: CoordinatorArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let me = Me { name: config::process_name("coordinator"), lease: config::seconds("--lease", args.lease)? };
    let wanted = page::wanted(&args.http)?;
    let stop = stop_on_signals()?;
    let urls = config::urls(&doors);
    let doors = open(&urls).await?;
    let live = Live::default();
    let page = page::open(wanted, &doors, &urls, &live).await?;
    let Urls { root, queue, ledger } = config::shown(&urls);
    tracing::info!(root, queue, ledger, "watching the root for runs");
    let served = serve(doors, me, live, stop).await;
    if let Some(page) = page {
        page.end().await;
    }
    served?;
    Ok(Exit::Done)
}
