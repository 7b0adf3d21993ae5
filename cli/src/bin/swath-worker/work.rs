//! `swath worker`: a supervisor, and under it the process that works.

use anyhow::Context as _;
use swath::{
    args::{DoorArgs, Kind, LogFormat, WorkerArgs},
    config,
    exit::{self, Exit},
    logging,
    signals::stop_on_signals,
};
use swath_backends::{
    notices::Notices,
    open::{Urls, open},
    queue::Lane,
};
use swath_worker::{context::RankProcesses, run, supervise, tail};

pub(crate) fn work(args: &WorkerArgs, doors: &DoorArgs, format: LogFormat) -> anyhow::Result<Exit> {
    config::check(&args.tuning)?;
    let idle_exit = args.idle_exit.map(|seconds| config::seconds("--idle-exit", seconds)).transpose()?;
    // Returns in the child; before this line no thread may exist.
    let inheritance = supervise::supervise()?;
    logging::start_beside(format, "info", tail::layer());
    swath_model::init_process();
    swath_raster::configure(&swath_raster::Settings { cache_mib: args.tuning.gdal_cache });
    let config = run::Config {
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
        native_threads: 2,
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
        let doors = open(&urls).await?;
        let Urls { root, queue, ledger } = config::shown(&urls);
        tracing::info!(worker = %config.me, root, queue, ledger, "ready");
        run::run(config, doors, inheritance, stop).await
    });
    let exit = ended.map_or_else(|error| exit::explain(&error), |()| Exit::Done);
    supervise::leave(exit as i32)
}
