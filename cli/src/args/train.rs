//! How a network is trained by itself, from shards.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use swath_proto::item::DeviceName;

use super::{SpotNotices, word::word};

#[derive(Debug, ClapArgs)]
pub struct TrainArgs {
    /// What to train: shards, options and where the weights go, in TOML. root:KEY lies under the root.
    pub file: PathBuf,
    /// Processes to start here, each a rank with a part of every batch. One that torchrun has started is a rank itself.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub ranks: u32,
    /// Threads of the engine in each rank.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// On what each rank computes: of cards, on one of its own.
    #[arg(long, value_parser = word::<DeviceName>(&["cpu", "cuda"]), default_value = "cpu")]
    pub device: DeviceName,
    /// What ranks sum gradients by. [default: nccl on cards, gloo elsewhere]
    #[arg(long, value_enum)]
    pub sums_by: Option<SumsBy>,
    /// Train together with all machines that give this name, under the same ledger. They may come and go.
    #[arg(long, value_name = "NAME")]
    pub gang: Option<String>,
    /// Ranks of the whole gang that training begins with; it goes on with as many.
    #[arg(long, default_value_t = 1, requires = "gang", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub least_ranks: u32,
    /// Where the gang's other machines reach this one. [default: the address from which this one reaches the ledger]
    #[arg(long, requires = "gang", value_name = "IP")]
    pub address: Option<std::net::IpAddr>,
    /// Ask EC2's instance metadata whether this machine is about to be taken away, and leave at a checkpoint.
    #[arg(long, value_enum, default_value_t)]
    pub spot_notices: SpotNotices,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SumsBy {
    /// Through the memory of machines.
    Gloo,
    /// From card to card.
    Nccl,
}

impl SumsBy {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gloo => "gloo",
            Self::Nccl => "nccl",
        }
    }
}
