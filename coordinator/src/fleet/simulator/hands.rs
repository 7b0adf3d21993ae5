//! Workers in simulated time: what they do with the queue and with the ledger, as real ones do it. Only their cards are
//! not said every few seconds, but when they have changed.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::future::try_join_all;
use jiff::Timestamp;
use swath_backends::{
    Result,
    ledger::{Claim, Finish, Ledger},
};
use swath_proto::{
    envelope,
    ids::{RunId, WorkerId},
    item::Place,
    outcome::Report,
    worker::{self, GROUP, WorkerCard, WorkerState, drain_office},
};

use super::world::{Machines, Messages};
use crate::fleet::provider::JobId;

/// As `swath worker` has them if nobody says.
pub(super) const SLOTS: usize = 3;
/// The ledger's clock is a real one: no lease runs out in simulated time.
pub(super) const LEASE: Duration = Duration::from_secs(10 * 24 * 3600);
/// Calls to the ledger that go together.
const AT_ONCE: usize = 256;

/// All workers, and what they work with.
pub(super) struct Hands {
    pub(super) run: RunId,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) messages: Messages,
    pub(super) machines: Arc<Machines>,
    /// What an item takes on an average.
    pub(super) item_s: f64,
    pub(super) went: Went,
    workers: Vec<Worker>,
    /// Who is dealt the next item.
    next: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Went {
    /// What all items that were taken take.
    pub(super) work_s: f64,
    /// In which workers had nothing in hand.
    pub(super) idle_s: f64,
    pub(super) finished: u64,
}

struct Worker {
    id: WorkerId,
    job: JobId,
    /// The first is computed, the others are behind it.
    hand: VecDeque<Held>,
    /// In hand, as its card says.
    told: Option<u32>,
}

struct Held {
    place: Place,
    left_s: f64,
    since_s: f64,
}

impl Hands {
    pub(super) fn new(
        run: RunId,
        ledger: Arc<dyn Ledger>,
        messages: Messages,
        machines: Arc<Machines>,
        item_s: f64,
    ) -> Self {
        let (went, workers) = (Went::default(), Vec::new());
        Self { run, ledger, messages, machines, item_s, went, workers, next: 0 }
    }

    /// Between half and one and a half of the average, by its place.
    fn takes_s(&self, place: Place) -> f64 {
        let drawn = place.index.wrapping_mul(2_654_435_761) >> 16;
        self.item_s * (0.5 + f64::from(drawn) / 65_536.0)
    }

    /// Those whose machines are there by now begin.
    pub(super) fn come(&mut self, now: Timestamp) {
        for job in self.machines.come(now) {
            let id = job.0.replace(':', "-").parse().expect("a name");
            self.workers.push(Worker { id, job, hand: VecDeque::new(), told: None });
        }
    }

    /// The `span_s` until `now_s`.
    pub(super) async fn work(&mut self, now_s: f64, span_s: f64) -> Result<()> {
        let mut ended = Vec::new();
        for worker in &mut self.workers {
            let mut left_s = span_s;
            while let Some(item) = worker.hand.front_mut().filter(|_| left_s > 0.0) {
                let step_s = item.left_s.min(left_s);
                item.left_s -= step_s;
                left_s -= step_s;
                if item.left_s <= 0.0 {
                    let seconds = now_s - left_s - item.since_s;
                    ended.push((item.place, Report { seconds, pixels: 0, bytes: 1 }));
                    worker.hand.pop_front();
                }
            }
            self.went.idle_s += left_s;
        }
        self.went.finished += ended.len() as u64;
        let (ledger, run) = (&self.ledger, &self.run);
        for ended in ended.chunks(AT_ONCE) {
            let finishes =
                try_join_all(ended.iter().map(|(place, report)| ledger.finish(run, *place, *report))).await?;
            assert!(finishes.iter().all(|finish| *finish == Finish::First), "nothing is done twice");
        }
        Ok(())
    }

    /// Everybody takes what there is room for, one after the other, as a broker deals items out.
    pub(super) async fn take(&mut self, now_s: f64) -> Result<()> {
        let mut taken = Vec::new();
        let n = self.workers.len();
        'deal: for _ in 0..SLOTS {
            for nth in 0..n {
                let at = (self.next + nth) % n;
                if self.workers[at].hand.len() >= SLOTS {
                    continue;
                }
                let Some(body) = self.messages.take() else {
                    self.next = at;
                    break 'deal;
                };
                let place = envelope::decode(&body).expect("an item").place;
                let held = Held { place, left_s: self.takes_s(place), since_s: now_s };
                self.workers[at].hand.push_back(held);
                taken.push((at, place));
            }
        }
        for taken in taken.chunks(AT_ONCE) {
            let (ledger, run, workers) = (&self.ledger, &self.run, &self.workers);
            let claims = taken.iter().map(|(at, place)| ledger.claim(run, *place, &workers[*at].id, LEASE));
            let claims = try_join_all(claims).await?;
            for ((at, place), claim) in taken.iter().zip(claims) {
                match claim {
                    Claim::Go { .. } => self.went.work_s += self.takes_s(*place),
                    // Somebody else has it.
                    _ => self.workers[*at].hand.retain(|held| held.place != *place),
                }
            }
        }
        Ok(())
    }

    /// How many items are held.
    pub(super) fn held(&self) -> usize {
        self.workers.iter().map(|worker| worker.hand.len()).sum()
    }

    /// Those whose cards are not true any more say so.
    pub(super) async fn tell(&mut self) -> Result<()> {
        let mut news = Vec::new();
        for worker in &mut self.workers {
            let in_hand = worker.hand.len() as u32;
            if worker.told != Some(in_hand) {
                worker.told = Some(in_hand);
                news.push((worker.id.clone(), card(&worker.job, in_hand)));
            }
        }
        let ledger = &self.ledger;
        for news in news.chunks(AT_ONCE) {
            try_join_all(news.iter().map(|(id, words)| ledger.announce(GROUP, id, words, LEASE))).await?;
        }
        Ok(())
    }

    /// Those without work hear whether they are to go.
    pub(super) async fn leave(&mut self) -> Result<()> {
        let idle: Vec<&Worker> = self.workers.iter().filter(|worker| worker.hand.is_empty()).collect();
        let ledger = &self.ledger;
        let mut gone = HashSet::new();
        for idle in idle.chunks(AT_ONCE) {
            let asked = idle.iter().map(|worker| async move {
                let is_wanted_away = ledger.leader(&drain_office(&worker.id)).await?.is_some();
                if is_wanted_away {
                    ledger.withdraw(GROUP, &worker.id).await?;
                }
                Ok::<_, swath_backends::Error>(is_wanted_away.then(|| worker.id.clone()))
            });
            gone.extend(try_join_all(asked).await?.into_iter().flatten());
        }
        let all = std::mem::take(&mut self.workers).into_iter();
        let (leaving, staying): (Vec<_>, Vec<_>) = all.partition(|worker| gone.contains(&worker.id));
        self.workers = staying;
        leaving.iter().for_each(|worker| self.machines.end(&worker.job));
        Ok(())
    }
}

fn card(job: &JobId, in_hand: u32) -> String {
    let card = worker::Worker {
        started: String::new(),
        program: String::new(),
        host: "simulated".into(),
        pid: 1,
        root: None,
        lanes: vec!["cpu".into()],
        slots: SLOTS as u32,
        state: WorkerState::Working,
        in_hand,
        done: 0,
        failed: 0,
        busy_s: 0.0,
        phases: None,
        said: None,
        metrics: None,
        job: Some(job.0.clone()),
        instance: None,
    };
    serde_json::to_string(&WorkerCard::V1(card)).expect("JSON")
}
