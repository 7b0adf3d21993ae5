//! What of a lane may be published next: what goes first, what rests for a while, and the stretches that were
//! never touched.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Instant,
};

use swath_proto::item::{Place, Stage};

use crate::vein::Vein;

#[derive(Default)]
pub(super) struct Line {
    /// Dependents whose inputs are all there. They go first, so that scenes get finished.
    ready: BTreeSet<Place>,
    /// Given up or lost: to be published again, when their time has come.
    later: BTreeSet<(Instant, Place)>,
    /// Stretches of items that were never published.
    veins: VecDeque<Vein>,
    /// Of all veins.
    left: u64,
}

/// The next of a line.
pub(super) struct Next {
    pub(super) place: Place,
    /// It was out before.
    pub(super) is_again: bool,
}

impl Line {
    pub(super) fn make_ready(&mut self, place: Place) {
        self.ready.insert(place);
    }

    pub(super) fn is_not_ready(&mut self, place: &Place) {
        self.ready.remove(place);
    }

    pub(super) fn rest(&mut self, place: Place, due: Instant) {
        self.later.insert((due, place));
    }

    pub(super) fn dig(&mut self, vein: Vein) {
        self.left += u64::from(vein.left());
        self.veins.push_back(vein);
    }

    pub(super) fn next(&mut self, now: Instant) -> Option<Next> {
        if let Some(place) = self.ready.pop_first() {
            return Some(Next { place, is_again: false });
        }
        if self.later.first().is_some_and(|(due, _)| *due <= now) {
            return self.later.pop_first().map(|(_, place)| Next { place, is_again: true });
        }
        while let Some(vein) = self.veins.front_mut() {
            if let Some(place) = vein.next() {
                self.left -= 1;
                return Some(Next { place, is_again: false });
            }
            self.veins.pop_front();
        }
        None
    }

    /// What [`Self::next`] would give, without looking for whether it is still to be done.
    pub(super) fn upcoming(&self, now: Instant) -> Option<Stage> {
        let due = self.later.first().filter(|(due, _)| *due <= now).map(|(_, place)| place);
        let vein = || self.veins.iter().find(|vein| vein.left() > 0).map(Vein::stage);
        self.ready.first().or(due).map(|place| place.stage).or_else(vein)
    }

    /// Items that may be published now; some of them may be done.
    pub(super) fn n(&self, now: Instant) -> u64 {
        let due = self.later.iter().take_while(|(due, _)| *due <= now).count();
        (self.ready.len() + due) as u64 + self.left
    }

    /// Nothing was never published.
    pub(super) const fn is_dug_out(&self) -> bool {
        self.left == 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.later.is_empty() && self.is_dug_out()
    }
}
