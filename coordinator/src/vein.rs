//! Stretches of items that were never published: computed when they are needed, never listed.

use swath_proto::{ids::Digest, item::Place};

/// A stretch of places, in their own order or in one drawn from a seed.
pub(crate) struct Vein {
    places: Box<dyn Iterator<Item = Place> + Send + Sync>,
    left: u32,
}

impl Vein {
    pub(crate) fn new(
        n: u32,
        place: impl Fn(u32) -> Place + Send + Sync + 'static,
        shuffle: Option<u64>,
    ) -> Self {
        let places: Box<dyn Iterator<Item = Place> + Send + Sync> = match shuffle {
            None => Box::new((0..n).map(place)),
            Some(seed) => {
                let mut drawn: Vec<Place> = (0..n).map(place).collect();
                drawn.sort_by_cached_key(|place| Digest::of(format!("{seed} {place}").as_bytes()));
                Box::new(drawn.into_iter())
            }
        };
        Self { places, left: n }
    }

    pub(crate) fn next(&mut self) -> Option<Place> {
        self.left = self.left.saturating_sub(1);
        self.places.next()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }
}
