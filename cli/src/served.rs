//! Whether a coordinator serves a run: the ledger knows, where it can be asked from here.

use std::{sync::Arc, time::Duration};

use swath_backends::{ledger::Ledger, open::look_at_ledger};
use swath_coordinator::{
    discovery::{self, Announced},
    fleet, presence,
    records::{office, silent_for},
};
use swath_proto::{
    ids::{RunId, WorkerId},
    status::{RunState, RunStatus},
    worker::{Worker, root_mark},
};

use tokio::time::timeout;

use crate::{args::DoorArgs, commands::state_name, table};

/// Coordinators write `status.json` every ten seconds.
const SILENT: Duration = Duration::from_secs(60);
/// Nobody waits longer for a ledger that is asked for a word only.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    Yes,
    No,
    /// The ledger can't be asked.
    Unknown,
}

/// The ledger, for those who only look.
pub enum Office {
    Ledger(Arc<dyn Ledger>),
    /// Nobody has ever made it.
    Empty,
    Closed,
}

impl Office {
    pub async fn open(doors: &DoorArgs) -> Self {
        match timeout(ANSWERS_WITHIN, look_at_ledger(&doors.ledger, &doors.root)).await {
            Ok(Ok(Some(ledger))) => Self::Ledger(ledger),
            Ok(Ok(None)) => Self::Empty,
            Ok(Err(error)) => {
                tracing::debug!(error = error.told(), "no ledger to ask");
                Self::Closed
            }
            Err(_) => Self::Closed,
        }
    }

    pub async fn of(&self, run: &RunId) -> Served {
        self.held(&office(run)).await
    }

    /// Whether anybody takes what is asked of a run that stands so. One that is over is in nobody's hands, and taken
    /// up again by whoever watches the root.
    pub async fn takes(&self, run: &RunId, state: Option<RunState>, root_uri: &str) -> Served {
        match self.of(run).await {
            Served::No if state.is_some_and(RunState::is_final) => self.of_root(root_uri).await,
            served => served,
        }
    }

    async fn of_root(&self, root_uri: &str) -> Served {
        match self.coordinators(root_uri).await {
            Some(there) if there.is_empty() => Served::No,
            Some(_) => Served::Yes,
            None => Served::Unknown,
        }
    }

    /// Who watches a root; none where the ledger can't be asked.
    pub async fn coordinators(&self, root_uri: &str) -> Option<Vec<WorkerId>> {
        let ledger = match self {
            Self::Empty => return Some(Vec::new()),
            Self::Closed => return None,
            Self::Ledger(ledger) => ledger,
        };
        timeout(ANSWERS_WITHIN, presence::coordinators(&**ledger, root_uri)).await.ok()?.ok()
    }

    /// Whether anybody has the fleet of a root.
    pub async fn of_fleet(&self, root_uri: &str) -> Served {
        self.held(&fleet::control::office(root_uri)).await
    }

    /// Who works for a root, as workers say themselves; none where the ledger can't be asked.
    pub async fn workers(&self, root_uri: &str) -> Option<Vec<Worker>> {
        Some(self.announced(root_uri).await?.into_iter().map(|one| one.worker).collect())
    }

    /// The same with their names.
    pub async fn announced(&self, root_uri: &str) -> Option<Vec<Announced>> {
        let ledger = match self {
            Self::Empty => return Some(Vec::new()),
            Self::Closed => return None,
            Self::Ledger(ledger) => ledger,
        };
        let there = timeout(ANSWERS_WITHIN, discovery::workers(&**ledger)).await.ok()?.ok()?;
        let mark = root_mark(root_uri);
        let is_ours = |one: &Announced| one.worker.root.as_ref().is_none_or(|root| *root == mark);
        Some(there.into_iter().filter(is_ours).collect())
    }

    async fn held(&self, office: &str) -> Served {
        match self {
            Self::Empty => Served::No,
            Self::Closed => Served::Unknown,
            Self::Ledger(ledger) => match timeout(ANSWERS_WITHIN, ledger.leader(office)).await {
                Ok(Ok(Some(_))) => Served::Yes,
                Ok(Ok(None)) => Served::No,
                Ok(Err(_)) | Err(_) => Served::Unknown,
            },
        }
    }
}

impl Served {
    pub const fn known(self) -> Option<bool> {
        match self {
            Self::Yes => Some(true),
            Self::No => Some(false),
            Self::Unknown => None,
        }
    }
}

/// How a run stands, in words. What is written down holds only while somebody serves it.
pub fn standing(status: &RunStatus, served: Served) -> String {
    let state = state_name(status.state);
    match (status.state, served) {
        (state_now, _) if state_now.is_final() => state.into(),
        (RunState::Paused, Served::No) => "paused, waiting for a coordinator".into(),
        (_, Served::No) => "waiting for a coordinator".into(),
        (_, Served::Unknown) => match silent_for(status).filter(|silent| *silent > SILENT) {
            Some(silent) => format!("{state}, but no word for {}", table::duration(silent.as_secs_f64())),
            None => state.into(),
        },
        (_, Served::Yes) => state.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, written: &str) -> RunStatus {
        let json = serde_json::json!({
            "run": "a-1", "state": state, "written": written, "started": "", "stages": {}, "pixels_done": 0,
            "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [], "n_failures": 0,
            "unreadable_scenes": [], "message": null,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_run_that_nobody_serves_does_not_run() {
        let old = status("running", "2020-01-01T00:00:00Z");
        assert_eq!(standing(&old, Served::Yes), "running");
        assert_eq!(standing(&old, Served::No), "waiting for a coordinator");
        assert!(standing(&old, Served::Unknown).starts_with("running, but no word for "));
        assert_eq!(standing(&status("done", "2020-01-01T00:00:00Z"), Served::No), "done");
        assert!(standing(&status("paused", ""), Served::No).starts_with("paused, waiting"));
    }
}
