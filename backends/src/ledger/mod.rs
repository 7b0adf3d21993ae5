//! The ledger: who has claimed, finished, failed what. One bit an item says whether it is done;
//! around the bits stand claims with a lease, attempts, and what was buried. Losing it loses
//! numbers, never results: [`Ledger::restore`] builds it again from the keys under the root.
//!
//! Time is the ledger's own (the server's clock), so that workers' clocks do not matter.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use swath_proto::{
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    outcome::{Failure, Report},
};

use crate::Result;

pub(crate) mod counted;
pub mod embedded;
#[cfg(feature = "redis")]
pub mod redis;

/// Contract, held against every implementation by [`crate::contract::ledger`]. Every verb is
/// atomic, and every verb works on a ledger that has lost everything: it then behaves as if the
/// run were new.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Asks for an item before working on it. `Go` counts the attempt and holds the item for
    /// `lease`. A worker that claims what it already holds gets `Go` again, not counted. An expired
    /// hold does not keep others out.
    async fn claim(&self, run: &RunId, place: Place, worker: &WorkerId, lease: Duration) -> Result<Claim>;

    /// Lets one more worker work on an item beside its holder, which is late. Once a hold: what was taken
    /// up, or is held by nobody, is not offered again.
    async fn invite(&self, run: &RunId, place: Place) -> Result<()>;

    /// Asks, of an item that another holds, for leave to work on it all the same. The first that asks
    /// after an [`invitation`](Ledger::invite) gets `Go`, again if it asks again, and holds nothing: it may
    /// `finish`, and has nothing to extend or to release. All others get what a claim would be answered.
    /// Counts no attempt.
    async fn join(&self, run: &RunId, place: Place, worker: &WorkerId) -> Result<Claim>;

    /// Extends the worker's holds. Returns the places it does not hold any more.
    async fn extend(
        &self,
        run: &RunId,
        places: &[Place],
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<Place>>;

    /// The output exists: sets the bit, drops the hold (whoever has it), forgets attempts, and
    /// un-buries. An event is recorded for the first finish only.
    async fn finish(&self, run: &RunId, place: Place, report: Report) -> Result<Finish>;

    /// The worker gives the item up. A counted failure raises the item's failures by one, once for
    /// each attempt, however often it is told; an uncounted one takes its attempt back. Does nothing if
    /// another worker holds the item or nobody does, except that blame is recorded all the same.
    /// Returns the failures so far.
    async fn release(&self, run: &RunId, place: Place, worker: &WorkerId, release: Release) -> Result<u32>;

    /// Sets the item aside with its cause, whoever holds it. Claims answer `Buried` from now on.
    /// Does nothing to an item that is done: false.
    async fn bury(&self, run: &RunId, place: Place, attempts: u32, failure: &Failure) -> Result<bool>;

    /// Makes items new again: bit, failures, attempts and grave are cleared (replay; an output that has
    /// gone missing). An event is recorded for each that was done or buried.
    async fn reset(&self, run: &RunId, places: &[Place]) -> Result<()>;

    /// Drops the holds whose lease has run out and returns them; each is recorded as `Lost`.
    async fn reap(&self, run: &RunId) -> Result<Vec<Place>>;

    /// What is held now (with a lease that still runs).
    async fn held(&self, run: &RunId) -> Result<Vec<(Place, WorkerId)>>;

    /// Everything about a run, for a coordinator that starts.
    async fn snapshot(&self, run: &RunId) -> Result<Snapshot>;

    /// What has happened since `cursor`; at most a few thousand events a call. `Gone` when the
    /// ledger has lost events since then (trimmed, flushed, replaced): take a snapshot.
    async fn events(&self, run: &RunId, cursor: &Cursor) -> Result<Events>;

    /// Marks these places as done, and then the run as known: how a flushed ledger is filled again from
    /// the keys under the root. No events are recorded. A run is only `known` after this. Atomic for each
    /// place, not for all, and so is `reset`: others are let in between.
    async fn restore(&self, run: &RunId, done: &[Place]) -> Result<()>;

    /// Whether claims are answered with `Go` at all. Set by whoever serves the run.
    async fn set_gate(&self, run: &RunId, gate: Gate) -> Result<()>;

    /// Open unless it was closed: for work that goes on for long after its claim.
    async fn gate(&self, run: &RunId) -> Result<Gate>;

    /// Takes or keeps a named office for `lease`: of two coordinators, one leads. Returns whether
    /// `holder` has it now.
    async fn lead(&self, office: &str, holder: &WorkerId, lease: Duration) -> Result<bool>;

    /// Who has an office now.
    async fn leader(&self, office: &str) -> Result<Option<WorkerId>>;

    /// Gives up an office.
    async fn resign(&self, office: &str, holder: &WorkerId) -> Result<()>;

    /// Says to a group that `member` is there for `lease`, and `words` of its own in the place of those before.
    async fn announce(&self, group: &str, member: &WorkerId, words: &str, lease: Duration) -> Result<()>;

    /// Who is there now, and with what words; in the order of their names.
    async fn announced(&self, group: &str) -> Result<Vec<(WorkerId, String)>>;

    /// Is not there any more.
    async fn withdraw(&self, group: &str, member: &WorkerId) -> Result<()>;

    /// Nobody serves the run any more: all about it may be forgotten `after` so long, unless its gate is set before.
    async fn retire(&self, run: &RunId, after: Duration) -> Result<()>;

    /// Forgets all about a run.
    async fn forget(&self, run: &RunId) -> Result<()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Work on it. `attempts` counts this one; `failures` are those before it that were the item's
    /// own fault, a crash of its worker among them.
    Go { attempts: u32, failures: u32 },
    /// Its output exists: settle the delivery and go on.
    Done,
    /// Another worker has it: hand the delivery back or drop it; the coordinator sees to the rest.
    Held,
    /// It was set aside: settle the delivery.
    Buried,
    /// The run was paused or cancelled: settle the delivery.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    First,
    Duplicate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Not the item's fault: preempted, a server away, a missing input.
    Uncounted,
    /// Its worker died, and nobody knows of what: the attempt stands, and nothing is blamed.
    Died,
    /// The item's fault, so far as one can tell. `attempt` is the number that its claim was given.
    Counted { attempt: u32, failure: Failure },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    Closed,
}

/// A point in the ledger's history. Opaque; compares equal only to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Finished {
        place: Place,
        report: Report,
    },
    /// Given up by its worker; to be published again, after a pause if it failed.
    Released {
        place: Place,
        failures: u32,
        failure: Option<Failure>,
    },
    /// Its worker's lease ran out.
    Lost {
        place: Place,
    },
    Buried {
        place: Place,
        attempts: u32,
        failure: Failure,
    },
    /// To be done again.
    Reset {
        place: Place,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Events {
    Some { events: Vec<Event>, next: Cursor },
    Gone,
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    /// False: this ledger has never heard of the run, or has lost it. Restore it.
    pub known: bool,
    /// Bitmaps by stage and lot; bit `i` is bit `7 - i % 8` of byte `i / 8` (Redis' order).
    pub done: BTreeMap<(Stage, u32), Vec<u8>>,
    pub buried: Vec<(Place, u32, Failure)>,
    /// Events after this point are not in the snapshot (some may be in both: applying one twice
    /// must be harmless).
    pub cursor: Cursor,
}

impl Snapshot {
    pub fn is_done(&self, place: Place) -> bool {
        let bytes = self.done.get(&(place.stage, place.lot));
        let byte = bytes.and_then(|bytes| bytes.get(place.index as usize / 8));
        byte.is_some_and(|byte| byte & (0x80 >> (place.index % 8)) != 0)
    }

    pub fn n_done(&self) -> u64 {
        self.done.values().flatten().map(|byte| u64::from(byte.count_ones())).sum()
    }
}
