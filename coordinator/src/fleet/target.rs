//! How many workers there should be, and what to do about it. Pure: what is seen goes in, a decision comes out,
//! and its words say why.
//!
//! The target rises to what the backlog takes if it is to be worked off in time, and stays there: as many workers
//! for longer cost the same as fewer. It falls once there are fewer items than hands, for a while. Whoever is lost
//! is replaced until then, unless the others would be done before a new one is there. Workers leave by drain:
//! they take nothing new and finish what they have.

mod seen;

use swath_proto::{
    fleet::{Budget, ByKind, Market, WorkerKind},
    ids::WorkerId,
};

pub use self::seen::{Crew, Launching, Queued, Seen, Work, Worker};
use super::{
    budget::{self, Left},
    market::{self, News, Place},
    policy::{KindPolicy, Policy},
    provider::JobId,
    words::{duration, workers},
};

/// No more are started on such a guess.
const ON_A_GUESS: u32 = 4;
/// The least that a rise comes to, as a part of the target, where the last one was a moment ago.
const RISE: f64 = 0.25;

/// What decisions remember of those before.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub kinds: ByKind<KindMemory>,
    /// The budget that was reached. It has to be raised before anything is started again.
    pub exhausted: Option<Budget>,
}

#[derive(Clone, Debug, Default)]
pub struct KindMemory {
    target: Option<u32>,
    risen_s: f64,
    /// Fewer have been enough since then, and at most how many.
    fewer: Option<(f64, u32)>,
    pub place: Place,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    pub kinds: ByKind<Step>,
    /// What a person should know.
    pub messages: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub target: u32,
    /// In words.
    pub why: String,
    pub backlog_s: f64,
    pub start: u32,
    /// Where.
    pub market: Option<Market>,
    /// Jobs that have no machine and are not wanted any more; and why.
    pub cancel: Vec<(JobId, String)>,
    /// Workers that are to leave.
    pub drain: Vec<WorkerId>,
}

pub fn decide(policy: &Policy, seen: &Seen, memory: &mut Memory, now_s: f64) -> Decision {
    let mut decision = Decision::default();
    let mut left = Left::of(policy, seen);
    if memory.exhausted.is_some_and(|reached| reached != policy.budget) {
        memory.exhausted = None;
    }
    if memory.exhausted.is_none() && left.is_used_up() {
        memory.exhausted = Some(policy.budget);
    }
    if memory.exhausted.is_some() {
        decision.messages.push(format!(
            "the budget is reached ({}): workers leave when they have finished what they have, and nothing is started \
             until it is raised",
            budget::told(policy.budget, seen.spent)
        ));
    }
    for kind in WorkerKind::ALL {
        let halt = match (memory.exhausted, seen.wish.stopped) {
            (Some(_), _) => Some("the budget is reached"),
            (None, true) => Some("stopped by command (swath fleet scale auto starts it again)"),
            (None, false) => None,
        };
        let case = Case {
            policy,
            kind: policy.kinds.of(kind),
            crew: seen.crews.of(kind),
            fixed: *seen.wish.fixed.of(kind),
            halt,
            now_s,
        };
        *decision.kinds.of_mut(kind) = case.step(memory.kinds.of_mut(kind), &mut left);
    }
    decision
}

/// One kind of workers, at one time.
struct Case<'a> {
    policy: &'a Policy,
    kind: &'a KindPolicy,
    crew: &'a Crew,
    fixed: Option<u32>,
    halt: Option<&'static str>,
    now_s: f64,
}

impl Case<'_> {
    fn step(&self, memory: &mut KindMemory, left: &mut Left) -> Step {
        let crew = self.crew;
        let there = (crew.workers.len() + crew.launching.len()) as u32;
        // Jobs that have waited for a machine for too long.
        let stuck: Vec<&Launching> =
            crew.launching.iter().filter(|launching| self.is_stuck(launching)).collect();
        // Those that are still being given up tell nothing of the market that was turned to meanwhile.
        let here = memory.place.offer(self.kind).market;
        let tells =
            |launching: &&&Launching| launching.market == here && memory.place.pause_s(self.now_s).is_none();
        let no_capacity = stuck.iter().find(tells).map(|first| {
            let why = first.queued.as_ref().and_then(|queued| queued.why.as_deref());
            News::NoCapacity(market::no_machine(here, self.policy.patience_s, why))
        });
        let news: Vec<News> = crew.news.iter().cloned().chain(no_capacity).collect();
        memory.place.hear(&news, memory.target.unwrap_or(there) as usize, self.kind, self.now_s);

        let backlog_s = crew.work.all_s() / self.width();
        let (target, mut why) = self.target(memory, there, backlog_s);
        memory.target = Some(target);
        let mut step = Step { target, backlog_s, ..Step::default() };
        for Launching { job, market, .. } in stuck {
            let word = || market::no_machine(*market, self.policy.patience_s, None);
            step.cancel.extend(job.clone().map(|job| (job, word())));
        }
        let have = there - step.cancel.len() as u32;
        if have < target {
            let (n, but) = self.start(memory, left, have, target, backlog_s);
            step.start = n;
            why.extend(but);
        } else {
            self.send_away(have - target, &mut step);
        }
        if self.kind.max > 0 {
            step.market = Some(memory.place.offer(self.kind).market);
        }
        step.why = why.join("; ");
        step
    }

    fn is_stuck(&self, launching: &Launching) -> bool {
        launching.queued.as_ref().is_some_and(|queued| queued.for_s > self.policy.patience_s)
    }

    /// Items that a worker has in hand at a time: what an item takes from claim to finish is spent on so many.
    fn width(&self) -> f64 {
        let busy = || self.crew.workers.iter().filter(|worker| worker.in_hand > 0);
        match busy().count() {
            0 => f64::from(self.policy.slots.max(1)),
            n => busy().map(|worker| f64::from(worker.in_hand)).sum::<f64>() / n as f64,
        }
    }

    /// How many there should be, and why.
    fn target(&self, memory: &mut KindMemory, there: u32, backlog_s: f64) -> (u32, Vec<String>) {
        let (KindPolicy { min, max, .. }, now_s) = (self.kind, self.now_s);
        let (min, max) = (*min, *max);
        if let Some(halt) = self.halt {
            memory.fewer = None;
            return (0, vec![halt.to_owned()]);
        }
        if let Some(fixed) = self.fixed {
            memory.fewer = None;
            let least = if fixed > max { format!(", of which {max} are allowed") } else { String::new() };
            return (fixed.min(max), vec![format!("{fixed} by command{least}")]);
        }
        let (wanted, mut why) = self.wanted(memory.place.launch_s, backlog_s);
        let wanted = match wanted.clamp(min, max) {
            n if n < wanted => {
                why.push(format!("{max} are allowed"));
                n
            }
            n if n > wanted => {
                why.push(format!("{min} are kept at least"));
                n
            }
            n => n,
        };
        // A controller that has just begun leaves everybody where they are.
        let before = memory.target.unwrap_or(there).min(max);
        if wanted > before {
            memory.fewer = None;
            let is_large = before == 0 || f64::from(wanted) >= f64::from(before) * (1.0 + RISE);
            if is_large || now_s - memory.risen_s >= self.policy.cool_down_s {
                memory.risen_s = now_s;
                return (wanted, why);
            }
            return (before, why);
        }
        // As many as have something to do are kept.
        let busy = self.hands().saturating_sub(self.crew.others).max(wanted).min(before);
        if busy >= before {
            memory.fewer = None;
            if wanted < before {
                why.push(format!("{} once that were needed have enough to do", workers(before)));
            }
            return (before, why);
        }
        let (since_s, most) = match memory.fewer {
            Some((since_s, most)) => (since_s, most.max(busy)),
            None => (now_s, busy),
        };
        if now_s - since_s < self.policy.cool_down_s {
            memory.fewer = Some((since_s, most));
            why.push(format!("{} of {before} leave soon unless there is more to do", before - most));
            return (before, why);
        }
        memory.fewer = None;
        (most, why)
    }

    /// Workers that find something to do.
    fn hands(&self) -> u32 {
        let hands = (self.crew.work.items() as f64 / self.width()).ceil();
        hands.min(f64::from(u32::MAX)) as u32
    }

    /// What the backlog takes, by itself.
    fn wanted(&self, launch_s: Option<f64>, backlog_s: f64) -> (u32, Vec<String>) {
        let (work, policy) = (&self.crew.work, self.policy);
        if work.items() == 0 {
            return (0, vec!["nothing to do".into()]);
        }
        let launch_s = launch_s.unwrap_or(policy.launch_s);
        let at_work = self.crew.workers.len() as f64 + f64::from(self.crew.others);
        // While others are launched, those at work go on; and a launch that takes most of the time leaves half.
        let (meanwhile_s, then_s) = match policy.drain_s - launch_s {
            then_s if then_s >= policy.drain_s / 2.0 => (launch_s, then_s),
            _ => (policy.drain_s / 2.0, policy.drain_s / 2.0),
        };
        let left_s = backlog_s - at_work * meanwhile_s;
        let n = if left_s > 0.0 { left_s / then_s } else { backlog_s / policy.drain_s };
        let n = n.ceil().clamp(1.0, f64::from(self.hands().max(1))) as u32;
        let (waiting, held) = (work.waiting, work.held);
        let mut why = vec![format!(
            "{waiting} items waiting and {held} in hand are {} of work for one{}, to be done in {}: {}",
            duration(backlog_s),
            if work.is_guess() { " (not measured yet)" } else { "" },
            duration(policy.drain_s),
            workers(n)
        )];
        let n = if work.seconds == 0.0 && n > ON_A_GUESS {
            why.push(format!("{ON_A_GUESS} until it is known what an item takes"));
            ON_A_GUESS
        } else {
            n
        };
        if self.crew.others > 0 {
            why.push(format!("{} of others help", workers(self.crew.others)));
        }
        (n.saturating_sub(self.crew.others), why)
    }

    /// How many to start now, and why not all.
    fn start(
        &self,
        memory: &KindMemory,
        left: &mut Left,
        have: u32,
        target: u32,
        backlog_s: f64,
    ) -> (u32, Option<String>) {
        let missing = target - have;
        if let Some(pause_s) = memory.place.pause_s(self.now_s) {
            return (0, Some(format!("the next try is in {}", duration(pause_s))));
        }
        let at_work = self.crew.workers.len() as f64 + f64::from(self.crew.others);
        let launch_s = memory.place.launch_s.unwrap_or(self.policy.launch_s);
        let is_bound = self.fixed.is_some() || target <= self.kind.min;
        if !is_bound && at_work > 0.0 && backlog_s / at_work < launch_s {
            let words = format!("those at work are done before another is there ({})", duration(launch_s));
            return (0, Some(words));
        }
        // Never more than are allowed, those on their way out included.
        let room = self.kind.max.saturating_sub(have + self.crew.leaving).min(missing);
        let price = memory.place.offer(self.kind).price_per_hour;
        let n = left.take(room, self.crew.work.item_s(), price);
        let but = match (n < room, room < missing) {
            (true, _) => Some(format!("the budget is enough for {n} more")),
            (false, true) => Some(format!("{} are leaving first", self.crew.leaving)),
            (false, false) => None,
        };
        (n, but)
    }

    /// Those without a machine first, then those that do not work yet, those without work, those with the least in
    /// hand. Before them all those of whom nothing is known now: they are waited for.
    fn send_away(&self, n: u32, step: &mut Step) {
        let unknown = self.crew.launching.iter().filter(|launching| launching.job.is_none()).count();
        let mut n = (n as usize).saturating_sub(unknown);
        let is_queued = |launching: &&Launching| launching.queued.is_some();
        let queued = self.crew.launching.iter().rev().filter(is_queued);
        let others = self.crew.launching.iter().rev().filter(|launching| !is_queued(launching));
        let coming = queued.filter(|launching| !self.is_stuck(launching)).chain(others);
        for job in coming.filter_map(|launching| launching.job.as_ref()).take(n) {
            step.cancel.push((job.clone(), "it is not needed any more".into()));
            n -= 1;
        }
        let mut by_load: Vec<&Worker> = self.crew.workers.iter().collect();
        let n = n.min(by_load.len());
        if n > 0 && n < by_load.len() {
            by_load.select_nth_unstable_by_key(n - 1, |worker| worker.in_hand);
        }
        step.drain.extend(by_load[..n].iter().map(|worker| worker.id.clone()));
    }
}

#[cfg(test)]
mod tests;
