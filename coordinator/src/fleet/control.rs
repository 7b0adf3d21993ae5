//! The loop: looks at the backlog, the provider's jobs and the workers' cards, decides, starts, sends away, and
//! writes down how the fleet stands. One coordinator under a root does it; all it needs to go on where another has
//! stopped lies in `fleet.json`.

mod act;
mod written;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use jiff::Timestamp;
use swath_backends::open::Doors;
use swath_proto::{
    fleet::{ByKind, FleetStatus, Wish, WorkerKind},
    ids::RunId,
    item::Stage,
    worker::root_mark,
};
use tokio_util::sync::CancellationToken;

use self::act::order;
use super::{
    book::{Book, Card},
    commands::{self, Command},
    market::News,
    policy::Policy,
    provider::{Order, Provider},
    shown::show,
    target::{Crew, Memory, Seen, Work, decide},
};
use crate::{
    discovery::{self, Announced},
    metrics,
    run::Me,
    sharing::Sharing,
};

/// Longer than any round takes: two never do it at once.
const LEASE: Duration = Duration::from_secs(60);
const ROUND: Duration = Duration::from_secs(45);

/// The office of whoever has the fleet of a root; several roots may share a ledger.
pub fn office(root_uri: &str) -> String {
    format!("fleet/{}", root_mark(root_uri))
}

pub struct Setup {
    pub policy: Policy,
    pub provider: Arc<dyn Provider>,
    /// As people know it.
    pub provider_name: String,
    /// Whether its workers run steps of the users' own.
    pub allow_steps: bool,
    /// Between two looks.
    pub every: Duration,
}

/// Until told to stop. Whatever is wrong is told, and tried again.
pub async fn control(setup: Setup, doors: Doors, me: Me, sharing: Sharing, stop: CancellationToken) {
    let office = office(&doors.blobs.uri(""));
    let every = setup.every;
    let mut control = Control::new(setup, doors, me, sharing);
    // Whom it waits for; told once.
    let mut waits_for = None;
    loop {
        let round = async {
            if !control.doors.ledger.lead(&office, &control.me.name, LEASE).await? {
                return Ok(Some(control.doors.ledger.leader(&office).await?));
            }
            control.round(Timestamp::now()).await.map(|()| None)
        };
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            ended = tokio::time::timeout(ROUND, round) => ended,
        };
        match ended.unwrap_or_else(|_| Err(anyhow!("a round has taken more than {ROUND:?}"))) {
            Ok(None) => waits_for = None,
            Ok(Some(leader)) => {
                // Whoever has it writes down what happens meanwhile.
                control.fleet = None;
                metrics::fleet::left();
                // Nobody: it was given up between two questions, and is ours at the next look.
                if let Some(name) = leader.as_ref().filter(|_| waits_for != leader) {
                    tracing::info!(coordinator = %name, "another coordinator has the fleet; waiting");
                    waits_for = leader;
                }
            }
            Err(error) => control.say(format!("{error:#}")),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    if let Err(error) = control.doors.ledger.resign(&office, &control.me.name).await {
        tracing::debug!(error = error.doing, "the fleet's office runs out by itself");
    }
}

/// Whose run waits most, and with what.
type WantedBy = (RunId, Option<Stage>);

pub(super) struct Control {
    setup: Setup,
    doors: Doors,
    me: Me,
    sharing: Sharing,
    root: String,
    /// None: `fleet.json` is to be read first.
    fleet: Option<Fleet>,
    /// The last trouble that was told.
    said: String,
}

/// What is known of the fleet.
struct Fleet {
    book: Book,
    memory: Memory,
    wish: Wish,
    pending: Vec<Order>,
    /// From the provider, since the last decision.
    news: ByKind<Vec<News>>,
    /// As it was written last, and when that was.
    written: Option<(FleetStatus, Instant)>,
}

impl Control {
    pub(super) fn new(setup: Setup, doors: Doors, me: Me, sharing: Sharing) -> Self {
        let root = root_mark(&doors.blobs.uri(""));
        Self { setup, doors, me, sharing, root, fleet: None, said: String::new() }
    }

    /// A trouble is told once, until it is another one.
    fn say(&mut self, trouble: String) {
        if self.said != trouble {
            tracing::warn!(error = trouble, "the fleet is left as it is; trying again");
            self.said = trouble;
        }
    }

    pub(super) async fn round(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let mut fleet = match self.fleet.take() {
            Some(fleet) => fleet,
            None => self.read().await?,
        };
        // What was done stays known, whatever fails after it.
        let ended = self.turn(&mut fleet, now).await;
        self.fleet = Some(fleet);
        ended
    }

    async fn turn(&mut self, fleet: &mut Fleet, now: Timestamp) -> anyhow::Result<()> {
        self.sharing.look_around(&self.doors.blobs, Instant::now()).await;
        let jobs = match self.setup.provider.jobs().await {
            Ok(jobs) => jobs,
            Err(error) => {
                let trouble = error.told();
                let status = self.blind(fleet, trouble.clone(), now);
                self.write(fleet, status).await?;
                return Err(anyhow!(trouble));
            }
        };
        let cards = self.cards().await?;
        let obeyed = self.obey(fleet, &cards, now).await?;
        let mut seen = Seen {
            crews: fleet.book.look(&jobs, &cards, &fleet.pending, &self.setup.policy, &self.root, now),
            spent: fleet.book.spent,
            wish: fleet.wish,
        };
        let wanted_by = self.add_work(&mut seen.crews);
        for kind in WorkerKind::ALL {
            let news = std::mem::take(fleet.news.of_mut(kind));
            seen.crews.of_mut(kind).news.extend(news);
        }
        let decision =
            decide(&self.setup.policy, &seen, &mut fleet.memory, now.as_millisecond() as f64 / 1000.0);
        for kind in WorkerKind::ALL {
            let step = decision.kinds.of(kind);
            fleet.pending.extend(order(kind, step, wanted_by.of(kind).clone(), now));
            for worker in &step.drain {
                fleet.book.drained.insert(worker.clone(), now);
            }
            if !step.drain.is_empty() {
                tracing::info!(%kind, n = step.drain.len(), target = step.target, "workers are told to leave");
            }
        }
        // An order lies under the root before anybody is started for it.
        let status = self.status(fleet, &seen, &decision, &cards, now);
        show(&status, &seen);
        self.write(fleet, status).await?;
        // Who is to leave stands in no file: a command is there until they can hear it.
        self.send_away(fleet, &cards).await?;
        for key in obeyed {
            self.doors.blobs.delete(&key).await?;
        }
        self.cancel(fleet, &decision).await;
        self.start(fleet, now).await;
        self.said.clear();
        Ok(())
    }

    async fn cards(&self) -> anyhow::Result<Vec<Card>> {
        let announced = discovery::workers(&*self.doors.ledger).await?;
        Ok(announced.into_iter().map(|Announced { name, worker }| (name, worker)).collect())
    }

    /// Takes what people ask; returns the keys that are to be removed once it is written down.
    async fn obey(&self, fleet: &mut Fleet, cards: &[Card], now: Timestamp) -> anyhow::Result<Vec<String>> {
        let mut obeyed = Vec::new();
        for (key, command) in commands::pending(&self.doors.blobs).await? {
            tracing::info!(?command, "asked of the fleet");
            match command {
                Command::Scale { kind, workers } => {
                    fleet.wish.stopped = false;
                    for kind in WorkerKind::ALL.into_iter().filter(|of| kind.is_none_or(|kind| kind == *of)) {
                        *fleet.wish.fixed.of_mut(kind) = workers;
                    }
                }
                Command::Stop => fleet.wish.stopped = true,
                Command::Drain { workers } => {
                    let ours = cards
                        .iter()
                        .filter(|(_, card)| card.root.as_deref().is_none_or(|root| root == self.root));
                    let all = || ours.map(|(id, _)| id.clone()).collect();
                    let drained = workers.unwrap_or_else(all);
                    fleet.book.drained.extend(drained.into_iter().map(|worker| (worker, now)));
                }
            }
            obeyed.push(key);
        }
        Ok(obeyed)
    }

    /// What there is to do for each kind; returns whose run waits most, and with what.
    fn add_work(&self, crews: &mut ByKind<Crew>) -> ByKind<Option<WantedBy>> {
        let mut most: ByKind<(f64, Option<WantedBy>)> = ByKind::default();
        for (run, [cpu, gpu, steps]) in self.sharing.asks() {
            let steps = steps.filter(|_| self.setup.allow_steps);
            for (kind, ask) in [(WorkerKind::Cpu, cpu), (WorkerKind::Gpu, gpu), (WorkerKind::Cpu, steps)] {
                let Some(ask) = ask else { continue };
                let held = ask.held.min(ask.out);
                let waiting = ask.out - held + ask.more;
                let mut own = Work::default();
                own.add(waiting, held, ask.seconds);
                crews.of_mut(kind).work.add(waiting, held, ask.seconds);
                let most = most.of_mut(kind);
                let weight = own.seconds + own.unknown;
                if weight > most.0 {
                    *most = (weight, Some((run.clone(), ask.stage)));
                }
            }
        }
        ByKind { cpu: most.cpu.1, gpu: most.gpu.1 }
    }
}

#[cfg(test)]
mod tests;
