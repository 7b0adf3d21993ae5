//! Items that their workers are late with: held for far longer than others of their stage took. At the tail
//! of a run, when there is nothing else to do, they are published once more, and another worker may do them
//! beside their holder. Whoever is first wins, as ever.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use swath_backends::ledger::Event;
use swath_proto::{
    ids::WorkerId,
    item::{Place, Stage},
};

/// Nobody is late before this.
const AT_LEAST: Duration = Duration::from_secs(30);
/// Nor in a stage of which nothing has ended yet, before this.
const UNKNOWN: Duration = Duration::from_secs(5 * 60);
/// Later than so many times what nineteen of twenty took.
const TIMES: f64 = 3.0;
/// The latest durations of a stage that are looked at.
const KEPT: usize = 200;
/// A message may meet the very worker that is late, which settles it: so it is sent again, now and then.
const AGAIN: Duration = Duration::from_secs(30);
const MOST: u32 = 5;

#[derive(Default)]
pub struct Stragglers {
    took: BTreeMap<Stage, VecDeque<f64>>,
    held: HashMap<Place, Held>,
}

struct Held {
    by: WorkerId,
    since: Instant,
    /// How often it was published beside its holder, and when last.
    helped: u32,
    helped_at: Instant,
}

impl Stragglers {
    pub fn hear(&mut self, event: &Event) {
        // What was there already took no time.
        if let Event::Finished { place, report } = event
            && report.bytes > 0
        {
            let took = self.took.entry(place.stage).or_default();
            if took.len() == KEPT {
                took.pop_front();
            }
            took.push_back(report.seconds);
        }
    }

    /// Who holds what now; to be called every second or so.
    pub fn see(&mut self, held: &[(Place, WorkerId)], now: Instant) {
        let mut before = std::mem::take(&mut self.held);
        for (place, worker) in held {
            let same = before.remove(place).filter(|held| held.by == *worker);
            let new = || Held { by: worker.clone(), since: now, helped: 0, helped_at: now };
            self.held.insert(*place, same.unwrap_or_else(new));
        }
    }

    /// Who holds items.
    pub fn at_work(&self) -> impl Iterator<Item = &WorkerId> {
        self.held.values().map(|held| &held.by)
    }

    /// Items to publish once more, where there is nothing else to do. They count as published.
    pub fn late(&mut self, now: Instant, is_idle: impl Fn(Place) -> bool) -> Vec<Place> {
        let mut late = Vec::new();
        for (place, held) in &mut self.held {
            // A training has one state; a step may do things in the world that must not be done twice at once; and
            // nobody knows of the one item that gathers all scenes how long it should take.
            let may_be_done_twice = !matches!(place.stage, Stage::Train | Stage::Step | Stage::Merge);
            let is_late = now.duration_since(held.since) > patience(self.took.get(&place.stage));
            let was_helped = held.helped > 0 && now.duration_since(held.helped_at) < AGAIN;
            if may_be_done_twice && is_late && !was_helped && held.helped < MOST && is_idle(*place) {
                held.helped += 1;
                held.helped_at = now;
                late.push(*place);
            }
        }
        late.sort();
        late
    }
}

/// How long an item may be held before it is late.
fn patience(took: Option<&VecDeque<f64>>) -> Duration {
    let Some(took) = took.filter(|took| !took.is_empty()) else { return UNKNOWN };
    let mut sorted: Vec<f64> = took.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let most = sorted[(sorted.len() * 19 / 20).min(sorted.len() - 1)];
    Duration::try_from_secs_f64(most * TIMES).unwrap_or(UNKNOWN).max(AT_LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::outcome::Report;

    fn ended(stragglers: &mut Stragglers, seconds: f64) {
        let place = Place::new(Stage::Predict, 0, 0);
        let report = Report { seconds, pixels: 1, bytes: 1 };
        stragglers.hear(&Event::Finished { place, report });
    }

    fn held(place: Place, by: &str) -> (Place, WorkerId) {
        (place, by.parse().unwrap())
    }

    const ITEM: Place = Place::new(Stage::Predict, 0, 7);

    #[test]
    fn an_item_is_late_after_three_times_what_nineteen_of_twenty_took() {
        let mut stragglers = Stragglers::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        (0..19).for_each(|_| ended(&mut stragglers, 20.0));
        // One that was late itself does not make the others patient.
        ended(&mut stragglers, 20.0);
        ended(&mut stragglers, 900.0);
        stragglers.see(&[held(ITEM, "w")], start);
        stragglers.see(&[held(ITEM, "w")], at(59));
        assert_eq!(stragglers.late(at(60), |_| true), []);
        assert_eq!(stragglers.late(at(61), |_| false), [], "others wait in its queue");
        assert_eq!(stragglers.late(at(61), |_| true), [ITEM]);
        assert_eq!(stragglers.late(at(62), |_| true), [], "it was just published");
        assert_eq!(stragglers.late(at(92), |_| true), [ITEM], "the message may have met the late worker");
        let n = (0..100).filter(|n| !stragglers.late(at(200 + 60 * n), |_| true).is_empty()).count();
        assert_eq!(n, 3, "five times in all");
    }

    #[test]
    fn quick_items_and_unknown_ones_are_given_time_and_a_new_holder_begins_anew() {
        let mut stragglers = Stragglers::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        stragglers.see(&[held(ITEM, "w")], start);
        assert_eq!(stragglers.late(at(300), |_| true), [], "nothing is known of the stage");
        ended(&mut stragglers, 0.1);
        assert_eq!(stragglers.late(at(30), |_| true), []);
        stragglers.see(&[held(ITEM, "other")], at(30));
        assert_eq!(stragglers.late(at(60), |_| true), []);
        assert_eq!(stragglers.late(at(61), |_| true), [ITEM]);
    }

    #[test]
    fn a_training_and_a_step_are_never_done_twice_at_once() {
        let mut stragglers = Stragglers::default();
        let start = Instant::now();
        let both = [Stage::Train, Stage::Step].map(|stage| held(Place::new(stage, 0, 0), "w"));
        stragglers.see(&both, start);
        assert_eq!(stragglers.late(start + Duration::from_secs(86_400), |_| true), []);
    }
}
