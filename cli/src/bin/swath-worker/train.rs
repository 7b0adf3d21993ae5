//! `swath train`: one rank of a training where its environment says so, as torchrun does; else a supervisor, and a
//! process for each rank under it, alone or with those of other machines.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::Context as _;
use swath::{
    args::{DoorArgs, LogFormat, SumsBy, TrainArgs},
    config,
    exit::{Exit, Usage, as_usage},
    logging,
    progress::Bar,
    say,
    signals::stop_on_signals,
};
use swath_backends::{
    Kind,
    notices::Notices,
    open::{ledger_server, open_blobs, open_ledger, redacted},
};
use swath_proto::{keys::UNDER_THE_ROOT, learn::Training};
use swath_train::{
    Finished, Outcome, Progress, Store,
    gang::{
        Joining, Rank, Ranks, Seat, TrainFile, address_towards, leave, rank_command, read_file, say_failed,
        supervise, supervise_together, work,
    },
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

const FETCHED: &str = "train.toml";

pub(crate) fn run(args: &TrainArgs, doors: &DoorArgs, format: LogFormat) -> anyhow::Result<Exit> {
    logging::start(format, "warn");
    swath_model::init_process();
    // On processors one thread brings chips from S3 faster than a rank learns from them; two wake each other for every
    // piece.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let fetched = match args.file.to_str().and_then(|name| name.strip_prefix(UNDER_THE_ROOT)) {
        Some(key) => Some(runtime.block_on(fetch(key, doors))?),
        None => None,
    };
    let path = fetched.as_ref().map_or_else(|| args.file.clone(), |folder| folder.path().join(FETCHED));
    let file = read_file(&path).map_err(|error| Usage(error.to_string()))?;
    let seat = match &args.gang {
        // Whatever AWS Batch says of its nodes.
        Some(_) => None,
        None => Seat::from_environment().map_err(|error| Usage(error.to_string()))?,
    };
    let (stop, handle) = (runtime.block_on(async { stop_on_signals() })?, runtime.handle().clone());
    if let Some(notices) = Notices::open(args.spot_notices.into())? {
        let stop = stop.clone();
        handle.spawn(async move {
            let notice = notices.next().await;
            tracing::warn!("{notice}; leaving at a checkpoint");
            stop.cancel();
        });
    }
    match seat {
        Some(_) if args.ranks > 1 => Err(Usage(
            "--ranks: RANK or AWS Batch's variables are set, so this process is one of several: leave one of both out"
                .into(),
        )
        .into()),
        Some(seat) => {
            // It was read, and this process does not tidy up at its end.
            drop(fetched);
            one(file, seat, args, (doors, &handle), &stop)
        }
        None => all((&file, &path), args, (doors, &handle), &stop),
    }
}

/// Of this process; its ranks read it too.
async fn fetch(key: &str, doors: &DoorArgs) -> anyhow::Result<tempfile::TempDir> {
    let blobs = open_blobs(&doors.root).await?;
    let text = match blobs.get(key).await {
        Err(error) if error.kind == Kind::NotFound => {
            let at = redacted(&doors.root);
            return Err(
                Usage(format!("{UNDER_THE_ROOT}{key}: there is no such file under the root {at}")).into()
            );
        }
        text => text?,
    };
    let folder = tempfile::tempdir().context("making a folder for the training's file")?;
    let path = folder.path().join(FETCHED);
    std::fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
    Ok(folder)
}

fn one(
    file: TrainFile,
    seat: Seat,
    args: &TrainArgs,
    (doors, runtime): (&DoorArgs, &Handle),
    stop: &CancellationToken,
) -> anyhow::Result<Exit> {
    let blobs = match runtime.block_on(open_blobs(&doors.root)) {
        Ok(blobs) => blobs,
        Err(error) => {
            say_failed(std::io::stdout(), &error.into());
            leave(Exit::Failed as i32)
        }
    };
    let store = Store::new(blobs, runtime.clone());
    let sums_by = args.sums_by.map(|word| match word {
        SumsBy::Gloo => swath_model::SumsBy::Gloo,
        SumsBy::Nccl => swath_model::SumsBy::Nccl,
    });
    let (threads, device) = (args.threads, args.device);
    let rank = Rank { file, seat, store, threads, device, sums_by, cache: config::cache() };
    let exit = match work(rank, std::io::stdout(), stop) {
        Ok(Outcome::Finished(_) | Outcome::AlreadyFinished(_) | Outcome::Helped) => Exit::Done,
        Ok(Outcome::Stopped { .. } | Outcome::Interrupted) => Exit::Interrupted,
        // It was said on standard output.
        Err(_) => Exit::Failed,
    };
    // Where another rank is gone, threads of the transport may wait for it; nobody waits for them.
    leave(exit as i32)
}

fn all(
    (file, path): (&TrainFile, &Path),
    args: &TrainArgs,
    (doors, runtime): (&DoorArgs, &Handle),
    stop: &CancellationToken,
) -> anyhow::Result<Exit> {
    let program = std::env::current_exe().context("finding this program")?;
    let command = || {
        let mut command = rank_command(&program, path, args.threads, &doors.root);
        command.args(["--device", args.device.name()]);
        if let Some(word) = args.sums_by {
            command.args(["--sums-by", word.name()]);
        }
        command
    };
    let bar = Bar::of_training(&file.output);
    let mut tell = |now: Progress| bar.trained(&Training::from(&now));
    let ranks = Ranks { command: &command, n: args.ranks };
    let outcome = match &args.gang {
        None => supervise(&ranks, &mut tell, stop),
        Some(gang) => {
            let joining = Joining {
                gang,
                ledger: runtime.block_on(open_ledger(&doors.ledger, &doors.root))?,
                runtime: runtime.clone(),
                me: config::process_name("train"),
                address: address(args, doors)?,
                least: args.least_ranks,
                file,
            };
            supervise_together(&ranks, joining, &mut tell, stop)
        }
    };
    bar.finish();
    match outcome.map_err(|error| match error.kind {
        swath_train::Kind::Config => as_usage(error.into()),
        _ => error.into(),
    })? {
        Outcome::Finished(finished) => {
            tell_of(&finished);
            Ok(Exit::Done)
        }
        Outcome::AlreadyFinished(finished) => {
            say::aside(format_args!("this training was over before; its weights are there:"));
            tell_of(&finished);
            Ok(Exit::Done)
        }
        Outcome::Stopped { epoch, step } => {
            say::aside(format_args!(
                "stopped at step {step} of epoch {epoch}; the same command goes on from there"
            ));
            Ok(Exit::Interrupted)
        }
        Outcome::Interrupted => {
            say::aside(format_args!("stopped; the same command goes on from the last checkpoint"));
            Ok(Exit::Interrupted)
        }
        Outcome::Helped => {
            say::aside(format_args!("trained; the gang's first machine says what came of it"));
            Ok(Exit::Done)
        }
    }
}

/// Who shares a ledger's file is on this machine.
fn address(args: &TrainArgs, doors: &DoorArgs) -> anyhow::Result<IpAddr> {
    match (args.address, ledger_server(&doors.ledger)) {
        (Some(address), _) => Ok(address),
        (None, None) => Ok(Ipv4Addr::LOCALHOST.into()),
        (None, Some((host, port))) => {
            Ok(address_towards(&host, port).map_err(|error| Usage(format!("--ledger: {error}")))?)
        }
    }
}

fn tell_of(finished: &Finished) {
    let best = finished.best.map(|best| format!(", mean IoU {:.3}", best.mean_iou)).unwrap_or_default();
    say::line(format_args!("{} (epoch {}{best})", finished.weights, finished.epoch));
}
