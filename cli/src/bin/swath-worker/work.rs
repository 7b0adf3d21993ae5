//! `swath worker`: a supervisor, and under it the process that works.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::Context as _;
use swath::{
    args::{DoorArgs, Kind, LogFormat, WorkerArgs},
    config,
    exit::{self, Exit, Usage},
    logging,
    signals::stop_on_signals,
};
use swath_backends::{
    counted::counted,
    notices::Notices,
    open::{Urls, ledger_server, open},
    queue::Lane,
};
use swath_train::gang::address_towards;
use swath_worker::{context::RankProcesses, metrics::serve::Door, run, supervise, tail};

pub(crate) fn work(args: &WorkerArgs, doors: &DoorArgs, format: LogFormat) -> anyhow::Result<Exit> {
    config::check(&args.tuning)?;
    let idle_exit = args.idle_exit.map(|seconds| config::seconds("--idle-exit", seconds)).transpose()?;
    // Returns in the child; before this line no thread may exist.
    let inheritance = supervise::supervise()?;
    logging::start_beside(format, "info", tail::layer());
    swath_model::init_process();
    swath_raster::configure(&swath_raster::Settings { cache_mib: args.tuning.gdal_cache });
    let mut config = run::Config {
        me: config::process_name("worker"),
        lanes: args
            .kinds
            .iter()
            .map(|kind| match kind {
                Kind::Cpu => Lane::Cpu,
                Kind::Gpu => Lane::Gpu,
            })
            .chain(args.tuning.allow_steps.then_some(Lane::Steps))
            .collect(),
        slots: args.tuning.slots,
        lease: config::seconds("--lease", args.tuning.lease)?,
        grace: config::seconds("--grace", args.tuning.grace)?,
        idle_exit,
        cache: config::cache(),
        native_threads: swath_proto::phases::NATIVE_THREADS.into(),
        threads: args.tuning.threads,
        ranks: match args.tuning.ranks {
            1 => None,
            n => Some(RankProcesses {
                n,
                program: std::env::current_exe().context("finding this program")?,
                root: doors.root.clone(),
            }),
        },
        item_limit: config::seconds("--item-limit", args.tuning.item_limit)?,
        notices: Notices::open(args.spot_notices.into())?,
        metrics: None,
    };
    // At once, and not with its first item; and before libtorch computes anything, since it looks for cards once.
    if config.lanes.contains(&Lane::Gpu) {
        match swath_model::card().context("--kinds gpu: this worker has no card to compute on") {
            Ok(card) => tracing::info!(card, "computing on a card"),
            // What was opened for a card is not asked to tidy up.
            Err(error) => supervise::leave(exit::explain(&error) as i32),
        }
    }
    let urls = config::urls(doors);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async move {
        let stop = stop_on_signals()?;
        let mut doors = open(&urls).await?;
        if let Some(wanted) = args.tuning.metrics {
            let door = door(wanted, &urls.ledger).await?;
            tracing::info!(address = %door.address, "metrics are shown");
            config.metrics = Some(door);
            doors = counted(doors);
        }
        let Urls { root, queue, ledger } = config::shown(&urls);
        tracing::info!(worker = %config.me, root, queue, ledger, "ready");
        run::run(config, doors, inheritance, stop).await
    });
    let exit = ended.map_or_else(|error| exit::explain(&error), |()| Exit::Done);
    supervise::leave(exit as i32)
}

/// Who shares a ledger's file is on this machine.
async fn door(wanted: SocketAddr, ledger: &str) -> anyhow::Result<Door> {
    let here = || -> io::Result<IpAddr> {
        match ledger_server(ledger) {
            None => Ok(Ipv4Addr::LOCALHOST.into()),
            Some((host, port)) => address_towards(&host, port).map_err(io::Error::other),
        }
    };
    let door = Door::open(wanted, here).await;
    door.map_err(|error| Usage(format!("--metrics {wanted}: {error}; port 0 takes any that is free")).into())
}
