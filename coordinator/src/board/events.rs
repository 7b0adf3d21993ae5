//! What happens to items, and what follows from it for the board.

use std::time::{Duration, Instant};

use swath_backends::ledger::Event;
use swath_proto::{
    item::{Place, Stage},
    outcome::{Failure, FailureClass},
};

use super::{BUNDLE, Board, Grave, MERGE, PROBE, TRAIN};
use crate::steps;

/// How long a training that came back before its chips were cut stays away: whoever cuts them may need its place.
const ROOM_FOR_CHIPS: Duration = Duration::from_secs(10);

impl Board {
    pub fn apply(&mut self, event: Event, now: Instant) {
        match event {
            Event::Finished { place, .. } => self.finish(place),
            Event::Lost { place } => self.again(place, now),
            Event::Released { place, failures, failure } => {
                // Whoever gets it next is told of all its scenes.
                self.unaware.remove(&place);
                if let Some(failure) = failure {
                    if failure.class == FailureClass::Config {
                        self.fatal.get_or_insert(failure);
                    }
                    self.again(place, now + pause(failures));
                } else if self.is_early(place) {
                    self.again(place, now + ROOM_FOR_CHIPS);
                } else {
                    self.again(place, now);
                }
            }
            Event::Buried { place, attempts, failure } => self.bury(place, attempts, failure),
            Event::Reset { place } => self.reset(place, now),
        }
    }

    pub(super) fn finish(&mut self, place: Place) {
        self.out.remove(&place);
        self.line(place.stage).is_not_ready(&place);
        self.buried.remove(&place);
        if !self.done.entry((place.stage, place.lot)).or_default().set(place.index) {
            return;
        }
        self.counts.entry(place.stage).or_default().done += 1;
        match place.stage {
            Stage::Probe => self.probe_is_news = true,
            Stage::Survey => {
                self.surveyed.insert(place.lot);
            }
            Stage::Predict => self.predicted(place),
            Stage::Chip => self.chips_came(),
            Stage::Train => self.weights_are_news = true,
            Stage::Assemble => {
                self.make_ready(Place::new(Stage::Eval, place.lot, place.index));
                self.make_ready(Place::new(Stage::Vectorize, place.lot, place.index));
            }
            Stage::Eval => self.make_ready(BUNDLE),
            Stage::Analyze | Stage::Vectorize | Stage::Merge | Stage::Bundle | Stage::Step | Stage::Noop => {}
        }
        self.make_merge_ready();
        self.make_steps_ready(place);
    }

    /// One more chip item is settled.
    fn chips_came(&mut self) {
        // A training that was offered with the first of them, and came back, rests.
        let was_offered = self.record.trains_with_chips() && self.done_of(Stage::Chip) > 1;
        if !(was_offered && self.is_early(TRAIN)) {
            self.make_ready(TRAIN);
        }
        self.make_ready(PROBE);
    }

    /// Steps that may have waited for an item.
    pub(super) fn make_steps_ready(&mut self, place: Place) {
        if self.record.steps.is_empty() {
            return;
        }
        let lot = self.lots.get(&place.lot);
        let of_scene = |ordinal| lot.map(|lot| steps::places_of_scene(&self.record, lot, ordinal));
        // What all scenes may have waited for, or some.
        let near = match (place.stage, self.group(place)) {
            (Stage::Predict | Stage::Vectorize, Some(group)) => {
                let of_scenes = group.scenes.iter().filter_map(|scene| of_scene(scene.ordinal));
                of_scenes.flatten().collect()
            }
            (Stage::Assemble | Stage::Vectorize, None) => of_scene(place.index).unwrap_or_default(),
            (Stage::Step, _) if place.lot != steps::lot_of_run(&self.record) => {
                steps::places_behind(&self.record, place)
            }
            (Stage::Train | Stage::Bundle | Stage::Step, _) => {
                self.lots.values().flat_map(|lot| steps::places_of_lot(&self.record, lot)).collect()
            }
            _ => Vec::new(),
        };
        near.into_iter().for_each(|place| self.make_ready(place));
        self.make_run_steps_ready();
    }

    pub(super) fn make_run_steps_ready(&mut self) {
        for number in steps::gathered(&self.record) {
            let from = self.unsettled.get(&number).copied();
            // All are, and stay so until something is reset.
            if from != Some(None) {
                let first = self.first_unsettled(number, from.flatten());
                self.unsettled.insert(number, first);
            }
        }
        for place in steps::places_of_run(&self.record) {
            self.make_ready(place);
        }
    }

    /// It waits for all scenes, so far as they come.
    pub(super) fn make_merge_ready(&mut self) {
        if self.record.has(Stage::Merge) {
            self.make_ready(MERGE);
        }
    }

    pub(super) fn predicted(&mut self, place: Place) {
        for (ordinal, pixels) in self.scenes_and_pixels(place) {
            let own = Place::new(Stage::Assemble, place.lot, ordinal);
            if self.has_failed(own) {
                continue;
            }
            self.pixels_done += pixels;
            if let Some(missing) = self.missing.get_mut(&(place.lot, ordinal)) {
                *missing = missing.saturating_sub(1);
            }
            self.make_ready(own);
        }
        let behind = self.group(place).map(|group| [group.eval, group.vectorize]);
        behind.into_iter().flatten().for_each(|place| self.make_ready(place));
    }

    /// Its worker has given it up.
    pub(super) fn again(&mut self, place: Place, due: Instant) {
        self.out.remove(&place);
        if self.is_wanted(place) {
            self.line(place.stage).rest(place, due);
        }
    }

    pub(super) fn bury(&mut self, place: Place, attempts: u32, failure: Failure) {
        if !self.is_done(place) {
            self.out.remove(&place);
            self.line(place.stage).is_not_ready(&place);
            if self.buried.insert(place, Grave { attempts, failure }).is_none() {
                self.pixels_done = self.pixels_done.saturating_sub(self.passed_over(place));
            }
            match place.stage {
                Stage::Chip => self.chips_came(),
                // None will come of its lot, and there may be no other that they wait for.
                Stage::Survey if place.lot < self.record.learn_lots() => {
                    [TRAIN, PROBE].into_iter().for_each(|place| self.make_ready(place));
                }
                Stage::Eval => self.make_ready(BUNDLE),
                _ => {}
            }
            self.make_merge_ready();
            self.make_run_steps_ready();
        }
    }

    pub(super) fn reset(&mut self, place: Place, now: Instant) {
        self.unaware.remove(&place);
        if self.buried.remove(&place).is_some() {
            self.pixels_done += self.passed_over(place);
            let around = self.items_around(place).into_iter();
            let unaware: Vec<Place> =
                around.filter(|item| self.out.contains(item) || self.is_done(*item)).collect();
            self.unaware.extend(unaware);
        }
        let was_done = self.done.entry((place.stage, place.lot)).or_default().clear(place.index);
        if was_done {
            let count = self.counts.entry(place.stage).or_default();
            count.done = count.done.saturating_sub(1);
            if place.stage == Stage::Predict {
                for (ordinal, pixels) in self.scenes_and_pixels(place) {
                    let own = Place::new(Stage::Assemble, place.lot, ordinal);
                    if self.has_failed(own) {
                        continue;
                    }
                    self.pixels_done = self.pixels_done.saturating_sub(pixels);
                    *self.missing.entry((place.lot, ordinal)).or_default() += 1;
                    self.line(Stage::Assemble).is_not_ready(&own);
                }
                let behind = self.group(place).map(|group| [group.eval, group.vectorize]);
                for place in behind.into_iter().flatten() {
                    self.line(place.stage).is_not_ready(&place);
                }
            }
            match place.stage {
                Stage::Probe => self.probe_is_news = false,
                Stage::Train => self.weights_are_news = false,
                Stage::Survey => {
                    self.surveyed.remove(&place.lot);
                }
                Stage::Assemble => {
                    for stage in [Stage::Eval, Stage::Vectorize] {
                        self.line(stage).is_not_ready(&Place::new(stage, place.lot, place.index));
                    }
                }
                Stage::Chip if !self.is_wanted(TRAIN) => self.line(Stage::Train).is_not_ready(&TRAIN),
                _ => {}
            }
        }
        self.again(place, now);
        self.unsettled.clear();
        self.make_merge_ready();
        self.make_run_steps_ready();
    }
}

/// How long a failed item rests: 1, 2, 4, ... seconds, a minute at most.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}
