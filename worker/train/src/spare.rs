//! Memory of batches that are done with, for those to come: the kernel takes longer to hand out new pages than a
//! loader to fill them.

use std::{
    mem::discriminant,
    sync::{Mutex, PoisonError},
};

use swath_model::{Batch, Pixels};

/// As many as there are at once.
#[derive(Default)]
pub(crate) struct Spare(Mutex<Vec<Batch>>);

impl Spare {
    /// One with room for so many pixels of so many bands, and nothing in it yet. `pixels`: empty, of the kind that is
    /// wanted.
    pub(crate) fn batch(
        &self,
        (width, height): (u32, u32),
        (n_pixels, bands): (usize, usize),
        mut pixels: Pixels,
    ) -> Batch {
        let mut labels = Vec::new();
        if let Some(spare) = self.of_kind(&pixels) {
            labels = spare.labels;
            match (&mut pixels, spare.pixels) {
                (Pixels::Floats(samples), Pixels::Floats(spare)) => *samples = spare,
                (Pixels::Bytes { samples, .. }, Pixels::Bytes { samples: spare, .. }) => *samples = spare,
                _ => {}
            }
        }
        match &mut pixels {
            Pixels::Floats(samples) => empty(samples, n_pixels * bands),
            Pixels::Bytes { samples, .. } => empty(samples, n_pixels * bands),
        }
        empty(&mut labels, n_pixels);
        Batch { width, height, pixels, labels }
    }

    fn of_kind(&self, pixels: &Pixels) -> Option<Batch> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().rposition(|spare| discriminant(&spare.pixels) == discriminant(pixels))?;
        Some(all.swap_remove(at))
    }

    pub(crate) fn give(&self, batch: Batch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

fn empty<T>(all: &mut Vec<T>, room: usize) {
    all.clear();
    all.reserve_exact(room);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_lies_where_one_lay_that_is_done_with_and_holds_nothing_of_it() {
        let spare = Spare::default();
        let bytes = |samples| Pixels::Bytes { samples, norm: None };
        let place = |batch: &Batch| match &batch.pixels {
            Pixels::Bytes { samples, .. } => samples.as_ptr(),
            Pixels::Floats(samples) => samples.as_ptr().cast(),
        };
        let first = Batch { pixels: bytes(vec![1; 6]), ..spare.batch((2, 1), (2, 3), bytes(Vec::new())) };
        let first_place = place(&first);
        spare.give(Batch { labels: vec![1; 2], ..first });
        let second = spare.batch((1, 2), (2, 3), bytes(Vec::new()));
        assert_eq!((place(&second), second.pixels.n_samples(), second.labels.len()), (first_place, 0, 0));
        assert_eq!((second.width, second.height), (1, 2));
        let third = spare.batch((1, 2), (2, 3), bytes(Vec::new()));
        assert_ne!(place(&third), first_place, "it is somebody's");
        spare.give(second);
        let other = spare.batch((1, 2), (2, 3), Pixels::Floats(Vec::new()));
        assert_eq!(other.pixels, Pixels::Floats(Vec::new()), "of the kind that was wanted");
    }
}
