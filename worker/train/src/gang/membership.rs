//! What a party says to the others through the ledger, and hears of them there. Kept beside what it does: a party that
//! says nothing more is gone for the others, whatever has become of it.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use swath_backends::ledger::Ledger;
use swath_proto::{ids::WorkerId, train::TrainFile};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    file::digest,
    plan::{Card, Cards, Limits, Plan, State, Verdict, decide},
};
use crate::{Kind, Result, TrainError, most_ranks};

/// A gang over several machines, as one of them joins it.
pub struct Joining<'a> {
    /// The gang's name, under its ledger.
    pub gang: &'a str,
    pub ledger: Arc<dyn Ledger>,
    pub runtime: Handle,
    /// New at every start.
    pub me: WorkerId,
    /// Where the others reach this machine.
    pub address: IpAddr,
    /// Ranks of all machines that training begins with, and goes on with.
    pub least: u32,
    pub file: &'a TrainFile,
}

/// Of a party that is silent for so long, the others think that it is gone.
const LEASE: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(500);
/// Nobody comes or goes for so long before all are asked to stop for newcomers.
const SETTLED: Duration = Duration::from_secs(3);
/// What a party said at its end stands for so long, for those who hear it late.
const FAREWELL: Duration = Duration::from_secs(60);

/// What there is to know of a gang.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub cards: Cards,
    /// What the leader has decided.
    pub plan: Option<Plan>,
    /// One of another training waits under the same name.
    pub stranger: Option<WorkerId>,
}

impl View {
    /// What all have come to, as one of them says.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.cards.values().find_map(|card| match &card.state {
            State::Over(verdict) => Some(verdict),
            _ => None,
        })
    }
}

pub(super) struct Membership {
    pub me: WorkerId,
    pub address: IpAddr,
    card: watch::Sender<Card>,
    view: watch::Receiver<View>,
    quit: CancellationToken,
    keeping: JoinHandle<()>,
    runtime: Handle,
}

impl Membership {
    /// With so many ranks.
    pub fn join(joining: Joining<'_>, ranks: u32) -> Result<Self> {
        let Joining { gang, ledger, runtime, me, address, least, file } = joining;
        let most = most_ranks(&file.train, usize::MAX);
        if ranks.max(least) > most {
            return Err(TrainError::config(format!(
                "a gang of {} ranks: {most} at most have something to do in each step of train.batch = {}",
                ranks.max(least),
                file.train.batch
            )));
        }
        let training = digest(file)?;
        let first = Card { address, ranks, training, state: State::Waits, leaves: false, plan: None };
        let (card, ours) = watch::channel(first);
        let (told, view) = watch::channel(View::default());
        let quit = CancellationToken::new();
        let keeper = Keeper {
            ledger,
            name: format!("gang/{gang}"),
            me: me.clone(),
            limits: Limits { least, most },
            ours,
            told,
            led: None,
            changed: Instant::now(),
            old: None,
            unread: BTreeSet::new(),
            is_in: false,
            is_away: false,
        };
        let keeping = runtime.spawn(keeper.keep(quit.clone()));
        Ok(Self { me, address, card, view, quit, keeping, runtime })
    }

    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    pub fn state(&self) -> State {
        self.card.borrow().state.clone()
    }

    pub fn say(&self, state: State) {
        self.card.send_if_modified(|card| {
            let is_new = card.state != state;
            card.state = state;
            is_new
        });
    }

    /// Others are not to count on this party from now on.
    pub fn leave(&self) {
        self.card.send_if_modified(|card| !std::mem::replace(&mut card.leaves, true));
    }

    /// Says the last, and returns once that is said.
    pub fn end(self) {
        self.leave();
        self.quit.cancel();
        if let Err(error) = self.runtime.block_on(self.keeping) {
            tracing::debug!(%error, "the gang's ledger");
        }
    }
}

/// Since when this party has led without a gap, and until when it does.
struct Led {
    since: Instant,
    until: Instant,
}

struct Keeper {
    ledger: Arc<dyn Ledger>,
    /// Of the group and its office.
    name: String,
    me: WorkerId,
    limits: Limits,
    ours: watch::Receiver<Card>,
    told: watch::Sender<View>,
    led: Option<Led>,
    /// When somebody came or went.
    changed: Instant,
    /// What was over before this party came.
    old: Option<Vec<WorkerId>>,
    /// Those whose cards can't be read, as was told.
    unread: BTreeSet<WorkerId>,
    /// The others have been told of this party.
    is_in: bool,
    /// The ledger was away when it was last asked.
    is_away: bool,
}

impl Keeper {
    async fn keep(mut self, quit: CancellationToken) {
        while !quit.is_cancelled() {
            self.ask(false).await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = self.ours.changed() => {}
                () = quit.cancelled() => {}
            }
        }
        // A verdict is not to be lost because the ledger is away for a moment. After a lease, the others think that
        // this party is gone, whatever it says.
        let begun = Instant::now();
        while self.is_in && !self.ask(true).await && begun.elapsed() < LEASE {
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Whether the ledger has answered.
    async fn ask(&mut self, is_last: bool) -> bool {
        let asked = self.round(is_last).await;
        if let Err(error) = &asked
            && !self.is_away
        {
            tracing::warn!(gang = self.name, %error, "the ledger can't be asked; trying again");
        }
        self.is_away = asked.is_err();
        asked.is_ok()
    }

    async fn round(&mut self, is_last: bool) -> Result<()> {
        if !self.is_in && !self.may_enter().await? {
            return Ok(());
        }
        let asked = Instant::now();
        let leads = self.ledger.lead(&self.name, &self.me, LEASE).await?;
        let since = self.led.take().filter(|led| asked < led.until).map_or(asked, |led| led.since);
        self.led = leads.then(|| Led { since, until: asked + LEASE });
        let mut card = self.ours.borrow_and_update().clone();
        let announced = self.ledger.announced(&self.name).await?;
        let mut view = self.read(announced, &card);
        let last = self.told.borrow().plan.clone();
        let is_newer = |plan: &Plan| last.as_ref().is_none_or(|last| plan.id.number > last.id.number);
        view.plan = match &self.led {
            // Those who were cut off as well are heard of by then.
            Some(led) if led.since.elapsed() >= LEASE => {
                let is_settled = self.changed.elapsed() >= SETTLED;
                decide(&self.me, &view.cards, last.as_ref(), self.limits, is_settled)
            }
            Some(_) => None,
            None => {
                let leader = self.ledger.leader(&self.name).await?;
                leader.and_then(|leader| view.cards.get(&leader)?.plan.clone()).filter(is_newer)
            }
        }
        .or(last);
        card.plan = view.plan.clone().filter(|_| leads);
        let lease = if is_last { FAREWELL } else { LEASE };
        let words = serde_json::to_string(&card);
        let words = words.map_err(|error| TrainError::new(Kind::Internal, error.to_string()))?;
        self.ledger.announce(&self.name, &self.me, &words, lease).await?;
        self.is_in = true;
        if is_last && leads {
            self.ledger.resign(&self.name, &self.me).await?;
        }
        self.told.send_replace(view);
        Ok(())
    }

    /// Whether all who are there have this party's file. One that has another says nothing: those who wait would
    /// end for it.
    async fn may_enter(&mut self) -> Result<bool> {
        let announced = self.ledger.announced(&self.name).await?;
        let card = self.ours.borrow_and_update().clone();
        let view = self.read(announced, &card);
        let is_right = view.stranger.is_none();
        if !is_right {
            self.told.send_replace(view);
        }
        Ok(is_right)
    }

    /// What others have said, of this training, and this party itself.
    fn read(&mut self, announced: Vec<(WorkerId, String)>, ours: &Card) -> View {
        let mut view = View::default();
        for (name, words) in announced {
            match serde_json::from_str::<Card>(&words) {
                Ok(card) => _ = view.cards.insert(name, card),
                Err(error) if self.unread.insert(name.clone()) => {
                    tracing::warn!(gang = self.name, %name, %error, "a party of another version");
                }
                Err(_) => {}
            }
        }
        view.cards.remove(&self.me);
        let is_over = |card: &Card| matches!(card.state, State::Over(_));
        let old = self.old.get_or_insert_with(|| {
            view.cards.iter().filter(|(_, card)| is_over(card)).map(|(name, _)| name.clone()).collect()
        });
        let is_strange = |card: &Card| card.training != ours.training && !card.leaves;
        view.stranger = view.cards.iter().find(|(_, card)| is_strange(card)).map(|(name, _)| name.clone());
        view.cards.retain(|name, card| card.training == ours.training && !old.contains(name));
        view.cards.insert(self.me.clone(), ours.clone());
        if !self.told.borrow().cards.keys().eq(view.cards.keys()) {
            self.changed = Instant::now();
        }
        view
    }
}
