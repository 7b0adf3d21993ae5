//! All runs that want the same workers: those of this process, and those that other coordinators serve under
//! the same root, so far as their `status.json` tells.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use swath_backends::{blobs::SharedBlobs, ledger::Ledger, queue::Lane};
use swath_proto::{
    ids::RunId,
    status::{Ask, RunState, RunStatus},
};

use crate::{
    discovery,
    feed::{Bid, LANES, divide},
    phases::Busy,
    records::{list, read_status, silent_for},
    rent::Machines,
};

/// Others write down how they stand this often too.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Whoever has been silent for so long asks for nothing any more.
const SILENT: Duration = Duration::from_secs(60);

/// Handle to what is known; clones share it.
#[derive(Clone, Default)]
pub struct Sharing {
    known: Arc<Mutex<Known>>,
    /// As they were read last, and when that was: once for all runs.
    cards: Arc<tokio::sync::Mutex<Option<Read>>>,
}

type Read = (Instant, Arc<Cards>);

/// What workers say of themselves that is counted.
pub(crate) struct Cards {
    /// Those that are rented.
    pub(crate) machines: Machines,
    pub(crate) busy: Vec<Busy>,
}

#[derive(Default)]
struct Known {
    own: BTreeMap<RunId, [Option<Bid>; LANES.len()]>,
    others: BTreeMap<RunId, [Option<Bid>; LANES.len()]>,
    /// Never looked at again.
    over: HashSet<RunId>,
    looked: Option<Instant>,
}

impl Sharing {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many items of a lane the run may have out now, as it asks for them.
    pub fn window(&self, run: &RunId, lane: Lane, bid: Bid) -> u64 {
        let Some(nth) = LANES.iter().position(|of| *of == lane) else { return 0 };
        let mut known = self.known();
        known.own.entry(run.clone()).or_default()[nth] = Some(bid);
        let others = known.others.iter().filter(|(run, _)| !known.own.contains_key(*run));
        let (mut bids, mut at) = (Vec::new(), 0);
        for (of, asked) in known.own.iter().chain(others) {
            if of == run {
                at = bids.len();
            }
            bids.extend(asked[nth]);
        }
        divide(&bids).get(at).copied().unwrap_or_default()
    }

    /// Which part of a lane's workers is at work for the run: by what is in their hands; where nothing is, each run that
    /// has work for them has the same.
    pub fn part(&self, run: &RunId, lane: Lane) -> f64 {
        let Some(nth) = LANES.iter().position(|of| *of == lane) else { return 0.0 };
        let known = self.known();
        let others = known.others.iter().filter(|(run, _)| !known.own.contains_key(*run));
        let asks = |(of, asked): (&RunId, &[Option<Bid>; LANES.len()])| {
            let ask = asked[nth]?.ask;
            (ask.held + ask.out + ask.more > 0).then(|| (of == run, ask.held))
        };
        let asks: Vec<(bool, u64)> = known.own.iter().chain(others).filter_map(asks).collect();
        let all: u64 = asks.iter().map(|(_, held)| held).sum();
        match asks.iter().find(|(is_own, _)| *is_own) {
            None => 0.0,
            Some(_) if all == 0 => 1.0 / asks.len() as f64,
            Some((_, held)) => *held as f64 / all as f64,
        }
    }

    /// What workers say that work for the root of this mark; read now if what is known is older than that.
    pub(crate) async fn cards(
        &self,
        ledger: &dyn Ledger,
        root: &str,
        (now, oldest): (Instant, Duration),
    ) -> anyhow::Result<Arc<Cards>> {
        let mut read = self.cards.lock().await;
        if let Some((at, cards)) = &*read
            && now.duration_since(*at) < oldest
        {
            return Ok(cards.clone());
        }
        let workers = discovery::workers(ledger).await?;
        let machines = Machines::of(workers.iter().map(|announced| &announced.worker), root);
        let cards = Arc::new(Cards { machines, busy: Busy::of(&workers, root) });
        *read = Some((now, cards.clone()));
        Ok(cards)
    }

    /// What every run asks of the workers of each lane, in the order of [`LANES`].
    pub fn asks(&self) -> Vec<(RunId, [Option<Ask>; LANES.len()])> {
        let known = self.known();
        let others = known.others.iter().filter(|(run, _)| !known.own.contains_key(*run));
        let asks = |bids: &[Option<Bid>; LANES.len()]| bids.map(|bid| bid.map(|bid| bid.ask));
        known.own.iter().chain(others).map(|(run, bids)| (run.clone(), asks(bids))).collect()
    }

    /// It asks for nothing: it is paused, or not served here any more.
    pub fn withdraw(&self, run: &RunId) {
        self.known().own.remove(run);
    }

    /// Reads now and then what other coordinators tell of their runs. Whatever can't be read asks for nothing:
    /// without it a queue is filled a little further than it should be.
    pub async fn look_around(&self, blobs: &SharedBlobs, now: Instant) {
        {
            let mut known = self.known();
            if known.looked.is_some_and(|last| now.duration_since(last) < LOOK_EVERY) {
                return;
            }
            known.looked = Some(now);
        }
        let runs = match list(blobs).await {
            Ok(runs) => runs,
            Err(error) => {
                return tracing::debug!(error = format!("{error:#}"), "other runs can't be listed");
            }
        };
        let to_read: Vec<RunId> = {
            let known = self.known();
            let is_news = |run: &RunId| !known.over.contains(run) && !known.own.contains_key(run);
            runs.into_iter().filter(is_news).collect()
        };
        let mut others = BTreeMap::new();
        for run in to_read {
            match read_status(blobs, &run).await {
                Ok(Some(status)) if status.state.is_final() => {
                    self.known().over.insert(run);
                }
                Ok(Some(status)) => {
                    others.extend(bids(&status).map(|bids| (run, bids)));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%run, error = format!("{error:#}"), "its status can't be read"),
            }
        }
        self.known().others = others;
    }
}

fn bids(status: &RunStatus) -> Option<[Option<Bid>; LANES.len()]> {
    let is_silent = silent_for(status).is_some_and(|silent| silent > SILENT);
    if is_silent || !matches!(status.state, RunState::Preparing | RunState::Running) {
        return None;
    }
    Some(LANES.map(|lane| Some(Bid { rank: status.rank, ask: *status.asks.get(lane.name())? })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::status::Rank;

    fn bid(priority: i32) -> Bid {
        let ask = Ask { out: 0, held: 4, more: 10_000, seconds: Some(1.0), stage: None };
        Bid { rank: Rank { priority, share: 1 }, ask }
    }

    fn run(name: &str) -> RunId {
        name.parse().unwrap()
    }

    #[test]
    fn a_run_learns_what_the_others_of_its_process_leave() {
        let sharing = Sharing::default();
        assert_eq!(sharing.window(&run("b"), Lane::Cpu, bid(0)), 480);
        assert_eq!(sharing.window(&run("a"), Lane::Cpu, bid(0)), 480, "two of them, twice the workers");
        assert_eq!(sharing.window(&run("c"), Lane::Cpu, bid(7)), 1440);
        assert_eq!(sharing.window(&run("b"), Lane::Cpu, bid(0)), 1);
        assert_eq!(sharing.window(&run("b"), Lane::Steps, bid(0)), 480, "another lane, other workers");
        let asked: Vec<_> = sharing.asks().into_iter().map(|(run, [cpu, gpu, _])| (run, cpu, gpu)).collect();
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|(_, cpu, gpu)| *cpu == Some(bid(0).ask) && gpu.is_none()));
        sharing.withdraw(&run("c"));
        assert_eq!(sharing.window(&run("b"), Lane::Cpu, bid(0)), 480);
    }

    #[test]
    fn workers_are_the_runs_whose_items_they_have() {
        let sharing = Sharing::default();
        let part = |name: &str, lane| sharing.part(&run(name), lane);
        let with_held = |held| Bid { ask: Ask { held, ..bid(0).ask }, ..bid(0) };
        assert_eq!(part("a", Lane::Cpu), 0.0, "nobody has asked for anything");
        sharing.window(&run("a"), Lane::Cpu, with_held(0));
        sharing.window(&run("b"), Lane::Cpu, with_held(0));
        assert_eq!(part("a", Lane::Cpu), 0.5, "they wait for both alike");
        sharing.window(&run("a"), Lane::Cpu, with_held(3));
        sharing.window(&run("b"), Lane::Cpu, with_held(1));
        assert_eq!((part("a", Lane::Cpu), part("b", Lane::Cpu)), (0.75, 0.25));
        let nothing = Bid { ask: Ask::default(), ..bid(0) };
        sharing.window(&run("a"), Lane::Gpu, nothing);
        assert_eq!(part("a", Lane::Gpu), 0.0, "machines that nobody needs are nobody's");
        sharing.withdraw(&run("a"));
        assert_eq!((part("a", Lane::Cpu), part("b", Lane::Cpu)), (0.0, 1.0));
    }

    #[tokio::test]
    async fn workers_are_asked_once_for_all_runs_where_they_are() {
        use swath_backends::open::{Urls, open};
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let doors = open(&Urls { root, queue: "local:".into(), ledger: "local:".into() }).await.unwrap();
        let announce = async |name: &str| {
            let card = serde_json::json!({
                "version": "1", "started": "", "program": "", "host": name, "pid": 1, "lanes": ["cpu"], "slots": 1,
                "state": "working", "in_hand": 0, "done": 0, "failed": 0, "busy_s": 0.0,
                "instance": { "kind": "c5.large", "zone": "z", "is_spot": true },
            });
            let (name, lease) = (name.parse().unwrap(), Duration::from_secs(60));
            doors.ledger.announce(swath_proto::worker::GROUP, &name, &card.to_string(), lease).await.unwrap();
        };
        let (sharing, now) = (Sharing::default(), Instant::now());
        announce("a").await;
        let cards =
            async |at: (Instant, Duration)| sharing.clone().cards(&*doors.ledger, "root", at).await.unwrap();
        let first = cards((now, LOOK_EVERY)).await;
        announce("b").await;
        let again = cards((now, LOOK_EVERY)).await;
        assert!(first.machines != Machines::default() && Arc::ptr_eq(&first, &again));
        let later = cards((now + LOOK_EVERY, LOOK_EVERY)).await;
        assert_ne!(first.machines, later.machines);
        assert!(!Arc::ptr_eq(&later, &cards((now + LOOK_EVERY, Duration::ZERO)).await), "it is looked again");
    }

    #[test]
    fn what_another_coordinator_serves_counts_while_it_is_told_of() {
        let status = |state: &str, written: &str| -> RunStatus {
            let json = serde_json::json!({
                "run": "a-1", "state": state, "written": written, "started": "", "stages": {}, "pixels_done": 0,
                "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [], "n_failures": 0,
                "unreadable_scenes": [], "message": null, "rank": { "priority": 3, "share": 2 },
                "asks": { "cpu": { "out": 1, "held": 1, "more": 5, "seconds": null } },
            });
            serde_json::from_value(json).unwrap()
        };
        let now = jiff::Timestamp::now().to_string();
        let [cpu, gpu, steps] = bids(&status("running", &now)).unwrap();
        assert_eq!(cpu.unwrap().rank, Rank { priority: 3, share: 2 });
        assert!(gpu.is_none() && steps.is_none());
        assert!(bids(&status("paused", &now)).is_none());
        assert!(bids(&status("running", "2020-01-01T00:00:00Z")).is_none());
    }
}
