//! Machines that train together.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use swath_proto::{fleet::Market, ids::WorkerId};

#[derive(Debug, Subcommand)]
pub enum GangCommand {
    /// Start its machines; each runs swath train with this gang's name. Given again while they are there, it starts none.
    Start(GangStart),
    /// Show where its machines stand.
    Status {
        /// The gang's name.
        #[arg(value_parser = gang_name)]
        name: WorkerId,
        /// One JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// End its machines, which write a checkpoint before. The same start goes on from there.
    Stop {
        /// The gang's name.
        #[arg(value_parser = gang_name)]
        name: WorkerId,
    },
}

#[derive(Debug, ClapArgs)]
pub struct GangStart {
    /// What to train, as swath train reads it. It is put under the root, where the machines find it.
    pub file: PathBuf,
    /// How many machines.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub machines: u32,
    /// Ranks on each of them.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub ranks: u32,
    /// Ranks of all machines together that training begins with; it goes on with as many.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub least_ranks: u32,
    /// The gang's name. [default: that of the file]
    #[arg(long, value_parser = gang_name)]
    pub name: Option<WorkerId>,
    /// spot or on-demand. [default: the first that the profile has a queue for]
    #[arg(long)]
    pub market: Option<Market>,
}

/// Keys, and words in the ledger, are made of it.
pub fn gang_name(name: &str) -> Result<WorkerId, String> {
    name.parse().map_err(|_| {
        format!("'{name}' can't be a gang's name: 1 to 100 letters, digits, '.', '_' and '-', a letter or digit first")
    })
}
