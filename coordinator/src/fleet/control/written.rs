//! How the fleet stands, as `fleet.json` has it: what a controller goes on from, and what people read.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use swath_backends::Kind;
use swath_proto::{
    fleet::{ByKind, FleetStatus, Wish, WorkerKind},
    keys,
};

use super::{Control, Fleet};
use crate::fleet::{
    book::{Book, Card},
    market::Place,
    report,
    target::{Decision, Memory, Seen},
};

/// How often `fleet.json` is written where nothing has changed.
const WRITE_EVERY: Duration = Duration::from_secs(10);

impl Control {
    pub(super) async fn read(&self) -> anyhow::Result<Fleet> {
        let json = match self.doors.blobs.get(keys::FLEET).await {
            Ok(json) => Some(json),
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mut fleet = Fleet {
            book: Book::default(),
            memory: Memory::default(),
            wish: Wish::default(),
            pending: Vec::new(),
            news: ByKind::default(),
            written: None,
        };
        let Some(json) = json else { return Ok(fleet) };
        let before = FleetStatus::from_json(&json).with_context(|| {
            format!("reading {}: was it written by a newer program? Then update this one", keys::FLEET)
        })?;
        let time = |text: &String| text.parse::<Timestamp>().ok();
        fleet.book = Book::go_on(before.spent, before.counted_until.as_ref().and_then(time));
        fleet.memory.exhausted = before.exhausted;
        for kind in WorkerKind::ALL {
            fleet.memory.kinds.of_mut(kind).place = Place::measured(before.crews.of(kind).launch_s);
        }
        fleet.wish = before.wish;
        fleet.pending = before.pending.into_iter().map(report::order).collect();
        Ok(fleet)
    }

    pub(super) fn status(
        &self,
        fleet: &Fleet,
        seen: &Seen,
        decision: &Decision,
        cards: &[Card],
        now: Timestamp,
    ) -> FleetStatus {
        let messages = [
            decision.messages.clone(),
            report::late(&fleet.book.drained, cards, now),
            report::unserved(&self.sharing.asks(), &self.setup.policy, self.setup.allow_steps),
        ];
        let policy = &self.setup.policy;
        let crew = |kind| {
            let (seen, step) = (seen.crews.of(kind), decision.kinds.of(kind));
            report::crew(policy.kinds.of(kind), seen, step, &fleet.memory.kinds.of(kind).place)
        };
        FleetStatus {
            written: now.to_string(),
            coordinator: self.me.name.clone(),
            provider: self.setup.provider_name.clone(),
            drain_s: policy.drain_s,
            crews: ByKind::from_fn(crew),
            wish: fleet.wish,
            budget: policy.budget,
            spent: fleet.book.spent,
            exhausted: fleet.memory.exhausted,
            messages: messages.concat(),
            pending: fleet.pending.iter().map(|order| report::pending(order, now)).collect(),
            counted_until: fleet.book.counted_until.map(|until| until.to_string()),
        }
    }

    /// Where the provider can't be asked: as it was seen last.
    pub(super) fn blind(&self, fleet: &Fleet, trouble: String, now: Timestamp) -> FleetStatus {
        let status = self.status(fleet, &Seen::default(), &Decision::default(), &[], now);
        let crews = fleet.written.as_ref().map(|(last, _)| last.crews.clone());
        FleetStatus {
            crews: crews.unwrap_or_else(|| status.crews.clone()),
            messages: vec![trouble],
            ..status
        }
    }

    /// What nobody would miss is left out for a while.
    pub(super) async fn write(&self, fleet: &mut Fleet, status: FleetStatus) -> anyhow::Result<()> {
        let mut told = &Vec::new();
        if let Some((last, at)) = &fleet.written {
            if at.elapsed() < WRITE_EVERY && report::is_alike(last, &status) {
                return Ok(());
            }
            told = &last.messages;
        }
        for message in status.messages.iter().filter(|message| !told.contains(*message)) {
            tracing::warn!("{message}");
        }
        let json = status.to_json().context("writing fleet.json")?;
        self.doors.blobs.put(keys::FLEET, json.into()).await.context("writing fleet.json")?;
        fleet.written = Some((status, Instant::now()));
        Ok(())
    }
}
