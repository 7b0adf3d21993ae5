//! The levels of a scene: each half as large as the one below, until one fits in a single tile. A
//! pixel of a level decides from the 2 x 2 pixels below it that exist.

mod order;
mod top;

use multiversion::multiversion;
use swath_proto::geometry::SizePx;

pub use order::{CELL_LEVEL, Stretch, stretches};
pub use top::{BadTop, Top, TopTile};

/// How four pixels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The most frequent value; of equally frequent ones the first in the order upper left, upper
    /// right, lower left, lower right.
    Mode,
    /// The mean of each of the interleaved bands, halves rounded up.
    Mean { bands: u32 },
    /// The mean of those that are not 0, halves rounded up: 0 stands for a pixel of which nothing is known.
    MeanOfKnown,
}

impl Reduction {
    pub const fn bands(self) -> u32 {
        match self {
            Reduction::Mode | Reduction::MeanOfKnown => 1,
            Reduction::Mean { bands } => bands,
        }
    }
}

/// Size of a level; level 0 is the scene itself.
pub fn level_size(size: SizePx, level: u32) -> SizePx {
    let halve = |edge: u32| match level {
        0..32 => (u64::from(edge).div_ceil(1 << level)) as u32,
        _ => edge.min(1),
    };
    SizePx::new(halve(size.width), halve(size.height))
}

/// Levels until the last fits in one block, the scene itself counted.
pub fn n_levels(size: SizePx, block_px: u32) -> u32 {
    let blocks = size.width.max(size.height).div_ceil(block_px.max(1)).max(1);
    1 + blocks.next_power_of_two().trailing_zeros()
}

/// The size of every level, the scene itself first.
pub fn levels(size: SizePx, block_px: u32) -> Vec<SizePx> {
    (0..n_levels(size, block_px)).map(|level| level_size(size, level)).collect()
}

/// How many levels an item makes by itself: the deepest is one tile an item, or the scene's last.
/// `None` unless an item's edge is a block's times a power of two; only then are its tiles one run.
pub fn item_levels(scene: SizePx, item_px: u32, block_px: u32) -> Option<u32> {
    let blocks = item_px.checked_div(block_px)?;
    let fits = blocks.is_power_of_two() && item_px.is_multiple_of(block_px);
    fits.then(|| (1 + blocks.trailing_zeros()).min(n_levels(scene, block_px)))
}

/// The next level of a whole plane. Half of an odd edge is rounded up.
///
/// # Panics
/// If `plane` is not of this size.
pub fn reduce(plane: &[u8], size: SizePx, reduction: Reduction) -> Vec<u8> {
    let bands = reduction.bands() as usize;
    let (width, height) = (size.width as usize, size.height as usize);
    assert_eq!(plane.len(), width * height * bands, "a plane of {width} x {height} x {bands}");
    let half = level_size(size, 1);
    let mut out = vec![0; half.width as usize * half.height as usize * bands];
    reduce_into(plane, width, size, &mut out, half.width as usize, reduction);
    out
}

pub fn reduce_classes(plane: &[u8], size: SizePx) -> Vec<u8> {
    reduce(plane, size, Reduction::Mode)
}

/// Reduces the upper left part of this `size` of a plane whose rows are `stride` pixels apart.
#[multiversion(targets("x86_64+avx2"))]
fn reduce_into(
    plane: &[u8],
    stride: usize,
    size: SizePx,
    out: &mut [u8],
    out_stride: usize,
    reduction: Reduction,
) {
    let bands = reduction.bands() as usize;
    let (width, height) = (size.width as usize, size.height as usize);
    for (row, out) in (0..height).step_by(2).zip(out.chunks_mut((out_stride * bands).max(1))) {
        let upper = &plane[row * stride * bands..][..width * bands];
        // Where there is no lower row or right column, the pixel beside it counts twice: for mode
        // and means alike that equals leaving the missing ones out.
        let lower_row = if row + 1 < height { row + 1 } else { row };
        let lower = &plane[lower_row * stride * bands..][..width * bands];
        let out = &mut out[..width.div_ceil(2) * bands];
        match reduction {
            Reduction::Mode => reduce_row(upper, lower, out, mode),
            Reduction::MeanOfKnown => reduce_row(upper, lower, out, mean_of_known),
            Reduction::Mean { bands: 1 } => reduce_row(upper, lower, out, mean),
            Reduction::Mean { .. } => reduce_interleaved_row(upper, lower, out, bands),
        }
    }
}

#[inline(always)]
fn reduce_row(upper: &[u8], lower: &[u8], out: &mut [u8], join: impl Fn(u8, u8, u8, u8) -> u8) {
    let (upper_pairs, upper_last) = upper.as_chunks::<2>();
    let (lower_pairs, lower_last) = lower.as_chunks::<2>();
    for ((out, &[a, b]), &[c, d]) in out.iter_mut().zip(upper_pairs).zip(lower_pairs) {
        *out = join(a, b, c, d);
    }
    if let ([a], [c], Some(out)) = (upper_last, lower_last, out.last_mut()) {
        *out = join(*a, *a, *c, *c);
    }
}

#[inline(always)]
fn reduce_interleaved_row(upper: &[u8], lower: &[u8], out: &mut [u8], bands: usize) {
    let pairs = upper.chunks(2 * bands).zip(lower.chunks(2 * bands));
    for (out, (upper, lower)) in out.chunks_exact_mut(bands).zip(pairs) {
        let right = upper.len() - bands;
        for (band, out) in out.iter_mut().enumerate() {
            *out = mean(upper[band], upper[right + band], lower[band], lower[right + band]);
        }
    }
}

#[inline(always)]
fn mode(a: u8, b: u8, c: u8, d: u8) -> u8 {
    let rest = if (b == c) | (b == d) {
        b
    } else if c == d {
        c
    } else {
        a
    };
    if (a == b) | (a == c) | (a == d) { a } else { rest }
}

#[inline(always)]
fn mean(a: u8, b: u8, c: u8, d: u8) -> u8 {
    ((u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d) + 2) / 4) as u8
}

#[inline(always)]
fn mean_of_known(a: u8, b: u8, c: u8, d: u8) -> u8 {
    let known = [a, b, c, d].iter().map(|value| u16::from(*value != 0)).sum::<u16>().max(1);
    let sum = u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d);
    ((2 * sum + known) / (2 * known)) as u8
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// By definition: the pixels that exist, counted.
    fn naive(plane: &[u8], size: SizePx, reduction: Reduction) -> Vec<u8> {
        let bands = reduction.bands();
        let half = level_size(size, 1);
        let mut out = Vec::new();
        for (row, col) in (0..half.height).flat_map(|r| (0..half.width).map(move |c| (r, c))) {
            for band in 0..bands {
                let below: Vec<u8> = [(0, 0), (0, 1), (1, 0), (1, 1)]
                    .map(|(down, right)| (2 * row + down, 2 * col + right))
                    .into_iter()
                    .filter(|&(r, c)| r < size.height && c < size.width)
                    .map(|(r, c)| plane[((r * size.width + c) * bands + band) as usize])
                    .collect();
                out.push(match reduction {
                    Reduction::Mean { .. } => {
                        let sum: u32 = below.iter().map(|&v| u32::from(v)).sum();
                        (f64::from(sum) / below.len() as f64 + 0.5).floor() as u8
                    }
                    Reduction::MeanOfKnown => {
                        let known: Vec<f64> =
                            below.iter().filter(|v| **v > 0).map(|v| f64::from(*v)).collect();
                        (known.iter().sum::<f64>() / known.len().max(1) as f64 + 0.5).floor() as u8
                    }
                    Reduction::Mode => {
                        let count = |v: &u8| below.iter().filter(|w| *w == v).count();
                        let most = below.iter().map(count).max().unwrap();
                        *below.iter().find(|v| count(v) == most).unwrap()
                    }
                });
            }
        }
        out
    }

    #[test]
    fn levels_halve_until_one_block_is_enough() {
        let sizes = levels(SizePx::new(1000, 777), 256);
        assert_eq!(sizes, [SizePx::new(1000, 777), SizePx::new(500, 389), SizePx::new(250, 195)]);
        assert_eq!(levels(SizePx::new(256, 3), 256).len(), 1);
        assert_eq!(levels(SizePx::new(257, 3), 256).len(), 2);
        assert_eq!(levels(SizePx::new(1, 512), 256)[1], SizePx::new(1, 256));
        for (width, height) in [(1, 1), (12345, 678), (u32::MAX, 9), (513, 1025)] {
            let size = SizePx::new(width, height);
            let levels = levels(size, 64);
            assert!(levels[..levels.len() - 1].iter().all(|s| s.width.max(s.height) > 64));
            assert!(levels[levels.len() - 1].width.max(levels[levels.len() - 1].height) <= 64);
        }
    }

    #[test]
    fn an_item_makes_the_levels_down_to_its_single_tile() {
        let scene = SizePx::new(5000, 3000);
        assert_eq!(item_levels(scene, 256, 256), Some(1));
        assert_eq!(item_levels(scene, 1024, 256), Some(3));
        assert_eq!(item_levels(scene, 16384, 256), Some(6));
        assert_eq!(item_levels(SizePx::new(100, 100), 1024, 256), Some(1));
        for (item_px, block_px) in [(768, 256), (128, 256), (300, 256), (256, 0), (0, 256)] {
            assert_eq!(item_levels(scene, item_px, block_px), None);
        }
    }

    #[test]
    fn ties_go_to_the_first_pixel() {
        let two = SizePx::new(2, 2);
        for (pixels, wanted) in [
            ([1, 2, 3, 4], 1),
            ([1, 2, 2, 1], 1),
            ([2, 1, 1, 2], 2),
            ([3, 1, 1, 2], 1),
            ([3, 2, 1, 1], 1),
            ([3, 1, 2, 1], 1),
            ([0, 5, 5, 5], 5),
        ] {
            assert_eq!(reduce_classes(&pixels, two), [wanted], "{pixels:?}");
        }
        assert_eq!(reduce_classes(&[4, 7], SizePx::new(1, 2)), [4]);
    }

    #[test]
    fn means_round_half_up_over_the_pixels_that_exist() {
        let reduce_scores = |plane: &[u8], size, bands| reduce(plane, size, Reduction::Mean { bands });
        assert_eq!(reduce_scores(&[0, 0, 1, 1], SizePx::new(2, 2), 1), [1]);
        assert_eq!(reduce_scores(&[0, 0, 0, 1], SizePx::new(2, 2), 1), [0]);
        assert_eq!(reduce_scores(&[1, 2, 255, 255], SizePx::new(1, 4), 1), [2, 255]);
        assert_eq!(reduce_scores(&[10, 0, 20, 255, 3, 9], SizePx::new(3, 1), 2), [15, 128, 3, 9]);
    }

    #[test]
    fn planes_of_any_size_reduce_as_a_naive_loop_does() {
        let mut rng = StdRng::seed_from_u64(3);
        let means = [Reduction::MeanOfKnown, Reduction::Mean { bands: 1 }, Reduction::Mean { bands: 3 }];
        for reduction in [Reduction::Mode].into_iter().chain(means) {
            for _ in 0..60 {
                let size = SizePx::new(rng.random_range(1..300), rng.random_range(1..9));
                let values = match reduction {
                    Reduction::Mode | Reduction::MeanOfKnown => 3,
                    Reduction::Mean { .. } => 255,
                };
                let plane: Vec<u8> = (0..size.pixels() as u32 * reduction.bands())
                    .map(|_| rng.random_range(0..=values))
                    .collect();
                assert_eq!(reduce(&plane, size, reduction), naive(&plane, size, reduction), "{size:?}");
            }
        }
    }
}
