//! Keeps account of jobs and workers between two looks: who is new, who is gone, what they have cost. Pure.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use swath_proto::{
    fleet::{ByKind, Market, Spent, WorkerKind},
    ids::WorkerId,
    worker::{self, WorkerState},
};

use super::{
    market::News,
    policy::Policy,
    provider::{Ending, Job, JobId, JobState, Order},
    target::{Crew, Launching, Queued, Worker},
};

/// So long a job may be missing from the provider's list after it was started.
const LISTED_WITHIN_S: f64 = 120.0;
/// A worker that has said nothing for so long is not heard of again: it says every five seconds that it is there, to a
/// ledger that may have been away.
const SILENT_S: f64 = 60.0;

#[derive(Default)]
pub(super) struct Book {
    pub(super) spent: Spent,
    /// What was spent before is counted.
    pub(super) counted_until: Option<Timestamp>,
    /// Jobs that were seen to cost something.
    begun: HashSet<JobId>,
    /// Jobs that have a machine; and those that wait for one, since when: also again, where the provider begins those
    /// anew whose machine was lost.
    placed: HashSet<JobId>,
    waiting: HashMap<JobId, Timestamp>,
    /// Jobs whose worker has said that it is there, and when it did so last.
    came: HashMap<JobId, Timestamp>,
    /// Jobs whose end was heard of.
    over: HashSet<JobId>,
    /// Jobs that were cancelled, and workers that were told to leave, and when.
    pub(super) cancelled: HashSet<JobId>,
    pub(super) drained: HashMap<WorkerId, Timestamp>,
    /// Started, and not listed yet.
    started: HashMap<JobId, (WorkerKind, Market, Timestamp)>,
    /// Who was there before is no news.
    has_looked: bool,
}

/// A worker's own words.
pub(super) type Card = (WorkerId, worker::Worker);

impl Book {
    /// As a controller before this one has left it.
    pub(super) fn go_on(spent: Spent, counted_until: Option<Timestamp>) -> Self {
        Self { spent, counted_until, ..Self::default() }
    }

    pub(super) fn started(&mut self, order: &Order, jobs: &[JobId], now: Timestamp) {
        self.started.extend(jobs.iter().map(|job| (job.clone(), (order.kind, order.market, now))));
    }

    /// The crews as they are now, without their work; `root` marks the cards that are of this root.
    pub(super) fn look(
        &mut self,
        jobs: &[Job],
        cards: &[Card],
        orders: &[Order],
        policy: &Policy,
        root: &str,
        now: Timestamp,
    ) -> ByKind<Crew> {
        self.count(jobs, policy, now);
        let mut crews = ByKind::<Crew>::default();
        let mut by_job: HashMap<&str, &Card> = HashMap::with_capacity(cards.len());
        let ours: HashSet<&str> = jobs.iter().map(|job| job.id.0.as_str()).collect();
        for card in cards {
            match card.1.job.as_deref().filter(|job| ours.contains(job)) {
                Some(job) => {
                    by_job.insert(job, card);
                }
                None if is_helper(&card.1, root) => crews.of_mut(kind(&card.1)).others += 1,
                None => {}
            }
        }
        for job in jobs {
            let crew = crews.of_mut(job.kind);
            if self.has_lost_its_machine(job, now) {
                crew.news.push(News::Lost);
            }
            match (&job.state, by_job.get(job.id.0.as_str())) {
                (JobState::Ended(ending), _) => crew.news.extend(self.ended(job, ending)),
                (_, Some((id, card))) => {
                    if self.came.insert(job.id.clone(), now).is_none() && self.has_looked {
                        crew.news.push(News::Came { launch_s: seconds(job.asked, now) });
                    }
                    if card.state == WorkerState::Leaving || self.drained.contains_key(id) {
                        crew.leaving += 1;
                    } else {
                        crew.workers.push(Worker {
                            id: id.clone(),
                            in_hand: card.in_hand,
                            slots: card.slots,
                            market: job.market,
                        });
                    }
                }
                (_, None) if self.cancelled.contains(&job.id) => {}
                (state, None) => {
                    let queued = match state {
                        JobState::Queued { why } => {
                            let since = self.waiting.get(&job.id).copied().unwrap_or(now);
                            Some(Queued { for_s: seconds(since, now), why: why.clone() })
                        }
                        _ => None,
                    };
                    let last = self.came.get(&job.id);
                    let is_silent = last.is_none_or(|last| seconds(*last, now) > SILENT_S);
                    let id = is_silent.then(|| job.id.clone());
                    crew.launching.push(Launching { job: id, market: job.market, queued });
                }
            }
        }
        self.started.retain(|job, (.., since)| {
            !ours.contains(job.0.as_str()) && seconds(*since, now) < LISTED_WITHIN_S
        });
        for (job, (kind, market, _)) in &self.started {
            let launching = Launching { job: Some(job.clone()), market: *market, queued: None };
            crews.of_mut(*kind).launching.push(launching);
        }
        for order in orders {
            let listed = jobs.iter().filter(|job| job.token == order.token).count();
            let missing = (order.n as usize).saturating_sub(listed);
            let launching = Launching { job: None, market: order.market, queued: None };
            crews.of_mut(order.kind).launching.extend(std::iter::repeat_n(launching, missing));
        }
        let there: HashSet<&WorkerId> = cards.iter().map(|(id, _)| id).collect();
        self.drained.retain(|id, _| there.contains(id));
        self.came.retain(|job, _| ours.contains(job.0.as_str()));
        self.waiting.retain(|job, _| ours.contains(job.0.as_str()));
        for of_jobs in [&mut self.begun, &mut self.placed, &mut self.over, &mut self.cancelled] {
            of_jobs.retain(|job| ours.contains(job.0.as_str()));
        }
        self.has_looked = true;
        crews
    }

    /// What jobs have cost since the last time.
    fn count(&mut self, jobs: &[Job], policy: &Policy, now: Timestamp) {
        for job in jobs {
            let Some(began) = job.began else { continue };
            // One that is new here was counted before by another controller, if it had begun by then.
            let is_new = self.begun.insert(job.id.clone());
            // One that is begun again costs nothing before it has a machine again.
            if matches!(job.state, JobState::Queued { .. }) {
                continue;
            }
            let since = match self.counted_until {
                Some(until) if !is_new || (!self.has_looked && began < until) => until.max(began),
                _ => began,
            };
            let hours = seconds(since, job.ended.unwrap_or(now).min(now)).max(0.0) / 3600.0;
            self.spent.hours += hours;
            self.spent.money += hours * policy.kinds.of(job.kind).price(job.market).unwrap_or(0.0);
        }
        self.counted_until = Some(now);
    }

    /// Sees who waits for a machine, and who has had one at the last look.
    fn has_lost_its_machine(&mut self, job: &Job, now: Timestamp) -> bool {
        match job.state {
            JobState::Queued { .. } => {
                let since = if job.began.is_none() { job.asked } else { now };
                self.waiting.entry(job.id.clone()).or_insert(since);
                self.placed.remove(&job.id)
            }
            JobState::Launching | JobState::Running => {
                self.waiting.remove(&job.id);
                self.placed.insert(job.id.clone());
                false
            }
            JobState::Ended(_) => false,
        }
    }

    fn ended(&mut self, job: &Job, ending: &Ending) -> Option<News> {
        if !self.over.insert(job.id.clone()) || !self.has_looked || self.cancelled.contains(&job.id) {
            return None;
        }
        match ending {
            Ending::Done if self.came.contains_key(&job.id) => None,
            Ending::Done => Some(News::Failed(format!(
                "{}: it has ended, and its worker never said that it was there: is its program swath worker, with this \
                 ledger? Its log says more",
                job.id
            ))),
            Ending::HostLost => Some(News::Lost),
            Ending::Failed(why) => Some(News::Failed(format!("{}: {why}", job.id))),
        }
    }
}

/// It takes work of this root, though nobody here has started it.
fn is_helper(card: &worker::Worker, root: &str) -> bool {
    card.state == WorkerState::Working && card.root.as_deref().is_none_or(|of| of == root)
}

fn kind(card: &worker::Worker) -> WorkerKind {
    let has_card = card.lanes.iter().any(|lane| lane == WorkerKind::Gpu.name());
    if has_card { WorkerKind::Gpu } else { WorkerKind::Cpu }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_764_417_600 + second).unwrap()
    }

    fn job(n: u32, state: JobState, began: Option<i64>, ended: Option<i64>) -> Job {
        Job {
            id: JobId(format!("local:t-{n}")),
            token: "t".into(),
            kind: WorkerKind::Cpu,
            market: Market::OnDemand,
            state,
            asked: at(0),
            began: began.map(at),
            ended: ended.map(at),
        }
    }

    fn card(name: &str, job: Option<u32>) -> Card {
        let json = serde_json::json!({
            "started": "", "program": "0.1.0", "host": "h", "pid": 1, "lanes": ["cpu"], "slots": 3,
            "state": "working", "in_hand": 2, "done": 0, "failed": 0, "busy_s": 0.0,
            "job": job.map(|n| format!("local:t-{n}")),
        });
        (name.parse().unwrap(), serde_json::from_value(json).unwrap())
    }

    fn policy() -> Policy {
        let mut policy = Policy::of_here((0, 4), (0, 0));
        policy.kinds.cpu.offers[0].price_per_hour = Some(2.0);
        policy
    }

    fn look(book: &mut Book, jobs: &[Job], cards: &[Card], second: i64) -> Crew {
        book.look(jobs, cards, &[], &policy(), "root", at(second)).cpu
    }

    #[test]
    fn a_worker_comes_once_and_its_launch_is_measured() {
        let mut book = Book::default();
        look(&mut book, &[], &[], 0);
        let queued = job(1, JobState::Queued { why: None }, None, None);
        assert_eq!(look(&mut book, &[queued], &[], 5).launching[0].queued.as_ref().unwrap().for_s, 5.0);
        let running = [job(1, JobState::Running, Some(6), None)];
        assert_eq!(look(&mut book, &running, &[], 7).launching[0].queued, None);
        let crew = look(&mut book, &running, &[card("w", Some(1))], 9);
        assert_eq!((crew.news, crew.workers.len()), (vec![News::Came { launch_s: 9.0 }], 1));
        let crew = look(&mut book, &running, &[card("w", Some(1))], 10);
        assert_eq!((crew.news, crew.workers[0].in_hand), (vec![], 2));
        // Its card has run out, and the job still runs: nobody is started in its place.
        let crew = look(&mut book, &running, &[], 50);
        assert_eq!((crew.workers.len(), crew.launching.len()), (0, 1));
        assert_eq!(crew.launching[0].job, None, "nor is it ended: it may say again that it is there");
        let crew = look(&mut book, &running, &[], 71);
        assert_eq!(crew.launching[0].job.as_ref(), Some(&running[0].id), "it is silent for good");
    }

    #[test]
    fn ends_are_heard_of_once_and_only_those_that_nobody_wanted() {
        let ended = |n, ending: &Ending| job(n, JobState::Ended(ending.clone()), Some(0), Some(5));
        let mut book = Book::default();
        look(&mut book, &[ended(1, &Ending::HostLost)], &[], 6);
        let failed = Ending::Failed("no image".into());
        let jobs =
            [ended(1, &Ending::HostLost), ended(2, &Ending::HostLost), ended(3, &failed), ended(4, &failed)];
        book.cancelled.insert(jobs[3].id.clone());
        let told = News::Failed("local:t-3: no image".into());
        assert_eq!(look(&mut book, &jobs, &[], 7).news, [News::Lost, told], "one was over before");
        assert_eq!(look(&mut book, &jobs, &[], 8).news, []);
    }

    #[test]
    fn a_job_that_is_begun_again_has_lost_a_machine_and_waits_from_then_on() {
        let mut book = Book::default();
        let again = job(1, JobState::Queued { why: None }, Some(1), None);
        look(&mut book, &[job(1, JobState::Running, Some(1), None)], &[], 5000);
        let crew = look(&mut book, std::slice::from_ref(&again), &[], 5010);
        assert_eq!(crew.news, [News::Lost]);
        let spent = book.spent;
        let crew = look(&mut book, std::slice::from_ref(&again), &[], 5030);
        assert_eq!((crew.news.len(), crew.launching[0].queued.as_ref().unwrap().for_s), (0, 20.0));
        assert_eq!(book.spent, spent, "it has no machine");
        // Whoever comes to it now knows of neither.
        let crew = look(&mut Book::default(), &[again], &[], 5040);
        assert_eq!((crew.news.len(), crew.launching[0].queued.as_ref().unwrap().for_s), (0, 0.0));
    }

    #[test]
    fn whatever_ends_before_it_works_has_failed_however_well_it_ends() {
        let mut book = Book::default();
        look(&mut book, &[], &[], 0);
        let running = [1, 2].map(|n| job(n, JobState::Running, Some(0), None));
        look(&mut book, &running, &[card("w", Some(1))], 1);
        let over = [1, 2].map(|n| job(n, JobState::Ended(Ending::Done), Some(0), Some(2)));
        let news = look(&mut book, &over, &[], 3).news;
        let [News::Failed(why)] = &news[..] else { panic!("{news:?}") };
        assert!(why.starts_with("local:t-2: it has ended"), "{why}");
    }

    #[test]
    fn every_second_is_counted_once_by_whichever_controller() {
        let running = |n| job(n, JobState::Running, Some(0), None);
        let mut book = Book::default();
        look(&mut book, &[running(1)], &[], 3600);
        look(&mut book, &[running(1), running(2)], &[], 7200);
        assert_eq!(book.spent, Spent { hours: 4.0, money: 8.0 });
        let mut next = Book::go_on(book.spent, book.counted_until);
        // One has ended meanwhile, and one has begun.
        let over = job(1, JobState::Ended(Ending::Done), Some(0), Some(9000));
        let jobs = [over, running(2), job(3, JobState::Running, Some(9000), None)];
        look(&mut next, &jobs, &[], 10_800);
        assert_eq!(next.spent.hours, 4.0 + 0.5 + 1.0 + 0.5);
        look(&mut next, &jobs, &[], 10_800);
        assert_eq!(next.spent.hours, 6.0);
    }

    #[test]
    fn helpers_of_this_root_are_told_from_those_of_another_and_from_our_own() {
        let mut book = Book::default();
        let mut stranger = card("a", None);
        stranger.1.root = Some("elsewhere".into());
        let mut leaving = card("b", None);
        leaving.1.state = WorkerState::Leaving;
        let mut of_a_card = card("c", Some(99));
        of_a_card.1.root = Some("root".into());
        of_a_card.1.lanes.push("gpu".into());
        let cards = [stranger, leaving, of_a_card, card("d", None), card("e", Some(1))];
        let jobs = [job(1, JobState::Running, None, None)];
        let crews = book.look(&jobs, &cards, &[], &policy(), "root", at(0));
        assert_eq!((crews.cpu.others, crews.gpu.others, crews.cpu.workers.len()), (1, 1, 1));
    }

    #[test]
    fn what_is_ordered_counts_until_it_is_listed() {
        let mut book = Book::default();
        let order = Order {
            token: "t".into(),
            kind: WorkerKind::Cpu,
            market: Market::OnDemand,
            n: 3,
            run: None,
            stage: None,
        };
        let jobs = [job(1, JobState::Launching, None, None)];
        let crews = book.look(&jobs, &[], std::slice::from_ref(&order), &policy(), "root", at(0));
        assert_eq!(crews.cpu.launching.len(), 3);
        book.started(&order, &[jobs[0].id.clone(), JobId("local:t-2".into())], at(0));
        assert_eq!(look(&mut book, &jobs, &[], 1).launching.len(), 2);
        assert_eq!(look(&mut book, &jobs, &[], 121).launching.len(), 1, "it was never listed");
    }

    #[test]
    fn whoever_was_told_to_leave_counts_no_more() {
        let mut book = Book::default();
        let jobs = [job(1, JobState::Running, None, None)];
        book.drained.insert("w".parse().unwrap(), at(0));
        let crew = look(&mut book, &jobs, &[card("w", Some(1))], 1);
        assert_eq!((crew.workers.len(), crew.leaving), (0, 1));
        look(&mut book, &jobs, &[], 2);
        assert!(book.drained.is_empty());
    }
}
