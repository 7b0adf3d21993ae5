//! Stretches of items that were never published: computed when they are needed, never listed.

use swath_proto::item::{Place, Stage};

use crate::shuffle::Shuffle;

/// A stretch of places of one stage, in their own order or in one drawn from a seed.
pub(crate) struct Vein {
    stage: Stage,
    place: Box<dyn Fn(u32) -> Place + Send + Sync>,
    shuffle: Option<Shuffle>,
    next: u32,
    n: u32,
}

impl Vein {
    pub(crate) fn new(
        n: u32,
        stage: Stage,
        place: impl Fn(u32) -> Place + Send + Sync + 'static,
        seed: Option<u64>,
    ) -> Self {
        Self { stage, place: Box::new(place), shuffle: seed.map(|seed| Shuffle::new(n, seed)), next: 0, n }
    }

    pub(crate) fn next(&mut self) -> Option<Place> {
        let index = (self.next < self.n).then_some(self.next)?;
        self.next += 1;
        Some((self.place)(self.shuffle.map_or(index, |shuffle| shuffle.at(index))))
    }

    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) const fn left(&self) -> u32 {
        self.n - self.next
    }
}
