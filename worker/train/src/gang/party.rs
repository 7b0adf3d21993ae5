//! One machine of a gang: starts its ranks for each generation that the leader has decided, and ends them when that is
//! over. A machine may come and go at any time.

use std::{thread, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    generation::{Ended, Generation, Order, Seats},
    membership::{Joining, Membership, View},
    plan::{Plan, State, Verdict},
    supervisor::{Hope, Ranks},
};
use crate::{Kind, Outcome, Progress, Result, TrainError};

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Trains together with other machines, to the end or until `stop` is cancelled: all write a checkpoint then, and the
/// others go on without this one. The machine with the first rank says what came of it, the others have helped.
pub fn supervise_together(
    ranks: &Ranks<'_>,
    joining: Joining<'_>,
    progress: &mut dyn FnMut(Progress),
    stop: &CancellationToken,
) -> Result<Outcome> {
    let gang = Membership::join(joining, ranks.n)?;
    let outcome = Party { ranks, gang: &gang, stop, newest: 0, hope: Hope::default() }.work(progress);
    if let State::Works { generation, .. } = gang.state() {
        gang.say(State::Lost(generation));
    }
    gang.end();
    outcome
}

struct Party<'a> {
    ranks: &'a Ranks<'a>,
    gang: &'a Membership,
    stop: &'a CancellationToken,
    /// Number of the last generation that it was in.
    newest: u64,
    hope: Hope,
}

enum Next {
    Generation(Plan, Seats),
    Leave,
    IsFinished,
}

impl Party<'_> {
    fn work(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<Outcome> {
        let mut last = Outcome::Interrupted;
        loop {
            let (plan, seats) = match self.next()? {
                Next::Generation(plan, seats) => (plan, seats),
                Next::Leave => return Ok(last),
                Next::IsFinished => return Ok(Outcome::Helped),
            };
            self.newest = plan.id.number;
            let (generation, first, size) = (plan.id.to_string(), seats.first, seats.size);
            tracing::info!(
                generation,
                first,
                ranks = self.ranks.n,
                of = size,
                "a generation of the gang begins"
            );
            last = match self.train(&plan, seats, progress) {
                Ok(Ended::Outcome(outcome @ (Outcome::Finished(_) | Outcome::AlreadyFinished(_)))) => {
                    self.gang.say(State::Over(Verdict::Finished));
                    return Ok(outcome);
                }
                // They had not met the others yet, or have lost them on the way.
                Ok(Ended::Outcome(Outcome::Interrupted)) => {
                    self.gang.say(State::Lost(plan.id));
                    Outcome::Interrupted
                }
                Ok(Ended::Outcome(outcome)) => {
                    self.gang.say(State::Stopped(plan.id));
                    outcome
                }
                Ok(Ended::Lost(loss)) => {
                    self.gang.say(State::Lost(plan.id));
                    if !self.stop.is_cancelled() {
                        self.hope.lose(&loss)?;
                        tracing::warn!(generation, "{}; the gang goes on from the last checkpoint", loss.why);
                    }
                    Outcome::Interrupted
                }
                Err(error) => {
                    if is_of_all(error.kind, first) {
                        let text = error.to_string();
                        self.gang.say(State::Over(Verdict::Failed { kind: error.kind, text }));
                    }
                    return Err(error);
                }
            };
        }
    }

    /// Waits for a generation that this machine has a part in.
    fn next(&self) -> Result<Next> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(Next::Leave);
            }
            let view = self.gang.view();
            match view.verdict() {
                Some(Verdict::Finished) => return Ok(Next::IsFinished),
                Some(Verdict::Failed { kind, text }) => return Err(TrainError::new(*kind, text)),
                None => {}
            }
            if self.newest == 0
                && let Some(stranger) = &view.stranger
            {
                return Err(TrainError::config(format!(
                    "{stranger} is in a gang of this name with another file: give all of a gang the same, or this one \
                     another name"
                )));
            }
            if let Some(plan) = view.plan.as_ref().filter(|plan| plan.id.number > self.newest)
                && let Some(first) = plan.first_rank(&self.gang.me)
                && let Some(seats) = self.seats(plan, first, &view)?
            {
                return Ok(Next::Generation(plan.clone(), seats));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// `None` until the first machine has opened the store.
    fn seats(&self, plan: &Plan, first: u32, view: &View) -> Result<Option<Seats>> {
        let address = |party| view.cards.get(party).map(|card| card.address);
        let mut others = plan.parties.iter().filter_map(|(name, _)| address(name));
        if self.gang.address.is_loopback() && others.any(|other| !other.is_loopback()) {
            return Err(TrainError::config(format!(
                "this machine has told the others {}, where they do not come: give the address at which they reach it",
                self.gang.address
            )));
        }
        let is_told = self.gang.state().generation() == Some(&plan.id);
        if !is_told {
            self.gang.say(State::Works { generation: plan.id.clone(), port: None });
        }
        let size = plan.size();
        if size == self.ranks.n {
            return Ok(Some(Seats::alone(size)));
        }
        let (host, port) = match plan.parties.first().and_then(|(name, _)| view.cards.get(name)) {
            _ if first == 0 => (self.gang.address, 0),
            Some(card) => match &card.state {
                State::Works { generation, port: Some(port) } if *generation == plan.id => {
                    (card.address, *port)
                }
                _ => return Ok(None),
            },
            None => return Ok(None),
        };
        Ok(Some(Seats { first, size, host: host.to_string(), port, attempt: plan.id.to_string() }))
    }

    fn train(&mut self, plan: &Plan, seats: Seats, progress: &mut dyn FnMut(Progress)) -> Result<Ended> {
        let Self { ranks, gang, stop, hope, .. } = self;
        let opened = |port| gang.say(State::Works { generation: plan.id.clone(), port: Some(port) });
        let order = || {
            let view = gang.view();
            let has_next = view.plan.as_ref().is_some_and(|next| next.id.number > plan.id.number);
            if stop.is_cancelled() {
                gang.leave();
            }
            match view.verdict() {
                Some(Verdict::Failed { text, .. }) => Order::End(text.clone()),
                _ if !has_next && !stop.is_cancelled() => Order::GoOn,
                _ if plan.is_whole(&view.cards) => Order::Stop,
                _ => Order::End("another machine is gone, or has lost a rank".into()),
            }
        };
        let mut tell = |now: Progress| {
            hope.hear(&now);
            progress(now);
        };
        Generation::new(ranks, seats).run(&mut tell, &opened, &order)
    }
}

/// Whether all others would come to the same: one with other chips than the first is alone with that.
const fn is_of_all(kind: Kind, first: u32) -> bool {
    matches!(kind, Kind::Data) || matches!(kind, Kind::Config) && first == 0
}
