//! Items are made when they are published: what is taken, and what is out since then.

use std::time::{Duration, Instant};

use swath_backends::queue::Lane;
use swath_proto::{
    ids::Digest,
    item::{Item, Place, Stage},
};

use super::{
    Board,
    line::{Line, Next},
};
use crate::{plan, steps};

/// An item to publish; an assemble item comes with the document that it names.
pub struct Publish {
    pub item: Item,
    pub inputs: Option<(Digest, Vec<u8>)>,
    /// It was published before, or is to be made again.
    pub is_again: bool,
}

impl Board {
    /// Takes up to `n` items of a lane to publish; they count as out from `now` on.
    pub fn take(&mut self, lane: Lane, n: usize, now: Instant) -> Vec<Publish> {
        let mut taken = Vec::new();
        while taken.len() < n {
            let Some(Next { place, is_again }) = self.lines.entry(lane).or_default().next(now) else { break };
            if self.out.contains(&place) || !self.is_wanted(place) {
                continue;
            }
            if let Some(publish) = self.item(place) {
                self.out.insert(place, now);
                taken.push(Publish { is_again, ..publish });
            }
        }
        taken
    }

    /// Items of a lane that could be taken now, and of which stage the first are.
    pub fn upcoming(&self, lane: Lane, now: Instant) -> (u64, Option<Stage>) {
        self.lines.get(&lane).map_or((0, None), |line| (line.n(now), line.upcoming(now)))
    }

    /// Every item that is known of was out at least once.
    pub fn is_dug_out(&self) -> bool {
        self.lines.values().all(Line::is_dug_out)
    }

    /// The item at a place, made anew.
    pub fn item(&self, place: Place) -> Option<Publish> {
        let record = &self.record;
        let lot = self.lots.get(&place.lot);
        let plain = |item: Item| Publish { item, inputs: None, is_again: false };
        let with_inputs = |(item, inputs): (Item, Vec<u8>)| Publish {
            inputs: Some((Digest::of(&inputs), inputs)),
            ..plain(item)
        };
        match place.stage {
            Stage::Probe => {
                Some(match plan::probe(record, self.lots.values(), |place| self.is_done(place)) {
                    (item, Some(inputs)) => with_inputs((item, inputs)),
                    (item, None) => plain(item),
                })
            }
            Stage::Survey => Some(plain(plan::survey(record, place.lot))),
            Stage::Noop => Some(plain(plan::noop(record, place.index))),
            Stage::Chip => plan::chip(record, lot?, place.index).map(plain),
            Stage::Predict => plan::predict(record, lot?, place.index).map(plain),
            Stage::Eval => plan::eval(record, lot?, place.index, |own| !self.has_failed(own)).map(plain),
            Stage::Vectorize => {
                plan::vectorize(record, lot?, place.index, |own| !self.has_failed(own)).map(plain)
            }
            Stage::Merge => plan::merge(record, self.lots.values(), |own| self.is_made(own)).map(with_inputs),
            Stage::Bundle => Some(plain(plan::bundle(record, self.evaluated.flatten()))),
            Stage::Analyze => plan::analyze(record, lot?, place.index).map(plain),
            Stage::Step => {
                steps::item(record, &self.lots, place, |place| self.is_made(place)).map(with_inputs)
            }
            Stage::Train => {
                plan::train(record, self.lots.values(), |place| self.is_learnt_from(place)).map(with_inputs)
            }
            Stage::Assemble => plan::assemble(record, lot?, place.index).map(with_inputs),
        }
    }

    /// These were taken but could not be published.
    pub fn give_back(&mut self, places: impl IntoIterator<Item = Place>, due: Instant) {
        for place in places {
            self.again(place, due);
        }
    }

    /// Of a lane, out for longer than `age`, oldest first.
    pub fn out_for(&self, lane: Lane, age: Duration, now: Instant) -> Vec<Place> {
        self.out.older_than(lane, age, now)
    }

    /// Stages that have items out, in the order of work.
    pub fn stages_out(&self) -> impl Iterator<Item = Stage> {
        self.out.stages()
    }

    pub fn n_out(&self, lane: Lane) -> usize {
        self.out.n(lane)
    }

    pub fn n_out_of(&self, stage: Stage) -> usize {
        self.out.n_of(stage)
    }
}
