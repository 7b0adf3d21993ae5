//! What is known of a band's pixels: the smallest, the largest, and their sums, in whole numbers. Tallies of parts
//! add up to that of the whole, in any order and however it was cut.

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Those that count.
    pub pixels: u64,
    pub min: u8,
    pub max: u8,
    pub sum: u64,
    /// The sum of the squares.
    pub squares: u64,
}

/// Lanes of a sum that the compiler adds up at once, about.
const LANES: usize = 64;
/// So many squares of bytes fit into 32 bits, and some more.
const FLUSH: usize = 1 << 15;

impl Tally {
    pub const NOTHING: Self = Self { pixels: 0, min: u8::MAX, max: 0, sum: 0, squares: 0 };

    /// Of each of the interleaved bands.
    pub fn of_bands(plane: &[u8], bands: usize) -> Vec<Self> {
        let mut tallies = vec![Self::NOTHING; bands];
        let lanes = bands * LANES.div_ceil(bands.max(1));
        if lanes == 0 {
            return tallies;
        }
        plane.chunks(lanes * FLUSH).for_each(|part| count(part, lanes, &mut tallies));
        tallies.iter_mut().for_each(|tally| tally.pixels = (plane.len() / bands) as u64);
        tallies
    }

    /// Of a plane in which one value stands for pixels that do not count.
    pub fn of_map(plane: &[u8], nodata: u8) -> Self {
        let mut counts = [0_u64; 256];
        plane.iter().for_each(|&value| counts[usize::from(value)] += 1);
        counts[usize::from(nodata)] = 0;
        let found = (0..=u8::MAX).zip(counts).filter(|(_, count)| *count > 0);
        found.fold(Self::NOTHING, |all, (value, pixels)| {
            let sum = u64::from(value) * pixels;
            all.and(Self { pixels, min: value, max: value, sum, squares: u64::from(value) * sum })
        })
    }

    /// Of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            pixels: self.pixels.saturating_add(other.pixels),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum.saturating_add(other.sum),
            squares: self.squares.saturating_add(other.squares),
        }
    }

    /// As GDAL names and counts them, of a band of so many pixels; nothing where none counts.
    pub fn statistics(&self, all_pixels: u64) -> Vec<(String, String)> {
        if self.pixels == 0 {
            return Vec::new();
        }
        let n = self.pixels as f64;
        let spread = u128::from(self.pixels) * u128::from(self.squares);
        let spread = spread.saturating_sub(u128::from(self.sum) * u128::from(self.sum));
        let percent = 100.0 * n / all_pixels.max(self.pixels) as f64;
        [
            ("MINIMUM", self.min.to_string()),
            ("MAXIMUM", self.max.to_string()),
            ("MEAN", (self.sum as f64 / n).to_string()),
            ("STDDEV", ((spread as f64).sqrt() / n).to_string()),
            ("VALID_PERCENT", ((percent * 100.0).round() / 100.0).to_string()),
        ]
        .map(|(name, value)| (format!("STATISTICS_{name}"), value))
        .into()
    }
}

/// Adds what a part holds. Its bands are interleaved, and `lanes` is a multiple of their number.
#[multiversion(targets("x86_64+avx2"))]
fn count(part: &[u8], lanes: usize, tallies: &mut [Tally]) {
    let (mut sums, mut squares) = (vec![0_u32; lanes], vec![0_u32; lanes]);
    let (mut least, mut most) = (vec![u8::MAX; lanes], vec![0_u8; lanes]);
    for values in part.chunks(lanes) {
        let lanes = sums.iter_mut().zip(&mut squares).zip(least.iter_mut().zip(&mut most));
        for (&value, ((sum, square), (least, most))) in values.iter().zip(lanes) {
            *sum += u32::from(value);
            *square += u32::from(value) * u32::from(value);
            *least = value.min(*least);
            *most = value.max(*most);
        }
    }
    for lane in 0..lanes.min(part.len()) {
        let band = lane % tallies.len();
        let tally = &mut tallies[band];
        tally.min = tally.min.min(least[lane]);
        tally.max = tally.max.max(most[lane]);
        tally.sum += u64::from(sums[lane]);
        tally.squares += u64::from(squares[lane]);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// One value after the other.
    fn naive(values: impl Iterator<Item = u8>) -> Tally {
        values.fold(Tally::NOTHING, |mut all, value| {
            all.pixels += 1;
            all.min = all.min.min(value);
            all.max = all.max.max(value);
            all.sum += u64::from(value);
            all.squares += u64::from(value) * u64::from(value);
            all
        })
    }

    #[test]
    fn a_tally_is_that_of_a_naive_loop_for_any_size_and_number_of_bands() {
        let mut rng = StdRng::seed_from_u64(2);
        for bands in [1, 2, 3, 5, 64, 65, 200] {
            for pixels in [0, 1, 7, 1000, 70_001] {
                let least = rng.random_range(0..3);
                let plane: Vec<u8> =
                    (0..pixels * bands).map(|_| rng.random_range(least..=255 - least)).collect();
                for (band, tally) in Tally::of_bands(&plane, bands).into_iter().enumerate() {
                    let wanted = naive(plane.iter().skip(band).step_by(bands).copied());
                    assert_eq!(tally, wanted, "band {band} of {bands}, {pixels} pixels");
                }
            }
        }
        // Sums beyond 32 bits.
        let white = vec![255; 5_000_000];
        assert_eq!(Tally::of_bands(&white, 1), [naive(white.iter().copied())]);
    }

    #[test]
    fn parts_add_up_to_the_whole_and_nodata_does_not_count() {
        let mut rng = StdRng::seed_from_u64(3);
        let plane: Vec<u8> = (0..9999).map(|_| rng.random_range(0..4)).collect();
        let whole = naive(plane.iter().copied().filter(|value| *value != 2));
        assert_eq!(Tally::of_map(&plane, 2), whole);
        let parts = plane.chunks(1234).rev().map(|part| Tally::of_map(part, 2));
        assert_eq!(parts.fold(Tally::NOTHING, Tally::and), whole);
        assert_eq!(Tally::of_map(&[7; 9], 7), Tally::NOTHING);
    }

    #[test]
    fn statistics_are_named_as_gdal_names_them() {
        let tally = Tally::of_map(&[1, 2, 3, 6, 255, 255], 255);
        let found = tally.statistics(6);
        let value = |name: &str| &*found.iter().find(|(key, _)| key.ends_with(name)).unwrap().1;
        assert_eq!(["MINIMUM", "MAXIMUM", "MEAN"].map(value), ["1", "6", "3"]);
        // Squares of the differences: 4, 1, 0, 9.
        assert_eq!(value("STDDEV").parse::<f64>().unwrap(), 3.5_f64.sqrt());
        assert_eq!(value("VALID_PERCENT"), "66.67");
        assert!(Tally::NOTHING.statistics(6).is_empty());
        let hostile = Tally { pixels: u64::MAX, min: 0, max: 255, sum: u64::MAX, squares: 0 };
        assert_eq!(hostile.and(hostile).statistics(1).len(), 5);
    }
}
