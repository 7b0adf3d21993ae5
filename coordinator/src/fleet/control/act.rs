//! What is decided, done: workers are told to leave, jobs given up, orders given.

use std::time::Duration;

use jiff::Timestamp;
use swath_proto::{
    fleet::WorkerKind,
    worker::{WorkerState, drain_office},
};

use super::{Control, Fleet, WantedBy};
use crate::fleet::{
    book::Card,
    market::News,
    provider::{ErrorKind, Order, ProviderError},
    target::{Decision, Step},
};

/// A worker asks every five seconds whether it is to leave.
const DRAIN_LEASE: Duration = Duration::from_secs(60);
/// Jobs that are cancelled in a round.
const CANCELS: usize = 200;

impl Control {
    /// Holds the office by which a worker hears that it is to leave, until it leaves.
    pub(super) async fn send_away(&self, fleet: &Fleet, cards: &[Card]) -> anyhow::Result<()> {
        for (worker, card) in cards {
            if card.state == WorkerState::Working && fleet.book.drained.contains_key(worker) {
                // Held by another, it says the same.
                self.doors.ledger.lead(&drain_office(worker), &self.me.name, DRAIN_LEASE).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn cancel(&self, fleet: &mut Fleet, decision: &Decision) {
        let wanted = WorkerKind::ALL.into_iter().flat_map(|kind| &decision.kinds.of(kind).cancel);
        for (job, why) in wanted.take(CANCELS) {
            match self.setup.provider.cancel(job, why).await {
                Ok(()) => {
                    tracing::info!(%job, why, "given up");
                    fleet.book.cancelled.insert(job.clone());
                }
                // It is still there at the next look, and asked for again.
                Err(error) => tracing::debug!(%job, error = error.told(), "it can't be given up now"),
            }
        }
    }

    /// Gives every order that has no answer yet, those of an earlier round or of an earlier controller too.
    pub(super) async fn start(&self, fleet: &mut Fleet, now: Timestamp) {
        for order in std::mem::take(&mut fleet.pending) {
            let news = fleet.news.of_mut(order.kind);
            match self.setup.provider.start(&order).await {
                Ok(jobs) => {
                    let Order { kind, market, n, .. } = &order;
                    tracing::info!(%kind, %market, asked = n, started = jobs.len(), "workers are started");
                    if (jobs.len() as u32) < *n {
                        news.push(News::NoCapacity(format!("{} of {n} were to be had", jobs.len())));
                    }
                    fleet.book.started(&order, &jobs, now);
                }
                Err(error) if error.kind == ErrorKind::Away => {
                    tracing::warn!(error = error.told(), "an order is not answered; it is given again");
                    fleet.pending.push(order);
                }
                Err(error) => {
                    tracing::warn!(error = error.told(), "workers can't be started");
                    news.push(refusal(&error));
                }
            }
        }
    }
}

fn refusal(error: &ProviderError) -> News {
    match error.kind {
        ErrorKind::NoCapacity => News::NoCapacity(error.told()),
        ErrorKind::Away | ErrorKind::Refused | ErrorKind::Config => News::Failed(error.told()),
    }
}

pub(super) fn order(
    kind: WorkerKind,
    step: &Step,
    waiting: Option<WantedBy>,
    now: Timestamp,
) -> Option<Order> {
    let market = step.market.filter(|_| step.start > 0)?;
    let token = format!("{kind}-{}-{:08x}", now.as_millisecond(), rand::random::<u32>());
    let (run, stage) = waiting.unzip();
    Some(Order { token, kind, market, n: step.start, run, stage: stage.flatten() })
}
