//! `swath train`: one rank of a training where its environment says so, as torchrun does; else a supervisor, and a
//! process for each rank under it.

use anyhow::Context as _;
use swath::{
    args::{DoorArgs, LogFormat, TrainArgs},
    config,
    exit::{Exit, Usage, as_usage},
    logging,
    progress::Bar,
    say,
    signals::stop_on_signals,
};
use swath_backends::open::open_blobs;
use swath_proto::learn::Training;
use swath_train::{
    Finished, Outcome, Progress, Store,
    gang::{Rank, Ranks, Seat, TrainFile, leave, rank_command, say_failed, supervise, work},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub(crate) fn run(args: &TrainArgs, doors: &DoorArgs, format: LogFormat) -> anyhow::Result<Exit> {
    logging::start(format, "warn");
    swath_model::init_process();
    let file = TrainFile::read(&args.file).map_err(|error| Usage(error.to_string()))?;
    let seat = Seat::from_environment().map_err(|error| Usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (stop, handle) = (runtime.block_on(async { stop_on_signals() })?, runtime.handle().clone());
    match seat {
        Some(_) if args.ranks > 1 => Err(Usage(
            "--ranks: RANK is set, so this process is one of several: leave one of both out".into(),
        )
        .into()),
        Some(seat) => one(file, seat, args, (doors, &handle), &stop),
        None => all(&file, args, doors, &stop),
    }
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
    let rank = Rank { file, seat, store, threads: args.threads, cache: config::cache() };
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
    file: &TrainFile,
    args: &TrainArgs,
    doors: &DoorArgs,
    stop: &CancellationToken,
) -> anyhow::Result<Exit> {
    let program = std::env::current_exe().context("finding this program")?;
    let command = || rank_command(&program, &args.file, args.threads, &doors.root);
    let bar = Bar::of_training(&file.output);
    let mut tell = |now: Progress| bar.trained(&Training::from(&now));
    let outcome = supervise(&Ranks { command: &command, n: args.ranks }, &mut tell, stop);
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
        Outcome::Helped => anyhow::bail!("the first rank says nothing of what came of it"),
    }
}

fn tell_of(finished: &Finished) {
    let best = finished.best.map(|best| format!(", mean IoU {:.3}", best.mean_iou)).unwrap_or_default();
    say::line(format_args!("{} (epoch {}{best})", finished.weights, finished.epoch));
}
