//! What a fleet is made of: words that its controller, its providers and those who look at it share; and
//! `fleet.json`, how a fleet stands, written by the coordinator that has it for anyone who can read the root, and for
//! the coordinator that has it next. Every version that was ever written is read; the newest is written.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{RunId, WorkerId},
    item::Stage,
};

/// Which machine a worker needs, and so which lane it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerKind {
    Cpu,
    Gpu,
}

impl WorkerKind {
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Gpu];

    /// As in `swath worker --kinds`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for WorkerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WorkerKind {
    type Err = BadWord;

    fn from_str(s: &str) -> Result<Self, BadWord> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == s);
        found.ok_or_else(|| BadWord { got: s.to_owned(), wanted: "cpu, gpu" })
    }
}

/// How a machine is paid for, and whether it may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    Spot,
    OnDemand,
}

impl Market {
    pub const ALL: [Self; 2] = [Self::Spot, Self::OnDemand];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Market {
    type Err = BadWord;

    fn from_str(s: &str) -> Result<Self, BadWord> {
        let found = Self::ALL.into_iter().find(|market| market.name() == s);
        found.ok_or_else(|| BadWord { got: s.to_owned(), wanted: "spot, on-demand" })
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{got}' must be one of: {wanted}")]
pub struct BadWord {
    got: String,
    wanted: &'static str,
}

/// One of each for every kind of worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByKind<T> {
    pub cpu: T,
    pub gpu: T,
}

impl<T> ByKind<T> {
    pub const fn of(&self, kind: WorkerKind) -> &T {
        match kind {
            WorkerKind::Cpu => &self.cpu,
            WorkerKind::Gpu => &self.gpu,
        }
    }

    pub const fn of_mut(&mut self, kind: WorkerKind) -> &mut T {
        match kind {
            WorkerKind::Cpu => &mut self.cpu,
            WorkerKind::Gpu => &mut self.gpu,
        }
    }

    pub fn from_fn(mut make: impl FnMut(WorkerKind) -> T) -> Self {
        Self { cpu: make(WorkerKind::Cpu), gpu: make(WorkerKind::Gpu) }
    }
}

/// What people have asked of the fleet, until they ask something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Everybody leaves, and nobody is started.
    #[serde(default)]
    pub stopped: bool,
    /// So many, whatever the backlog.
    #[serde(default)]
    pub fixed: ByKind<Option<u32>>,
}

/// What may be spent: over the fleet's life under this root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Of workers: two for an hour are two.
    #[serde(default)]
    pub hours: Option<f64>,
    #[serde(default)]
    pub money: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    pub hours: f64,
    /// As far as prices are known.
    pub money: f64,
}

/// How the workers of a kind stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Crew {
    pub min: u32,
    pub max: u32,
    pub target: u32,
    /// Why the target is what it is, in words.
    pub why: String,
    /// Items that are waiting, and in the hands of workers.
    pub waiting: u64,
    pub held: u64,
    /// What all of them take one worker.
    pub backlog_s: f64,
    /// Most of it is made of items like which none has ended yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_guess: bool,
    pub working: u32,
    pub idle: u32,
    pub leaving: u32,
    /// Asked for and not at work yet; and those of them that have no machine yet.
    pub launching: u32,
    pub queued: u32,
    /// Started by somebody else.
    pub others: u32,
    /// From the order to the first word of a worker; none before one was measured.
    pub launch_s: Option<f64>,
    /// Where the next ones are started.
    pub market: Option<Market>,
    /// What is wrong, and what to do about it.
    pub trouble: Option<String>,
}

/// Workers that were asked for; the provider has not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub token: String,
    pub kind: WorkerKind,
    pub market: Market,
    pub n: u32,
    #[serde(default)]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// When it was written down last. RFC 3339.
    pub asked: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetStatus {
    /// RFC 3339.
    pub written: String,
    /// Who has the fleet.
    pub coordinator: WorkerId,
    /// Where workers come from: `local`, `batch:…`.
    pub provider: String,
    /// Seconds in which the backlog is to be worked off.
    pub drain_s: f64,
    pub crews: ByKind<Crew>,
    pub wish: Wish,
    pub budget: Budget,
    pub spent: Spent,
    /// The budget that was reached: nothing is started until it is raised.
    #[serde(default)]
    pub exhausted: Option<Budget>,
    /// What a person should know: a budget that is reached, workers that do not leave.
    #[serde(default)]
    pub messages: Vec<String>,
    /// What the next one that has the fleet goes on with.
    #[serde(default)]
    pub pending: Vec<Pending>,
    /// What jobs have cost after this time is not in `spent` yet. RFC 3339.
    #[serde(default)]
    pub counted_until: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum Document {
    #[serde(rename = "1")]
    V1(Box<FleetStatus>),
}

impl FleetStatus {
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let Document::V1(status) = serde_json::from_slice(json)?;
        Ok(*status)
    }

    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(&Document::V1(Box::new(self.clone())))?;
        json.push(b'\n');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_sample_still_reads_and_is_still_written() {
        let sample = include_bytes!("../samples/fleet-v1.json");
        let status = FleetStatus::from_json(sample).unwrap();
        assert_eq!(status.crews.gpu.market, Some(Market::OnDemand));
        assert_eq!(status.wish.fixed, ByKind { cpu: Some(4), gpu: None });
        assert_eq!(status.pending[0].n, 3);
        assert_eq!(String::from_utf8(status.to_json().unwrap()).unwrap().as_bytes(), sample);
    }

    #[test]
    fn a_newer_version_is_told_from_a_known_one() {
        let error = FleetStatus::from_json(br#"{"version":"7"}"#).unwrap_err().to_string();
        assert!(error.contains("7"), "{error}");
    }

    #[test]
    fn words_read_back_what_they_print() {
        for kind in WorkerKind::ALL {
            assert_eq!(kind.to_string().parse::<WorkerKind>(), Ok(kind));
        }
        for market in Market::ALL {
            assert_eq!(market.to_string().parse::<Market>(), Ok(market));
            assert_eq!(serde_json::to_string(&market).unwrap(), format!("\"{market}\""));
        }
        assert!("reserved".parse::<Market>().is_err());
    }
}
