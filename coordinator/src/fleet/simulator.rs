//! A fleet in simulated time: the decisions are the real ones, machines and items are numbers. Launches take
//! minutes, machines are taken away, and sometimes there are none. [`whole`] is more of the coordinator, and larger.

use std::collections::VecDeque;

use swath_proto::fleet::{ByKind, Market, Spent};

use super::{
    market::News,
    policy::Policy,
    provider::JobId,
    target::{Crew, Launching, Memory, Queued, Seen, Worker, decide},
};

mod draw;
mod hands;
mod traces;
mod whole;
mod world;

const TICK_S: f64 = 5.0;
/// As the coordinator measures what an item takes.
const LATEST: f64 = 0.1;

/// What happens from outside.
struct Trace {
    name: &'static str,
    policy: Policy,
    /// When, and what each of them takes.
    arrivals: Vec<(f64, Vec<f64>)>,
    launch_s: f64,
    /// Machines of a market that can be had at a time.
    capacity: fn(f64, Market) -> usize,
    /// When, and which part of all spot machines is taken away.
    storms: Vec<(f64, f64)>,
    until_s: f64,
}

#[derive(Debug)]
struct Machine {
    id: String,
    market: Market,
    ordered_s: f64,
    began_s: Option<f64>,
    item: Option<Item>,
    works: bool,
    leaves: bool,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    takes_s: f64,
    left_s: f64,
}

/// How it stood at a time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at_s: f64,
    backlog_s: f64,
    working: usize,
    launching: usize,
    target: u32,
}

#[derive(Debug, Default)]
struct Outcome {
    samples: Vec<Sample>,
    /// When the last item was done.
    done_s: Option<f64>,
    hours: f64,
    /// All that was asked of the provider, and how many workers that were.
    orders: usize,
    ordered: u32,
    lost: usize,
    /// Every trouble and message that was told, once.
    told: Vec<String>,
}

impl Outcome {
    fn most(&self) -> usize {
        self.samples.iter().map(|sample| sample.working + sample.launching).max().unwrap_or(0)
    }

    /// How often the target has changed, and how often its direction.
    fn changes(&self) -> (usize, usize) {
        let moves: Vec<bool> = self
            .samples
            .windows(2)
            .filter(|pair| pair[0].target != pair[1].target)
            .map(|pair| pair[1].target > pair[0].target)
            .collect();
        (moves.len(), moves.windows(2).filter(|pair| pair[0] != pair[1]).count())
    }

    fn says(&self, words: &str) -> bool {
        self.told.iter().any(|told| told.contains(words))
    }
}

fn simulate(trace: &Trace) -> Outcome {
    let (mut outcome, mut memory) = (Outcome::default(), Memory::default());
    let mut queue: VecDeque<f64> = VecDeque::new();
    let mut machines: Vec<Machine> = Vec::new();
    let mut arrivals: VecDeque<(f64, Vec<f64>)> = trace.arrivals.iter().cloned().collect();
    let mut storms: VecDeque<(f64, f64)> = trace.storms.iter().copied().collect();
    let mut item_s = None;
    let (mut now_s, mut n_ordered) = (0.0, 0);
    while now_s <= trace.until_s {
        while arrivals.front().is_some_and(|(at_s, _)| *at_s <= now_s) {
            queue.extend(arrivals.pop_front().map(|(_, items)| items).unwrap_or_default());
        }
        let mut news = Vec::new();
        while storms.front().is_some_and(|(at_s, _)| *at_s <= now_s) {
            let part = storms.pop_front().map_or(0.0, |(_, part)| part);
            news.extend(storm(part, &mut machines, &mut queue));
        }
        outcome.lost += news.len();
        give_machines(trace, &mut machines, now_s);
        for machine in machines.iter_mut().filter(|machine| !machine.is_over) {
            let Some(began_s) = machine.began_s else { continue };
            outcome.hours += TICK_S / 3600.0;
            if !machine.works && now_s - began_s >= trace.launch_s {
                machine.works = true;
                news.push(News::Came { launch_s: now_s - machine.ordered_s });
            }
            if machine.works && work(machine, &mut queue, &mut item_s) {
                outcome.done_s = Some(now_s);
            }
        }
        machines.retain(|machine| !machine.is_over);
        let crew = crew(&machines, &queue, item_s, news, now_s);
        let backlog_s = crew.work.seconds;
        let seen = Seen {
            crews: ByKind { cpu: crew, gpu: Crew::default() },
            spent: Spent { hours: outcome.hours, money: 0.0 },
            ..Seen::default()
        };
        let decision = decide(&trace.policy, &seen, &mut memory, now_s);
        let step = decision.kinds.cpu;
        let trouble = memory.kinds.cpu.place.trouble().cloned();
        for words in decision.messages.into_iter().chain(trouble) {
            if !outcome.told.contains(&words) {
                outcome.told.push(words);
            }
        }
        for (job, _) in &step.cancel {
            machines.retain(|machine| machine.id != job.0);
        }
        for machine in machines.iter_mut() {
            machine.leaves |= step.drain.iter().any(|id| id.as_str() == machine.id);
        }
        if let (n @ 1.., Some(market)) = (step.start, step.market) {
            outcome.orders += 1;
            outcome.ordered += n;
            for _ in 0..n {
                n_ordered += 1;
                machines.push(Machine {
                    id: format!("m{n_ordered}"),
                    market,
                    ordered_s: now_s,
                    began_s: None,
                    item: None,
                    works: false,
                    leaves: false,
                    is_over: false,
                });
            }
        }
        let working = machines.iter().filter(|machine| machine.works).count();
        let launching = machines.len() - working;
        outcome.samples.push(Sample { at_s: now_s, backlog_s, working, launching, target: step.target });
        if arrivals.is_empty() && queue.is_empty() && machines.is_empty() {
            break;
        }
        now_s += TICK_S;
    }
    outcome
}

fn storm(part: f64, machines: &mut Vec<Machine>, queue: &mut VecDeque<f64>) -> Vec<News> {
    let spot = |machine: &&mut Machine| machine.market == Market::Spot && machine.began_s.is_some();
    let n = (machines.iter_mut().filter(spot).count() as f64 * part).ceil() as usize;
    let mut lost = Vec::new();
    for machine in machines.iter_mut().filter(spot).take(n) {
        machine.is_over = true;
        if let Some(item) = machine.item.take() {
            queue.push_front(item.takes_s);
        }
        lost.push(News::Lost);
    }
    machines.retain(|machine| !machine.is_over);
    lost
}

fn give_machines(trace: &Trace, machines: &mut [Machine], now_s: f64) {
    for market in Market::ALL {
        let of = |machine: &&Machine| machine.market == market && machine.began_s.is_some();
        let has = machines.iter().filter(of).count();
        let free = (trace.capacity)(now_s, market).saturating_sub(has);
        let waits = |machine: &&mut Machine| machine.market == market && machine.began_s.is_none();
        for machine in machines.iter_mut().filter(waits).take(free) {
            machine.began_s = Some(now_s);
        }
    }
}

/// A tick of one that works. Returns whether it has finished anything.
fn work(machine: &mut Machine, queue: &mut VecDeque<f64>, item_s: &mut Option<f64>) -> bool {
    let (mut left_s, mut has_finished) = (TICK_S, false);
    while left_s > 0.0 {
        if machine.item.is_none() && !machine.leaves {
            machine.item = queue.pop_front().map(|takes_s| Item { takes_s, left_s: takes_s });
        }
        let Some(item) = &mut machine.item else { break };
        let step_s = item.left_s.min(left_s);
        item.left_s -= step_s;
        left_s -= step_s;
        if item.left_s <= 0.0 {
            let known = item_s.get_or_insert(item.takes_s);
            *known += LATEST * (item.takes_s - *known);
            machine.item = None;
            has_finished = true;
        }
    }
    machine.is_over = machine.leaves && machine.item.is_none();
    has_finished
}

fn crew(
    machines: &[Machine],
    queue: &VecDeque<f64>,
    item_s: Option<f64>,
    news: Vec<News>,
    now_s: f64,
) -> Crew {
    let mut crew = Crew { news, ..Crew::default() };
    let held = machines.iter().filter(|machine| machine.item.is_some()).count();
    crew.work.add(queue.len() as u64, held as u64, item_s);
    for machine in machines {
        match (machine.works, machine.leaves) {
            (true, true) => crew.leaving += 1,
            (true, false) => crew.workers.push(Worker {
                id: machine.id.parse().expect("a name"),
                in_hand: u32::from(machine.item.is_some()),
                slots: 1,
                market: machine.market,
            }),
            (false, _) => crew.launching.push(Launching {
                job: Some(JobId(machine.id.clone())),
                market: machine.market,
                queued: machine
                    .began_s
                    .is_none()
                    .then_some(Queued { for_s: now_s - machine.ordered_s, why: None }),
            }),
        }
    }
    crew
}
