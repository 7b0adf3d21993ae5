//! The pixels that are learnt from: some of the labelled ones of every chip, spread evenly.

use crate::{
    BadBaseline,
    patch::{Plane, REACH, n_values},
};

/// Multiples of it, modulo 2^64, fill the range evenly from the first on.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Debug)]
pub struct Sample {
    bands: usize,
    ignored: u8,
    /// Pixels whose multiple lies below are kept.
    below: u64,
    seen: u64,
    values: Vec<f32>,
    labels: Vec<u8>,
}

impl Sample {
    /// Of about `pixels` pixels that are to come, as many as `wanted` are kept. Those labelled `ignored` are
    /// not looked at.
    pub fn new(bands: usize, ignored: u8, pixels: u64, wanted: u64) -> Self {
        let below = u64::MAX / pixels.max(1) * wanted.min(pixels).max(1);
        Self { bands, ignored, below, seen: 0, values: Vec::new(), labels: Vec::new() }
    }

    /// The pixels of a chip that have all their neighbours in it.
    pub fn add(&mut self, image: Plane<'_>, labels: &[u8]) -> Result<(), BadBaseline> {
        let (width, height, bands) = (image.width(), image.height(), image.bands());
        if bands != self.bands {
            return Err(BadBaseline::Bands { got: bands, wanted: self.bands });
        }
        if labels.len() != width * height {
            let values = width * height * bands;
            return Err(BadBaseline::Lengths { values, labels: labels.len(), width, height, bands });
        }
        for row in REACH..height.saturating_sub(REACH) {
            for col in REACH..width.saturating_sub(REACH) {
                let label = labels[row * width + col];
                if label == self.ignored {
                    continue;
                }
                self.seen += 1;
                if self.seen.wrapping_mul(GOLDEN) <= self.below {
                    image.rows(col, row).into_iter().for_each(|values| self.values.extend(values));
                    self.labels.push(label);
                }
            }
        }
        Ok(())
    }

    pub const fn bands(&self) -> usize {
        self.bands
    }

    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(crate) fn patches(&self) -> impl Iterator<Item = &[f32]> + Clone {
        self.values.chunks_exact(n_values(self.bands))
    }

    pub(crate) fn labels(&self) -> &[u8] {
        &self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_pixels_as_wanted_are_kept_from_all_over_and_no_ignored_one() {
        let (width, height) = (100, 102);
        let values: Vec<f32> = (0..width * height).map(|at| at as f32).collect();
        let labels: Vec<u8> = (0..width * height).map(|at| if at % width < 50 { 255 } else { 1 }).collect();
        let mut sample = Sample::new(1, 255, 4900, 490);
        sample.add(Plane::new(&values, width, height, 1).unwrap(), &labels).unwrap();
        assert!((470..510).contains(&sample.len()), "{}", sample.len());
        let centres: Vec<usize> = sample.patches().map(|patch| patch[4] as usize).collect();
        assert!(centres.iter().all(|centre| (50..99).contains(&(centre % width))));
        let upper = centres.iter().filter(|centre| **centre < width * height / 2).count();
        assert!((235..255).contains(&upper), "{upper} of {} lie in the upper half", sample.len());
    }

    #[test]
    fn a_patch_holds_a_pixel_and_its_neighbours() {
        let values: Vec<f32> = (0..24).map(|at| at as f32).collect();
        let mut sample = Sample::new(2, 255, 2, 2);
        sample.add(Plane::new(&values, 4, 3, 2).unwrap(), &[0; 12]).unwrap();
        let first: Vec<f32> = sample.patches().next().unwrap().to_vec();
        let wanted = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21];
        assert_eq!(first, wanted.map(|at| at as f32));
        assert_eq!(sample.len(), 2);
    }

    #[test]
    fn a_chip_of_other_bands_or_labels_is_refused() {
        let mut sample = Sample::new(3, 255, 9, 9);
        let plane = Plane::new(&[0.0; 9], 3, 3, 1).unwrap();
        assert_eq!(sample.add(plane, &[0; 9]), Err(BadBaseline::Bands { got: 1, wanted: 3 }));
        let plane = Plane::new(&[0.0; 27], 3, 3, 3).unwrap();
        assert!(matches!(sample.add(plane, &[0; 8]), Err(BadBaseline::Lengths { labels: 8, .. })));
    }
}
