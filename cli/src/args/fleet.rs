//! Workers that come with the backlog: what a coordinator is asked for, and what can be asked of it later.

use std::str::FromStr;

use clap::{Args as ClapArgs, Subcommand};
use swath_proto::{
    fleet::{Market, WorkerKind},
    ids::WorkerId,
};

/// What is left out a profile may say, in its section `[fleet]` and with `_` in the place of `-`.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "A fleet that grows with the backlog and goes away when it is done")]
pub struct FleetFlags {
    /// Where workers come from: `local` for processes of this machine, `batch` for AWS Batch by --profile. None are
    /// started without it.
    #[arg(long, env = "SWATH_FLEET", value_name = "WHERE")]
    pub fleet: Option<String>,
    /// Workers that are kept even if there is nothing to do. [default: 0]
    #[arg(long, env = "SWATH_WORKERS_MIN", value_name = "N")]
    pub workers_min: Option<u32>,
    /// Workers that there may be at most. [default: one a core of this machine; needed for batch]
    #[arg(long, env = "SWATH_WORKERS_MAX", value_name = "N")]
    pub workers_max: Option<u32>,
    /// The same of workers that take a card each. [default: 0]
    #[arg(long, env = "SWATH_GPU_WORKERS_MIN", value_name = "N")]
    pub gpu_workers_min: Option<u32>,
    /// Workers with a card that there may be at most. [default: 0]
    #[arg(long, env = "SWATH_GPU_WORKERS_MAX", value_name = "N")]
    pub gpu_workers_max: Option<u32>,
    /// In how much time the backlog is to be worked off. [default: 1800]
    #[arg(long, env = "SWATH_DRAIN_TIME", value_name = "SECONDS")]
    pub drain_time: Option<f64>,
    /// How long fewer workers must be enough before any is told to leave. [default: 15 here, 60 on rented machines]
    #[arg(long, value_name = "SECONDS")]
    pub cool_down: Option<f64>,
    /// Hours of workers that may be spent under this root; when they are, workers leave and none is started.
    #[arg(long, env = "SWATH_BUDGET_HOURS", value_name = "HOURS")]
    pub budget_hours: Option<f64>,
    /// The same in money; it needs prices.
    #[arg(long, env = "SWATH_BUDGET_MONEY", value_name = "MONEY")]
    pub budget_money: Option<f64>,
    /// What a worker costs an hour: cpu=0.04, or gpu-spot=0.2 of one market. Can be given several times.
    #[arg(long, value_name = "KIND=MONEY")]
    pub price: Vec<Price>,
    /// Where workers with cards are looked for, one after the other. [default: spot,on-demand]
    #[arg(long, value_delimiter = ',', value_name = "MARKET")]
    pub gpu_markets: Vec<Market>,
    /// Options that workers of this machine are started with, --slots 2 for instance: see swath worker --help.
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub worker_options: Option<String>,
}

/// `cpu=0.04`, `gpu-on-demand=0.7`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    pub kind: WorkerKind,
    /// None: wherever it is.
    pub market: Option<Market>,
    pub per_hour: f64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "'{0}' must be KIND=MONEY or KIND-MARKET=MONEY, and 0 or more: cpu=0.04, gpu-spot=0.2, gpu-on-demand=0.7 for instance"
)]
pub struct BadPrice(String);

impl FromStr for Price {
    type Err = BadPrice;

    fn from_str(s: &str) -> Result<Self, BadPrice> {
        let bad = || BadPrice(s.to_owned());
        let (what, money) = s.split_once('=').ok_or_else(bad)?;
        let (kind, market) = match what.split_once('-') {
            Some((kind, market)) => (kind, Some(market.parse().map_err(|_| bad())?)),
            None => (what, None),
        };
        let per_hour: f64 = money.parse().map_err(|_| bad())?;
        if !per_hour.is_finite() || per_hour < 0.0 {
            return Err(bad());
        }
        Ok(Self { kind: kind.parse().map_err(|_| bad())?, market, per_hour })
    }
}

#[derive(Debug, ClapArgs)]
pub struct FleetArgs {
    #[command(subcommand)]
    pub what: FleetCommand,
}

#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Show the workers there are and should be, why, and what they have cost.
    Status {
        /// One JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Have so many workers, as far as the coordinator may start them; or as the backlog wants them, also after a stop.
    Scale {
        /// A number, or auto.
        #[arg(allow_negative_numbers = true)]
        workers: Number,
        /// Of these only. [default: of both]
        #[arg(long, value_name = "cpu|gpu")]
        kind: Option<WorkerKind>,
    },
    /// Have workers leave when they have finished what they have. Others come in their place if they are needed.
    Drain {
        /// Their names, worker-host-7-00000b for instance.
        #[arg(required_unless_present = "all")]
        workers: Vec<WorkerId>,
        /// All that are there now.
        #[arg(long, conflicts_with = "workers")]
        all: bool,
    },
    /// Have all workers leave when they have finished what they have, and start none.
    Stop,
    /// Train on several machines of AWS Batch, which find each other through the ledger; by --profile.
    #[cfg(feature = "servers")]
    #[command(subcommand)]
    Gang(super::GangCommand),
}

/// How many workers; none: as the backlog wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub Option<u32>);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a number of workers, or auto")]
pub struct BadNumber;

impl FromStr for Number {
    type Err = BadNumber;

    fn from_str(s: &str) -> Result<Self, BadNumber> {
        match s {
            "auto" => Ok(Self(None)),
            n => Ok(Self(Some(n.parse().map_err(|_| BadNumber)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_numbers_are_read() {
        let price = |text: &str| text.parse::<Price>();
        let (kind, market) = (WorkerKind::Gpu, Some(Market::OnDemand));
        assert_eq!(price("gpu-on-demand=0.7"), Ok(Price { kind, market, per_hour: 0.7 }));
        let kind = WorkerKind::Cpu;
        assert_eq!(price("cpu=0.04"), Ok(Price { kind, market: None, per_hour: 0.04 }));
        for wrong in ["cpu", "cpu=", "cpu=-1", "cpu=inf", "tpu=1", "gpu-reserved=1", "=1"] {
            assert!(price(wrong).is_err(), "{wrong}");
        }
        assert_eq!("auto".parse::<Number>(), Ok(Number(None)));
        assert_eq!("7".parse::<Number>(), Ok(Number(Some(7))));
        assert!("-1".parse::<Number>().is_err() && "many".parse::<Number>().is_err());
    }
}
