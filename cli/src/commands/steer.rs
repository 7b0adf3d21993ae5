//! `swath pause|resume|cancel|priority`: a wish under the root, for whichever coordinator serves the run.

use std::sync::Arc;

use swath_backends::open::{look_at_blobs, open};
use swath_coordinator::{
    commands::{self, Command},
    records::read_status,
    run::{self, LEASE, Me},
};
use swath_proto::{ids::RunId, keys, status::RunState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cost;
use crate::{
    args::DoorArgs,
    config,
    exit::{self, Exit, Usage},
    served::{Office, Served},
};

pub(super) async fn run(run: RunId, wish: Command, doors: DoorArgs) -> anyhow::Result<Exit> {
    let root = look_at_blobs(&doors.root).await?;
    if root.head(&keys::run_record(&run)).await?.is_none() {
        return Err(Usage(format!("there is no run '{run}' under {}; see: swath status", doors.root)).into());
    }
    let state = read_status(&root, &run).await?.map(|status| status.state);
    let refusal = match (&wish, state) {
        (Command::Resume, Some(RunState::Done)) => Some("is done: there is nothing to resume"),
        (Command::Pause | Command::Cancel | Command::Rank(_), Some(state)) if state.is_final() => {
            Some("is over already")
        }
        _ => None,
    };
    if let Some(why) = refusal {
        return Err(Usage(format!("{run} {why}")).into());
    }
    let served = Office::open(&doors).await.takes(&run, state, &root.uri("")).await;
    commands::give(&root, &run, &wish).await?;
    match (served, &wish) {
        (Served::Yes, _) => say!("asked; the coordinator takes it within seconds. See: swath status {run}"),
        (Served::No, Command::Cancel) => match obey(&run, &doors).await {
            Ok(()) => say!("{run}: cancelled"),
            Err(error) if exit::code(&error) == Exit::Unreachable => {
                note!("it can't be ended from here: {error:#}");
                noted();
            }
            Err(error) => return Err(error),
        },
        (Served::No, _) => noted(),
        (Served::Unknown, _) => say!(
            "asked; it is taken within seconds if a coordinator serves this run, which can't be seen from here: \
             --ledger can't be asked. See: swath status {run}"
        ),
    }
    Ok(Exit::Done)
}

fn noted() {
    say!(
        "noted, but no coordinator serves this run now: it is taken as soon as one does (swath coordinator, or \
         swath run with the same file)"
    );
}

/// Nobody else does: takes the office for as long as it takes to end the run.
async fn obey(run: &RunId, doors: &DoorArgs) -> anyhow::Result<()> {
    let prices = Some(Arc::new(cost::prices(doors)?));
    let doors = open(&config::urls(doors)).await?;
    let me = Me { name: config::process_name("cancel"), lease: LEASE, prices };
    let (watch, _) = watch::channel(None);
    run::serve(run, &doors, &me, watch, CancellationToken::new()).await?;
    Ok(())
}
