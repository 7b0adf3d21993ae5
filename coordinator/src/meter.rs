//! How fast a run goes: the stage at work, which people ask for, and what an item of each stage takes, which
//! says how far to feed ahead.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use swath_backends::ledger::Event;
use swath_proto::{
    item::Stage,
    status::{RunStatus, StageCount},
};

use crate::board::Board;

/// Speed over a sliding minute, or over longer where too little ends in one.
pub struct Pace {
    /// When, and how many items and pixels were done by then.
    samples: VecDeque<(Instant, u64, u64)>,
    /// Items that end in the time that is looked at.
    enough: u64,
}

impl Pace {
    const SPAN: Duration = Duration::from_secs(60);

    fn new(enough: u64, now: Instant, (items, pixels): (u64, u64)) -> Self {
        Self { samples: VecDeque::from([(now, items, pixels)]), enough }
    }

    fn sample(&mut self, now: Instant, (items, pixels): (u64, u64)) {
        // What is kept is when items ended, and now.
        let n = self.samples.len();
        if n > 1 && self.samples[n - 1].1 == self.samples[n - 2].1 {
            self.samples.pop_back();
        }
        self.samples.push_back((now, items, pixels));
        while let Some(&(second, so_far, _)) = self.samples.get(1).filter(|_| self.samples.len() > 2)
            && now.duration_since(second) > Self::SPAN
            && items.saturating_sub(so_far) >= self.enough
        {
            self.samples.pop_front();
        }
    }

    fn per_second(&self, of: fn(&(Instant, u64, u64)) -> u64) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return 0.0 };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds > 0.0 { of(last).saturating_sub(of(first)) as f64 / seconds } else { 0.0 }
    }

    pub fn items_per_second(&self) -> f64 {
        self.per_second(|sample| sample.1)
    }

    pub fn pixels_per_second(&self) -> f64 {
        self.per_second(|sample| sample.2)
    }
}

/// What a stage has taken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    pub seconds: f64,
    pub made: u64,
}

pub struct Meter {
    at_work: Option<(Stage, Pace)>,
    spent: BTreeMap<Stage, Spent>,
    /// From claim to finish; the latest count most.
    an_item: BTreeMap<Stage, f64>,
    sampled: Instant,
    /// Something has ended since then.
    heard: bool,
}

impl Meter {
    const EVERY: Duration = Duration::from_millis(200);
    /// Long items end rarely: a speed is of so many at least.
    const ENOUGH: u64 = 8;
    /// What the latest item counts for.
    const LATEST: f64 = 0.1;

    pub const fn new(now: Instant) -> Self {
        Self { at_work: None, spent: BTreeMap::new(), an_item: BTreeMap::new(), sampled: now, heard: false }
    }

    /// The board is another one, or knows more at once than was done.
    pub fn begin(&mut self, now: Instant) {
        let (spent, an_item) = (std::mem::take(&mut self.spent), std::mem::take(&mut self.an_item));
        *self = Self { spent, an_item, ..Self::new(now) };
    }

    /// What was spent under a coordinator before this one, and what an item took.
    pub fn go_on(&mut self, before: &RunStatus) {
        let spent = |(stage, count): (Stage, &StageCount)| {
            (stage, Spent { seconds: count.seconds, made: count.made })
        };
        self.spent = before.in_order().map(spent).collect();
        let an_item = |(stage, count): (Stage, &StageCount)| {
            Some((stage, count.item_seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?))
        };
        self.an_item = before.in_order().filter_map(an_item).collect();
    }

    pub fn hear(&mut self, event: &Event) {
        // What was there already costs nothing, and says nothing of the speed.
        if let Event::Finished { place, report } = event
            && (report.bytes > 0 || place.stage == Stage::Noop)
        {
            self.heard = true;
            self.spent.entry(place.stage).or_default().made += 1;
            let seconds = self.an_item.entry(place.stage).or_insert(report.seconds);
            *seconds += Self::LATEST * (report.seconds - *seconds);
        }
    }

    /// From claim to finish of an item; none before one of its stage has ended.
    pub fn seconds(&self, stage: Stage) -> Option<f64> {
        self.an_item.get(&stage).copied()
    }

    /// `is_held`: some worker is at work.
    pub fn sample(&mut self, now: Instant, board: &Board, is_held: bool) {
        let since = now.duration_since(self.sampled);
        if since < Self::EVERY {
            return;
        }
        self.sampled = now;
        if is_held || std::mem::take(&mut self.heard) {
            for stage in board.stages_out() {
                self.spent.entry(stage).or_default().seconds += since.as_secs_f64();
            }
        }
        // Between two stages it stays what it was, unless nothing of that is left.
        let stage = board.stages_out().next();
        let stage = stage.or_else(|| self.at_work().filter(|stage| has_left(board, *stage)));
        match (&mut self.at_work, stage) {
            (Some((stage, pace)), Some(now_at)) if *stage == now_at => {
                pace.sample(now, done(board, now_at));
            }
            (at_work, stage) => {
                *at_work = stage.map(|stage| (stage, Pace::new(Self::ENOUGH, now, done(board, stage))));
            }
        }
    }

    pub fn at_work(&self) -> Option<Stage> {
        self.at_work.as_ref().map(|(stage, _)| *stage)
    }

    /// Of the stage at work.
    pub fn pace(&self) -> Option<&Pace> {
        self.at_work.as_ref().map(|(_, pace)| pace)
    }

    pub fn spent(&self, stage: Stage) -> Spent {
        self.spent.get(&stage).copied().unwrap_or_default()
    }
}

fn has_left(board: &Board, stage: Stage) -> bool {
    board.counts().get(&stage).is_some_and(|count| count.done < count.items)
}

/// Items of a stage, and pixels.
fn done(board: &Board, stage: Stage) -> (u64, u64) {
    (board.counts().get(&stage).map_or(0, |count| count.done), board.pixels_done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_of_a_minute_and_of_longer_where_too_little_ends() {
        let start = Instant::now();
        let mut pace = Pace::new(2, start, (10, 0));
        // An item in 100 seconds, looked at each second.
        for second in 1..=1000 {
            pace.sample(start + Duration::from_secs(second), (10 + second / 100, second / 100 * 500));
        }
        assert!((pace.items_per_second() - 0.01).abs() < 0.004, "{}", pace.items_per_second());
        assert!((pace.pixels_per_second() - 5.0).abs() < 2.0);
        assert!(pace.samples.len() < 12, "{}", pace.samples.len());
        let mut pace = Pace::new(0, start, (0, 0));
        for second in 1..=1000 {
            pace.sample(start + Duration::from_secs(second), (second.min(500), 0));
        }
        assert!(pace.items_per_second() < 1e-9, "nothing has ended for minutes");
    }

    #[test]
    fn what_an_item_takes_is_known_after_a_pause_and_to_the_next_coordinator() {
        let status = |item_seconds: Option<f64>| -> RunStatus {
            let mut count = serde_json::json!({
                "items": 400, "done": 256, "buried": 0, "seconds": 90.0, "made": 256
            });
            if let Some(seconds) = item_seconds {
                count["item_seconds"] = seconds.into();
            }
            let json = serde_json::json!({
                "run": "a-1", "state": "paused", "written": "", "started": "", "stages": { "predict": count },
                "pixels_done": 0, "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [],
                "n_failures": 0, "unreadable_scenes": [], "message": null,
            });
            serde_json::from_value(json).unwrap()
        };
        let mut meter = Meter::new(Instant::now());
        meter.go_on(&status(Some(1.0)));
        meter.begin(Instant::now());
        assert_eq!(meter.seconds(Stage::Predict), Some(1.0));
        assert_eq!(meter.seconds(Stage::Assemble), None, "nothing of it has ended");
        meter.go_on(&status(None));
        assert_eq!(meter.seconds(Stage::Predict), None, "written by an older program");
        assert_eq!(meter.spent(Stage::Predict), Spent { seconds: 90.0, made: 256 });
    }
}
