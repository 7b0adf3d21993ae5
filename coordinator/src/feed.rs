//! How far ahead the queue is filled, and with whose items: about two minutes of work for all the workers that
//! are at work, divided over the runs that have any. What is not published yet can be paused, cancelled and
//! reordered at no cost.
//!
//! A run of a higher priority comes first; a lower one gets what the higher ones leave, and one item at a time
//! where they leave nothing, so that it goes on. Runs of one priority share by the time of the workers, not by
//! the number of items: the queue is first in, first out, so a run gets of the workers what it has of the work
//! in it.

use swath_backends::queue::Lane;
use swath_proto::{
    item::{DeviceName, Stage},
    status::{Ask, Rank},
};

const AHEAD_S: f64 = 120.0;
/// Always some, so that the first workers find work before any speed is known.
const AT_LEAST: u64 = 16;
/// Whoever holds an item should find others behind it, however slow items are.
const BEHIND_EACH: u64 = 4;
/// Bounds the coordinator's memory and the broker's.
const AT_MOST: u64 = 20_000;
/// Of a fleet that holds more than this bound, as many wait as are held.
const OF_HELD: u64 = 2;
/// No item takes less, once all that goes with it is counted.
const LEAST_S: f64 = 1e-4;

/// The lanes that items are published in.
pub const LANES: [Lane; 3] = [Lane::Cpu, Lane::Gpu, Lane::Steps];

/// `device`: on which the run's network is computed. What waits for few workers must not hold up the rest: so cards
/// and steps have queues of their own, and windows too.
pub const fn lane(stage: Stage, device: DeviceName) -> Lane {
    match (stage, device) {
        (Stage::Step, _) => Lane::Steps,
        (Stage::Probe | Stage::Predict, DeviceName::Cuda) => Lane::Gpu,
        _ => Lane::Cpu,
    }
}

/// What a run asks of the workers of one lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bid {
    pub rank: Rank,
    pub ask: Ask,
}

/// How many items each run may have out (in the queue, or in the hands of workers).
pub fn divide(bids: &[Bid]) -> Vec<u64> {
    let held: u64 = bids.iter().map(|bid| bid.ask.held).sum();
    let at_most = AT_MOST.max(OF_HELD * held);
    let at_least = (AT_LEAST + BEHIND_EACH * held).min(at_most);
    let mut ahead_s = AHEAD_S * held.max(1) as f64;
    // As if two minutes were just the least there has to be.
    let unknown_s = ahead_s / at_least as f64;
    let wishes: Vec<Wish> = bids.iter().map(|bid| Wish::new(bid, unknown_s)).collect();
    let wanted: u64 = wishes.iter().map(|wish| wish.items).sum();
    loop {
        let windows = by_priority(&wishes, ahead_s);
        let given: u64 = windows.iter().sum();
        if given >= at_least.min(wanted) {
            return within_bounds(windows, given, at_most);
        }
        ahead_s *= (at_least as f64 / given.max(1) as f64).max(1.05);
    }
}

/// A bid in numbers to count with.
struct Wish {
    rank: Rank,
    /// All it has out, and all it could publish now.
    items: u64,
    item_s: f64,
    /// Of the work ahead, what all its items take: an item that runs for an hour keeps one worker busy, and no
    /// more than that.
    all_s: f64,
}

impl Wish {
    fn new(Bid { rank, ask }: &Bid, unknown_s: f64) -> Self {
        let items = ask.out.saturating_add(ask.more);
        let item_s = ask.seconds.unwrap_or(unknown_s).max(LEAST_S);
        Self { rank: *rank, items, item_s, all_s: items as f64 * item_s.min(AHEAD_S) }
    }
}

fn by_priority(wishes: &[Wish], ahead_s: f64) -> Vec<u64> {
    let mut windows = vec![0; wishes.len()];
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    // Within a priority, whoever wants least of its share first: what it leaves goes to the others.
    let of_share = |wish: &Wish| wish.all_s / f64::from(wish.rank.share.max(1));
    order.sort_by(|one, other| {
        let (one, other) = (&wishes[*one], &wishes[*other]);
        other.rank.priority.cmp(&one.rank.priority).then(of_share(one).total_cmp(&of_share(other)))
    });
    let mut left_s = ahead_s;
    for peers in order.chunk_by(|one, other| wishes[*one].rank.priority == wishes[*other].rank.priority) {
        let share = |at: &usize| f64::from(wishes[*at].rank.share.max(1));
        let mut shares: f64 = peers.iter().map(share).sum();
        for at in peers {
            let wish = &wishes[*at];
            let fair_s = left_s * share(at) / shares;
            shares -= share(at);
            if wish.all_s <= fair_s {
                windows[*at] = wish.items;
                left_s -= wish.all_s;
            } else {
                windows[*at] = ((fair_s / wish.item_s).ceil() as u64).clamp(1, wish.items.max(1));
                left_s -= fair_s;
            }
        }
        left_s = left_s.max(0.0);
    }
    windows
}

fn within_bounds(windows: Vec<u64>, given: u64, at_most: u64) -> Vec<u64> {
    if given <= at_most {
        return windows;
    }
    let scaled = |window: u64| (window as f64 * at_most as f64 / given as f64) as u64;
    windows.into_iter().map(|window| scaled(window).max(window.min(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u64 = 1_000_000;

    #[test]
    fn only_what_computes_a_network_on_cards_waits_for_workers_that_have_one() {
        let on_cards = |stage: &Stage| lane(*stage, DeviceName::Cuda) == Lane::Gpu;
        let found: Vec<Stage> = Stage::ALL.into_iter().filter(on_cards).collect();
        assert_eq!(found, [Stage::Probe, Stage::Predict]);
        assert!(Stage::ALL.into_iter().all(|stage| lane(stage, DeviceName::Cpu) != Lane::Gpu));
        assert_eq!(lane(Stage::Step, DeviceName::Cuda), Lane::Steps);
    }

    fn bid(priority: i32, out: u64, held: u64, more: u64, seconds: Option<f64>) -> Bid {
        let ask = Ask { out, held, more, seconds, stage: None };
        Bid { rank: Rank { priority, share: 1 }, ask }
    }

    /// Seconds of work that a window is.
    fn work(windows: &[u64], bids: &[Bid]) -> Vec<f64> {
        let of = |(window, bid): (&u64, &Bid)| *window as f64 * bid.ask.seconds.unwrap();
        windows.iter().zip(bids).map(of).collect()
    }

    #[test]
    fn one_run_has_two_minutes_of_work_ahead_within_bounds() {
        assert_eq!(divide(&[bid(0, 0, 0, MANY, None)]), [16]);
        assert_eq!(divide(&[bid(0, 8, 8, MANY, None)]), [48]);
        // Eight at work, a second each: 960 in two minutes.
        assert_eq!(divide(&[bid(0, 8, 8, MANY, Some(1.0))]), [960]);
        assert_eq!(divide(&[bid(0, 8, 8, MANY, Some(0.001))]), [20_000]);
        // Two minutes are less than an item, and those who have one find others behind it all the same.
        let slow = divide(&[bid(0, 8, 8, MANY, Some(900.0))]);
        assert!((48..=50).contains(&slow[0]), "{slow:?}");
        assert_eq!(divide(&[bid(0, 3, 0, 4, None)]), [7], "no more than there is");
        assert_eq!(divide(&[]), [0; 0]);
    }

    #[test]
    fn a_fleet_that_holds_more_than_the_bound_finds_others_behind_it_all_the_same() {
        // Ten thousand workers of three slots each.
        assert_eq!(divide(&[bid(0, 30_000, 30_000, MANY, Some(60.0))]), [60_000]);
        assert_eq!(divide(&[bid(0, 20_000, 20_000, MANY, Some(0.001))]), [40_000]);
    }

    #[test]
    fn equals_share_the_time_of_the_workers_and_not_the_number_of_items() {
        let bids = [bid(0, 0, 4, MANY, Some(10.0)), bid(0, 0, 4, MANY, Some(0.5))];
        let windows = divide(&bids);
        assert_eq!(windows, [48, 960]);
        let work = work(&windows, &bids);
        assert!((work[0] - work[1]).abs() < 1e-9, "{work:?}");
    }

    #[test]
    fn slow_items_of_one_do_not_take_the_share_of_another() {
        let bids = [bid(0, 0, 4, MANY, Some(600.0)), bid(0, 0, 4, MANY, Some(60.0))];
        let windows = divide(&bids);
        assert!(windows.iter().sum::<u64>() >= 48, "workers would wait: {windows:?}");
        let work = work(&windows, &bids);
        assert!((0.7..1.5).contains(&(work[0] / work[1])), "{work:?}");
    }

    #[test]
    fn shares_are_by_weight() {
        let mut bids = [bid(0, 0, 5, MANY, Some(1.0)), bid(0, 0, 5, MANY, Some(1.0))];
        bids[0].rank.share = 3;
        assert_eq!(divide(&bids), [900, 300]);
    }

    #[test]
    fn a_higher_run_takes_all_it_can_use_and_leaves_a_lower_one_an_item() {
        let low = bid(0, 500, 8, MANY, Some(1.0));
        assert_eq!(divide(&[low, bid(1, 0, 0, MANY, Some(1.0))]), [1, 960]);
        // It waits for its last item: the workers are the others'.
        let windows = divide(&[low, bid(1, 1, 1, 0, Some(3600.0))]);
        assert_eq!(windows, [960, 1], "an item of an hour keeps one worker busy, not all");
        // Something of both: what the higher one leaves is the lower one's.
        assert_eq!(divide(&[low, bid(1, 0, 0, 100, Some(2.0))]), [760, 100]);
        assert_eq!(divide(&[low, bid(1, 0, 0, 0, None)]), [960, 0], "who wants nothing gets nothing");
    }

    #[test]
    fn what_one_leaves_of_its_share_is_the_others() {
        let few = bid(0, 0, 0, 10, Some(1.0));
        let bids = [bid(0, 0, 5, MANY, Some(1.0)), few, bid(0, 0, 5, MANY, Some(1.0))];
        assert_eq!(divide(&bids), [595, 10, 595]);
    }

    #[test]
    fn a_hundred_runs_of_which_none_has_a_speed_all_begin() {
        let bids = vec![bid(0, 0, 0, MANY, None); 100];
        assert_eq!(divide(&bids), [1; 100]);
        let fast = vec![bid(0, 0, 2, MANY, Some(1e-9)); 100];
        let windows = divide(&fast);
        assert!(windows.iter().all(|window| *window == 200), "{windows:?}");
    }

    #[test]
    fn however_bids_are_made_no_worker_waits_while_there_is_work() {
        // A few thousand tables, drawn by a simple generator: what is given is never less than what keeps
        // all busy, never above the bound by more than the one item of each, and never more than there is.
        let mut state = 1_u64;
        let mut draw = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for _ in 0..3000 {
            let n = 1 + draw(6);
            let one = |draw: &mut dyn FnMut(u64) -> u64| {
                let held = draw(40);
                let more = [0, 1, 30, MANY][draw(4) as usize];
                let seconds = [None, Some(1e-3), Some(1.0), Some(70.0), Some(1e5)][draw(5) as usize];
                let mut bid = bid(draw(3) as i32, held + draw(50), held, more, seconds);
                bid.rank.share = 1 + draw(3) as u32;
                bid
            };
            let bids: Vec<Bid> = (0..n).map(|_| one(&mut draw)).collect();
            let windows = divide(&bids);
            let wanted: u64 = bids.iter().map(|bid| bid.ask.out + bid.ask.more).sum();
            let held: u64 = bids.iter().map(|bid| bid.ask.held).sum();
            let given: u64 = windows.iter().sum();
            assert!(given >= wanted.min(16 + 4 * held), "{bids:?}: {windows:?}");
            assert!(given <= AT_MOST + n, "{bids:?}: {windows:?}");
            for (window, bid) in windows.iter().zip(&bids) {
                let items = bid.ask.out + bid.ask.more;
                assert!(*window <= items && (*window > 0 || items == 0), "{bids:?}: {windows:?}");
            }
        }
    }
}
