//! The loop: looks at the backlog, the provider's jobs and the workers' cards, decides, starts, sends away, and
//! writes down how the fleet stands. One coordinator under a root does it; all it needs to go on where another has
//! stopped lies in `fleet.json`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use swath_backends::{Kind, open::Doors};
use swath_proto::{
    fleet::{ByKind, FleetStatus, Wish, WorkerKind},
    ids::RunId,
    item::Stage,
    keys,
    worker::{WorkerState, drain_office, root_mark},
};
use tokio_util::sync::CancellationToken;

use super::{
    book::{Book, Card},
    commands::{self, Command},
    market::{News, Place},
    policy::Policy,
    provider::{ErrorKind, Order, Provider, ProviderError},
    report,
    shown::show,
    target::{Crew, Decision, Memory, Seen, Step, Work, decide},
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
/// A worker asks every five seconds whether it is to leave.
const DRAIN_LEASE: Duration = Duration::from_secs(60);
/// How often `fleet.json` is written where nothing has changed.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// Jobs that are cancelled in a round.
const CANCELS: usize = 200;

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

    async fn read(&self) -> anyhow::Result<Fleet> {
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

    fn status(
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
    fn blind(&self, fleet: &Fleet, trouble: String, now: Timestamp) -> FleetStatus {
        let status = self.status(fleet, &Seen::default(), &Decision::default(), &[], now);
        let crews = fleet.written.as_ref().map(|(last, _)| last.crews.clone());
        FleetStatus {
            crews: crews.unwrap_or_else(|| status.crews.clone()),
            messages: vec![trouble],
            ..status
        }
    }

    /// What nobody would miss is left out for a while.
    async fn write(&self, fleet: &mut Fleet, status: FleetStatus) -> anyhow::Result<()> {
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

    /// Holds the office by which a worker hears that it is to leave, until it leaves.
    async fn send_away(&self, fleet: &Fleet, cards: &[Card]) -> anyhow::Result<()> {
        for (worker, card) in cards {
            if card.state == WorkerState::Working && fleet.book.drained.contains_key(worker) {
                // Held by another, it says the same.
                self.doors.ledger.lead(&drain_office(worker), &self.me.name, DRAIN_LEASE).await?;
            }
        }
        Ok(())
    }

    async fn cancel(&self, fleet: &mut Fleet, decision: &Decision) {
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
    async fn start(&self, fleet: &mut Fleet, now: Timestamp) {
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

fn order(kind: WorkerKind, step: &Step, waiting: Option<WantedBy>, now: Timestamp) -> Option<Order> {
    let market = step.market.filter(|_| step.start > 0)?;
    let token = format!("{kind}-{}-{:08x}", now.as_millisecond(), rand::random::<u32>());
    let (run, stage) = waiting.unzip();
    Some(Order { token, kind, market, n: step.start, run, stage: stage.flatten() })
}

#[cfg(test)]
mod tests;
