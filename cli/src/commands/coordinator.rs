//! `swath coordinator`: serves every run under the root, and starts workers for them where it is asked to.

use std::sync::Arc;

use swath_backends::{
    counted::counted,
    door::Door,
    open::{Urls, open},
};
use swath_coordinator::{
    fleet::control::{Setup, control},
    live::Live,
    metrics,
    run::Me,
    serve::serve_sharing,
    sharing::Sharing,
};

use super::cost;
use crate::{
    args::{CoordinatorArgs, DoorArgs},
    config,
    exit::{Exit, Usage},
    fleet, page,
    signals::stop_on_signals,
};

pub(super) async fn run(args: CoordinatorArgs, door_args: DoorArgs) -> anyhow::Result<Exit> {
    let me = Me {
        name: config::process_name("coordinator"),
        lease: config::seconds("--lease", args.lease)?,
        prices: Some(Arc::new(cost::prices(&door_args)?)),
    };
    let wanted = page::wanted(&args.http)?;
    let setup = fleet::open(args.fleet, &door_args, args.metrics).await?;
    let stop = stop_on_signals()?;
    let urls = config::urls(&door_args);
    let mut doors = open(&urls).await?;
    if let Some(wanted) = args.metrics {
        let door = Door::open(wanted).await;
        let door = door
            .map_err(|error| Usage(format!("--metrics {wanted}: {error}; port 0 takes any that is free")))?;
        doors = counted(doors);
        tracing::info!(address = %door.address, "metrics are shown");
        tokio::spawn(metrics::serve::serve(door, doors.ledger.clone()));
    }
    let Urls { root, queue, ledger } = config::shown(&urls);
    tracing::info!(root, queue, ledger, "watching the root for runs");
    let (sharing, live) = (Sharing::default(), Live::default());
    let page = page::open(wanted, &doors, &door_args, &live).await?;
    let serves = serve_sharing(doors.clone(), me.clone(), sharing.clone(), live, stop.clone());
    let served = match setup {
        None => serves.await,
        Some(setup) => {
            let Setup { policy, provider, provider_name, .. } = &setup;
            let (cpu, gpu) = (policy.kinds.cpu.max, policy.kinds.gpu.max);
            tracing::info!(provider = provider_name, cpu, gpu, "starting workers as they are needed");
            let provider = Arc::clone(provider);
            // Whatever ends one of them ends the other.
            let ends = stop.clone();
            let served = async {
                let served = serves.await;
                ends.cancel();
                served
            };
            let (served, ()) = tokio::join!(served, control(setup, doors, me, sharing, stop));
            // The last to hold it waits for the workers of this machine, which hand back what they can't finish.
            tokio::task::spawn_blocking(move || drop(provider)).await?;
            served
        }
    };
    if let Some(page) = page {
        page.end().await;
    }
    served?;
    Ok(Exit::Done)
}
