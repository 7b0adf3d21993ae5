//! A chip is enlarged, and a place of it cut out; or made smaller, and put anywhere among its own mirror images. So all
//! of it trains, and no edge appears that is none. Pixels are interpolated in straight lines, labels are the nearest.

use super::{Extent, mirrored};
use crate::order::Draws;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Zoom {
    factor: f64,
    /// Where what is seen lies: 0 at the left and at the top, 1 at the right and at the bottom.
    place: [f64; 2],
}

impl Zoom {
    pub(super) fn draw(mut draws: Draws, [from, to]: [f32; 2]) -> Self {
        let (from, to) = (f64::from(from), f64::from(to));
        Self { factor: from + (to - from) * draws.unit(), place: [draws.unit(), draws.unit()] }
    }

    /// Where the middle of a pixel comes from along an edge of `n` pixels, counted from the edge.
    fn origins(&self, place: f64, n: usize) -> impl Iterator<Item = f64> {
        let (factor, length) = (self.factor, n as f64);
        let begin = place * (length - length / factor);
        (0..n).map(move |at| begin + (at as f64 + 0.5) / factor)
    }

    pub(super) fn labels(&self, Extent { width, height, .. }: Extent, labels: &mut [u8]) {
        let before = labels.to_vec();
        let nearest = |place, n| {
            self.origins(place, n).map(move |origin| mirrored(origin.floor() as isize, n)).collect::<Vec<_>>()
        };
        let (cols, rows) = (nearest(self.place[0], width), nearest(self.place[1], height));
        for (line, row) in labels.chunks_exact_mut(width).zip(rows) {
            let from = &before[row * width..][..width];
            line.iter_mut().zip(&cols).for_each(|(label, &col)| *label = from[col]);
        }
    }

    pub(super) fn pixels(&self, Extent { width, height, bands }: Extent, pixels: &mut [f32]) {
        let before = pixels.to_vec();
        let (cols, rows) = (self.pairs(self.place[0], width), self.pairs(self.place[1], height));
        let row_len = width * bands;
        let mut mixed = vec![0.0; row_len];
        for (line, (upper, lower, share)) in pixels.chunks_exact_mut(row_len).zip(rows) {
            let [upper, lower] = [upper, lower].map(|row| &before[row * row_len..][..row_len]);
            for ((mixed, upper), lower) in mixed.iter_mut().zip(upper).zip(lower) {
                *mixed = upper + (lower - upper) * share;
            }
            for (pixel, &(left, right, share)) in line.chunks_exact_mut(bands).zip(&cols) {
                let [left, right] = [left, right].map(|col| &mixed[col * bands..][..bands]);
                for ((sample, left), right) in pixel.iter_mut().zip(left).zip(right) {
                    *sample = left + (right - left) * share;
                }
            }
        }
    }

    /// The two pixels between which each lies, and the share of the second.
    fn pairs(&self, place: f64, n: usize) -> Vec<(usize, usize, f32)> {
        let pair = |origin: f64| {
            let first = (origin - 0.5).floor();
            let (at, share) = (first as isize, (origin - 0.5 - first) as f32);
            (mirrored(at, n), mirrored(at + 1, n), share)
        };
        self.origins(place, n).map(pair).collect()
    }
}
