//! How a run stands, in numbers for people: counts are exact, speed and time left are measured over
//! the last minute.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use swath_proto::{
    item::Stage,
    status::{FailedItem, RunState, RunStatus, StageCount},
};

use crate::board::Board;

/// Failures that a status shows; the rest are counted.
const SHOWN: usize = 20;

/// Speed over a sliding minute.
pub struct Meter {
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Meter {
    const SPAN: Duration = Duration::from_secs(60);

    pub fn new(now: Instant, board: &Board) -> Self {
        let (items, pixels) = progress(board);
        Self { samples: VecDeque::from([(now, items, pixels)]) }
    }

    pub fn sample(&mut self, now: Instant, board: &Board) {
        let (items, pixels) = progress(board);
        let fresh =
            self.samples.back().is_none_or(|(at, ..)| now.duration_since(*at) >= Duration::from_millis(200));
        if fresh {
            self.samples.push_back((now, items, pixels));
        }
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) > Self::SPAN {
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

fn progress(board: &Board) -> (u64, u64) {
    (board.counts().values().map(|count| count.done).sum(), board.pixels_done)
}

pub fn status(board: &Board, meter: &Meter, state: RunState, message: Option<String>) -> RunStatus {
    let stages = Stage::ALL.into_iter().filter_map(|stage| {
        let count = board.counts().get(&stage)?;
        let buried = board.buried().keys().filter(|place| place.stage == stage).count() as u64;
        Some((stage.name().to_owned(), StageCount { items: count.items, done: count.done, buried }))
    });
    let failures = board.buried().iter().take(SHOWN).map(|(place, grave)| FailedItem {
        place: *place,
        attempts: grave.attempts,
        failure: grave.failure.clone(),
    });
    let unreadable = board.lots().flat_map(|lot| &lot.unreadable);
    RunStatus {
        run: board.run().clone(),
        state,
        written: jiff::Timestamp::now().to_string(),
        started: board.record.created.clone(),
        stages: stages.collect(),
        pixels_done: board.pixels_done,
        pixels: board.pixels,
        items_per_second: meter.items_per_second(),
        eta_seconds: eta(board, meter).filter(|_| !state.is_final()),
        failures: failures.collect(),
        n_failures: board.buried().len() as u64,
        unreadable_scenes: unreadable.map(|(id, message)| format!("{id}: {message}")).collect(),
        message,
    }
}

/// By pixels, since they are most of the work; by items where there are none.
fn eta(board: &Board, meter: &Meter) -> Option<f64> {
    let left_px = board.pixels.saturating_sub(board.pixels_done);
    if left_px > 0 {
        let speed = meter.pixels_per_second();
        return (speed > 0.0).then(|| left_px as f64 / speed);
    }
    let left: u64 = board.counts().values().map(|count| count.items - count.done.min(count.items)).sum();
    let speed = meter.items_per_second();
    (speed > 0.0).then(|| left as f64 / speed)
}
