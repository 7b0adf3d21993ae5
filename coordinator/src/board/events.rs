//! What happens to items, and what follows from it for the board.

use std::time::{Duration, Instant};

use swath_backends::ledger::Event;
use swath_proto::{
    item::{Place, Stage},
    outcome::{Failure, FailureClass},
};

use super::{BUNDLE, Board, Grave, TRAIN};
use crate::steps;

impl Board {
    pub fn apply(&mut self, event: Event, now: Instant) {
        match event {
            Event::Finished { place, .. } => self.finish(place),
            Event::Lost { place } => self.again(place, now),
            Event::Released { place, failures, failure } => {
                if let Some(failure) = failure {
                    if failure.class == FailureClass::Config {
                        self.fatal.get_or_insert(failure);
                    }
                    self.again(place, now + pause(failures));
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
        self.ready.remove(&place);
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
            Stage::Chip => self.make_ready(TRAIN),
            Stage::Train => self.weights_are_news = true,
            Stage::Assemble => {
                self.make_ready(Place::new(Stage::Eval, place.lot, place.index));
                self.make_ready(Place::new(Stage::Vectorize, place.lot, place.index));
            }
            Stage::Eval => self.make_ready(BUNDLE),
            Stage::Analyze | Stage::Vectorize | Stage::Bundle | Stage::Step | Stage::Noop => {}
        }
        self.make_steps_ready(place);
    }

    /// Steps that may have waited for an item.
    pub(super) fn make_steps_ready(&mut self, place: Place) {
        if self.record.steps.is_empty() {
            return;
        }
        let group = self.group(place);
        // No step waits for a part of a scene, and there are many of these.
        let is_part = matches!(place.stage, Stage::Analyze | Stage::Chip | Stage::Predict | Stage::Noop);
        if is_part && group.is_none() {
            return;
        }
        let ordinals: Option<Vec<u32>> = match (group, place.stage) {
            (Some(group), Stage::Predict | Stage::Vectorize) => {
                Some(group.scenes.iter().map(|scene| scene.ordinal).collect())
            }
            (_, Stage::Assemble | Stage::Vectorize) => Some(vec![place.index]),
            (_, Stage::Step) => steps::scene_of(&self.record, &self.lots, place).map(|ordinal| vec![ordinal]),
            _ => None,
        };
        let is_near = |step: &Place| match &ordinals {
            Some(near) => {
                steps::scene_of(&self.record, &self.lots, *step).is_some_and(|of| near.contains(&of))
            }
            None => true,
        };
        // What all scenes may have waited for, or one.
        let wakes_all = matches!(place.stage, Stage::Train | Stage::Bundle)
            || (place.stage == Stage::Step && ordinals.is_none());
        let lots = self.lots.values().filter(|lot| wakes_all || (ordinals.is_some() && lot.lot == place.lot));
        let near: Vec<Place> =
            lots.flat_map(|lot| steps::places_of_lot(&self.record, lot)).filter(is_near).collect();
        near.into_iter().for_each(|place| self.make_ready(place));
        self.make_run_steps_ready();
    }

    pub(super) fn make_run_steps_ready(&mut self) {
        for place in steps::places_of_run(&self.record) {
            self.make_ready(place);
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
        if let Some((eval, vectorize)) = self.group(place).map(|group| (group.eval, group.vectorize)) {
            self.make_ready(eval);
            self.make_ready(vectorize);
        }
    }

    /// Its worker has given it up.
    pub(super) fn again(&mut self, place: Place, due: Instant) {
        self.out.remove(&place);
        if self.is_wanted(place) {
            self.later.insert((due, place));
        }
    }

    pub(super) fn bury(&mut self, place: Place, attempts: u32, failure: Failure) {
        if !self.is_done(place) {
            self.out.remove(&place);
            self.ready.remove(&place);
            if self.buried.insert(place, Grave { attempts, failure }).is_none() {
                self.pixels_done = self.pixels_done.saturating_sub(self.passed_over(place));
            }
            match place.stage {
                Stage::Chip => self.make_ready(TRAIN),
                Stage::Eval => self.make_ready(BUNDLE),
                _ => {}
            }
            self.make_run_steps_ready();
        }
    }

    pub(super) fn reset(&mut self, place: Place, now: Instant) {
        if self.buried.remove(&place).is_some() {
            self.pixels_done += self.passed_over(place);
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
                    self.ready.remove(&own);
                }
                if let Some((eval, vectorize)) = self.group(place).map(|group| (group.eval, group.vectorize))
                {
                    self.ready.remove(&eval);
                    self.ready.remove(&vectorize);
                }
            }
            if place.stage == Stage::Survey {
                self.surveyed.remove(&place.lot);
            }
            if place.stage == Stage::Assemble {
                self.ready.remove(&Place::new(Stage::Eval, place.lot, place.index));
                self.ready.remove(&Place::new(Stage::Vectorize, place.lot, place.index));
            }
            if place.stage == Stage::Chip {
                self.ready.remove(&TRAIN);
            }
        }
        self.again(place, now);
    }
}

/// How long a failed item rests: 1, 2, 4, ... seconds, a minute at most.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}
