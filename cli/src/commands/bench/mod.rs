//! `swath bench`: measurements of this machine and of these servers.

mod control;
mod predict;

use crate::{
    args::{BenchArgs, BenchCommand, DoorArgs},
    exit::Exit,
    worker_program,
};

pub(super) async fn run(args: BenchArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    match args.what {
        BenchCommand::Control { items, workers, slots } => control::run(items, (workers, slots), doors).await,
        BenchCommand::Predict(args) => predict::run(args).await,
        BenchCommand::Forward(_) => Err(worker_program::become_it()),
    }
}
