//! One file a command, one line in the registry.

mod again;
#[cfg(feature = "worker")]
mod baseline;
#[cfg(feature = "worker")]
mod bench;
mod coordinator;
mod cost;
mod doctor;
mod export;
mod fleet;
#[cfg(feature = "servers")]
mod gang;
#[cfg(feature = "worker")]
mod import;
mod items;
#[cfg(feature = "worker")]
mod picture;
mod plan;
#[cfg(feature = "worker")]
mod predict;
mod profile;
mod report;
mod run;
mod schema;
mod status;
mod steer;
mod submit;
#[cfg(feature = "worker")]
mod synth;

pub(crate) use status::state as state_name;

use std::future::Future;

use clap::CommandFactory as _;
use swath_backends::open;
use swath_coordinator::commands::{Command as Wish, NewRank};

#[cfg(feature = "engine")]
use crate::worker_program;
use crate::{
    args::{Args, Command},
    config,
    exit::Exit,
    logging, say,
};

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let default = match &args.command {
        Command::Coordinator(_) => "info",
        _ => "warn",
    };
    logging::start(args.log_format, default);
    if !matches!(args.command, Command::Run(_) | Command::Submit(_) | Command::Coordinator(_)) {
        end_with_the_reader();
    }
    if takes_doors(&args.command) {
        open::check(&config::urls(&args.doors))?;
    }
    let doors = args.doors;
    match args.command {
        #[cfg(feature = "worker")]
        Command::Synth(args) => synth::run(&args),
        #[cfg(feature = "worker")]
        Command::Worker(_) => Err(worker_program::become_it()),
        #[cfg(feature = "worker")]
        Command::Baseline(name) => block_on(baseline::run(name.run, doors)),
        #[cfg(feature = "worker")]
        Command::Picture(args) => block_on(picture::run(args, doors)),
        #[cfg(feature = "worker")]
        Command::Draw => crate::imagery::serve(),
        #[cfg(feature = "worker")]
        Command::Bench(args) => block_on(bench::run(args, doors)),
        #[cfg(all(feature = "engine", not(feature = "worker")))]
        Command::Bench(_) => Err(worker_program::become_it()),
        #[cfg(feature = "engine")]
        Command::Train(_) => Err(worker_program::become_it()),
        Command::Plan(args) => block_on(plan::run(&args.file, args.json, doors)),
        Command::Run(args) if args.dry_run => block_on(plan::run(&args.file, false, doors)),
        Command::Run(args) => block_on(run::run(args, doors)),
        #[cfg(feature = "worker")]
        Command::Predict(args) => block_on(predict::run(args)),
        Command::Submit(args) => block_on(submit::run(args, doors)),
        Command::Coordinator(args) => block_on(coordinator::run(args, doors)),
        Command::Fleet(args) => block_on(fleet::run(args.what, doors)),
        Command::Status(args) => block_on(status::run(args, doors)),
        Command::Items(args) => block_on(items::run(args, doors)),
        Command::Pause(name) => block_on(steer::run(name.run, Wish::Pause, doors)),
        Command::Resume(name) => block_on(steer::run(name.run, Wish::Resume, doors)),
        Command::Cancel(name) => block_on(steer::run(name.run, Wish::Cancel, doors)),
        Command::Priority(args) => {
            let rank = NewRank { priority: Some(args.priority), share: args.share };
            block_on(steer::run(args.run, Wish::Rank(rank), doors))
        }
        Command::Export(args) => block_on(export::run(args, doors)),
        #[cfg(feature = "worker")]
        Command::Import { what } => import::run(what),
        Command::Profile { what } => profile::run(what, &doors),
        Command::Doctor => block_on(doctor::run(doors)),
        Command::Schema => schema::run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "swath", &mut script);
            say::bytes(&script);
            Ok(Exit::Done)
        }
    }
}

/// Whether root, queue and ledger have to be right, though some of them may not be opened. A doctor tells of each by
/// itself; a measurement opens its own.
fn takes_doors(command: &Command) -> bool {
    #[cfg(feature = "worker")]
    if matches!(command, Command::Synth(_) | Command::Predict(_) | Command::Draw | Command::Import { .. }) {
        return false;
    }
    #[cfg(feature = "engine")]
    if matches!(command, Command::Bench(_)) {
        return false;
    }
    !matches!(
        command,
        Command::Profile { .. } | Command::Doctor | Command::Schema | Command::Completions { .. }
    )
}

/// What only tells ends in silence when nobody reads on, as `head` does not.
fn end_with_the_reader() {
    // SAFETY: a plain call, before there are threads.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

fn block_on(future: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

pub(crate) fn tell_left_out(frozen: &swath_coordinator::freeze::Frozen) {
    if frozen.left_out > 0 {
        note!("note: {} scenes are left out, since files of theirs are not there", frozen.left_out);
    }
}
