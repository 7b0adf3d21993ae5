//! Memory of batches that are done with, for those to come: the kernel takes longer to hand out new pages than a
//! loader to fill them.

use std::sync::{Mutex, PoisonError};

use swath_model::Batch;

/// As many as there are at once.
#[derive(Default)]
pub(crate) struct Spare(Mutex<Vec<Batch>>);

impl Spare {
    /// Without anything in it, and with room for so many pixels of so many bands.
    pub(crate) fn batch(&self, (width, height): (u32, u32), n_pixels: usize, bands: usize) -> Batch {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut pixels, mut labels) =
            spare.map_or_else(Default::default, |spare| (spare.pixels, spare.labels));
        pixels.clear();
        labels.clear();
        pixels.reserve_exact(n_pixels * bands);
        labels.reserve_exact(n_pixels);
        Batch { width, height, pixels, labels }
    }

    pub(crate) fn give(&self, batch: Batch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_lies_where_one_lay_that_is_done_with_and_holds_nothing_of_it() {
        let spare = Spare::default();
        let mut first = spare.batch((2, 1), 2, 3);
        first.pixels.extend([0.5; 6]);
        first.labels.extend([1; 2]);
        let place = first.pixels.as_ptr();
        spare.give(first);
        let second = spare.batch((1, 2), 2, 3);
        assert_eq!((second.pixels.as_ptr(), second.pixels.len(), second.labels.len()), (place, 0, 0));
        assert_eq!((second.width, second.height), (1, 2));
        assert_ne!(spare.batch((1, 2), 2, 3).pixels.as_ptr(), place, "it is somebody's");
    }
}
