//! Which run is meant, and where it stands among others.

use clap::Args as ClapArgs;
use swath_proto::ids::RunId;

#[derive(Debug, ClapArgs)]
pub struct RunName {
    /// Its name, as swath status shows it.
    pub run: RunId,
}

#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// Every run under the root, if left out.
    pub run: Option<RunId>,
    /// Show it again and again: a run until it is over, all of them until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
    /// One JSON object, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Where a run stands among others on the same workers.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct RankArgs {
    /// A run of a higher priority goes first. [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub priority: Option<i32>,
    /// What it gets of the workers beside others of its priority. [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub share: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub struct PriorityArgs {
    /// Its name, as swath status shows it.
    pub run: RunId,
    /// A run of a higher priority goes first; runs begin with 0.
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub priority: i32,
    /// What it gets of the workers beside others of its priority; runs begin with 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub share: Option<u32>,
}
