//! A ledger with a clock.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use swath_proto::{
    ids::{RunId, WorkerId},
    item::Place,
    outcome::{Failure, Report},
};

use super::{Claim, Cursor, Events, Finish, Gate, Ledger, Release, Snapshot};
use crate::{Result, metrics::calls};

calls!(
    Calls of "ledger":
    claim invite join extend finish release bury reset reap held snapshot events restore set_gate gate lead leader resign announce announced withdraw retire forget
);

pub(crate) struct CountedLedger {
    inner: Arc<dyn Ledger>,
    calls: Calls,
}

impl CountedLedger {
    pub(crate) fn new(inner: Arc<dyn Ledger>) -> Self {
        Self { inner, calls: Calls::default() }
    }
}

#[async_trait]
impl Ledger for CountedLedger {
    async fn claim(&self, run: &RunId, place: Place, worker: &WorkerId, lease: Duration) -> Result<Claim> {
        self.calls.claim.of(self.inner.claim(run, place, worker, lease)).await
    }

    async fn invite(&self, run: &RunId, place: Place) -> Result<()> {
        self.calls.invite.of(self.inner.invite(run, place)).await
    }

    async fn join(&self, run: &RunId, place: Place, worker: &WorkerId) -> Result<Claim> {
        self.calls.join.of(self.inner.join(run, place, worker)).await
    }

    async fn extend(
        &self,
        run: &RunId,
        places: &[Place],
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<Place>> {
        self.calls.extend.of(self.inner.extend(run, places, worker, lease)).await
    }

    async fn finish(&self, run: &RunId, place: Place, report: Report) -> Result<Finish> {
        self.calls.finish.of(self.inner.finish(run, place, report)).await
    }

    async fn release(&self, run: &RunId, place: Place, worker: &WorkerId, release: Release) -> Result<u32> {
        self.calls.release.of(self.inner.release(run, place, worker, release)).await
    }

    async fn bury(&self, run: &RunId, place: Place, attempts: u32, failure: &Failure) -> Result<bool> {
        self.calls.bury.of(self.inner.bury(run, place, attempts, failure)).await
    }

    async fn reset(&self, run: &RunId, places: &[Place]) -> Result<()> {
        self.calls.reset.of(self.inner.reset(run, places)).await
    }

    async fn reap(&self, run: &RunId) -> Result<Vec<Place>> {
        self.calls.reap.of(self.inner.reap(run)).await
    }

    async fn held(&self, run: &RunId) -> Result<Vec<(Place, WorkerId)>> {
        self.calls.held.of(self.inner.held(run)).await
    }

    async fn snapshot(&self, run: &RunId) -> Result<Snapshot> {
        self.calls.snapshot.of(self.inner.snapshot(run)).await
    }

    async fn events(&self, run: &RunId, cursor: &Cursor) -> Result<Events> {
        self.calls.events.of(self.inner.events(run, cursor)).await
    }

    async fn restore(&self, run: &RunId, done: &[Place]) -> Result<()> {
        self.calls.restore.of(self.inner.restore(run, done)).await
    }

    async fn set_gate(&self, run: &RunId, gate: Gate) -> Result<()> {
        self.calls.set_gate.of(self.inner.set_gate(run, gate)).await
    }

    async fn gate(&self, run: &RunId) -> Result<Gate> {
        self.calls.gate.of(self.inner.gate(run)).await
    }

    async fn lead(&self, office: &str, holder: &WorkerId, lease: Duration) -> Result<bool> {
        self.calls.lead.of(self.inner.lead(office, holder, lease)).await
    }

    async fn leader(&self, office: &str) -> Result<Option<WorkerId>> {
        self.calls.leader.of(self.inner.leader(office)).await
    }

    async fn resign(&self, office: &str, holder: &WorkerId) -> Result<()> {
        self.calls.resign.of(self.inner.resign(office, holder)).await
    }

    async fn announce(&self, group: &str, member: &WorkerId, words: &str, lease: Duration) -> Result<()> {
        self.calls.announce.of(self.inner.announce(group, member, words, lease)).await
    }

    async fn announced(&self, group: &str) -> Result<Vec<(WorkerId, String)>> {
        self.calls.announced.of(self.inner.announced(group)).await
    }

    async fn withdraw(&self, group: &str, member: &WorkerId) -> Result<()> {
        self.calls.withdraw.of(self.inner.withdraw(group, member)).await
    }

    async fn retire(&self, run: &RunId, after: Duration) -> Result<()> {
        self.calls.retire.of(self.inner.retire(run, after)).await
    }

    async fn forget(&self, run: &RunId) -> Result<()> {
        self.calls.forget.of(self.inner.forget(run)).await
    }
}
