//! What a worker says of itself, to whoever wants to know who is there: to the ledger's group [`GROUP`], every few
//! seconds and under a lease, so that one that dies is not there any more.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ItemId, WorkerId},
    phases::PhaseSeconds,
};

pub const GROUP: &str = "workers";

/// The environment of a worker, or of a rank, that is to end with the process of this number, which has started it.
pub const ENDS_WITH: &str = "SWATH_ENDS_WITH";

/// Whoever holds this office in the ledger wants the worker gone: it takes nothing new, and leaves when what it has in
/// hand is done.
pub fn drain_office(worker: &WorkerId) -> String {
    format!("drain/{worker}")
}

/// A root in few letters: several may share a ledger.
pub fn root_mark(uri: &str) -> String {
    let mut mark = ItemId::of(uri.trim_end_matches('/').as_bytes()).to_string();
    mark.truncate(8);
    mark
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum WorkerCard {
    #[serde(rename = "1")]
    V1(Worker),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// RFC 3339.
    pub started: String,
    /// Of the program.
    pub program: String,
    pub host: String,
    pub pid: u32,
    /// The [`root_mark`] of the root whose items it works on; none: of a program that did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The lanes that it serves, by their names.
    pub lanes: Vec<String>,
    pub slots: u32,
    pub state: WorkerState,
    /// Items.
    pub in_hand: u32,
    /// Items that were finished here, and attempts that have failed here.
    pub done: u64,
    pub failed: u64,
    /// Seconds in which anything was in hand.
    pub busy_s: f64,
    /// What it was busy with; none: of a program that did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhaseSeconds>,
    /// When it said all this, in RFC 3339; none: of a program that did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Where its metrics are, if it shows any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// Who has started it, and under what name: `batch:JOB`, `local:3`. None: a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The rented machine that it runs on, where that can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Takes what comes.
    Working,
    /// Takes nothing new.
    Leaving,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `g5.xlarge`
    pub kind: String,
    /// `eu-central-1a`
    pub zone: String,
    pub is_spot: bool,
}

impl WorkerCard {
    pub fn into_newest(self) -> Worker {
        match self {
            Self::V1(worker) => worker,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_card_is_read() {
        for (frozen, device) in [
            (include_str!("../samples/worker-v1.json"), None),
            (include_str!("../samples/worker-v1-phases.json"), Some(3120.0)),
        ] {
            let worker = serde_json::from_str::<WorkerCard>(frozen).unwrap().into_newest();
            assert_eq!(worker.instance.as_ref().unwrap().kind, "g5.xlarge");
            assert_eq!(worker.state, WorkerState::Leaving);
            assert_eq!(worker.phases.map(|phases| phases.device), device);
            let again = serde_json::to_value(WorkerCard::V1(worker)).unwrap();
            assert_eq!(again, serde_json::from_str::<serde_json::Value>(frozen).unwrap());
        }
    }
}
