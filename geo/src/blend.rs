//! Joining windows that overlap. Probabilities and weights are whole numbers of 16 bits and their
//! products are added up in whole numbers, so that the result does not depend on the order or the
//! grouping of the additions.

use swath_proto::geometry::RectPx;

use crate::{
    decide::BadLogits,
    grid::Window,
    softmax::{is_defined, round_bits, softmax},
};

/// What stands for a probability or a weight of one.
pub const ONE: u16 = u16::MAX;

/// Weights of a square window that falls off to its edges (Hann), nowhere to nothing: a pixel that
/// only one window sees is decided by that one.
pub fn hann(edge_px: u32) -> Vec<u16> {
    let along: Vec<f64> = (0..edge_px)
        .map(|i| ((f64::from(i) + 0.5) / f64::from(edge_px) * std::f64::consts::PI).sin().powi(2))
        .collect();
    let pixel = |down: &f64, across: &f64| ((down * across * f64::from(ONE)).round() as u16).max(1);
    along.iter().flat_map(|down| along.iter().map(move |across| pixel(down, across))).collect()
}

/// The softmax of interleaved logits in steps of 1 / [`ONE`]. `Err` is the pixel's position in
/// `logits` for which there is none.
pub fn probabilities(logits: &[f32], n_classes: usize) -> Result<Vec<u16>, usize> {
    if n_classes == 0 {
        return Err(0);
    }
    if let Some(bad) = logits.chunks(n_classes).position(|pixel| !is_defined(pixel)) {
        return Err(bad);
    }
    let mut scaled = logits.to_vec();
    softmax(&mut scaled, n_classes, f32::from(ONE));
    Ok(scaled.into_iter().map(|p| round_bits(p) as u16).collect())
}

/// Sums for one rectangle of the scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulator {
    rect: RectPx,
    n_classes: usize,
    sums: Vec<u64>,
    weights: Vec<u32>,
}

impl Accumulator {
    pub fn new(rect: RectPx, n_classes: usize) -> Self {
        let pixels = rect.width as usize * rect.height as usize;
        Self { rect, n_classes, sums: vec![0; pixels * n_classes], weights: vec![0; pixels] }
    }

    /// Adds what a window says about the rectangle: the whole input counts, not just its core.
    /// `probs` has the classes of a pixel side by side, `weights` one value a pixel.
    pub fn add(
        &mut self,
        window: &Window,
        edge_px: u32,
        probs: &[u16],
        weights: &[u16],
    ) -> Result<(), BadLogits> {
        let (n, edge) = (self.n_classes, edge_px as usize);
        for (what, got, wanted) in [
            ("a window of weights", weights.len(), edge * edge),
            ("a window of probabilities", probs.len(), edge * edge * n),
        ] {
            if got != wanted {
                return Err(BadLogits::Length { what, got, wanted });
            }
        }
        let shared = |input: i64, at: u32, len: u32| {
            let from = input.max(i64::from(at));
            let to = input.saturating_add(i64::from(edge_px)).min(i64::from(at) + i64::from(len));
            from..to.max(from)
        };
        let cols = shared(window.input_col, self.rect.col, self.rect.width);
        let width = (cols.end - cols.start) as usize;
        for row in shared(window.input_row, self.rect.row, self.rect.height) {
            let from = (row - window.input_row) as usize * edge + (cols.start - window.input_col) as usize;
            let to = (row - i64::from(self.rect.row)) as usize * self.rect.width as usize
                + (cols.start - i64::from(self.rect.col)) as usize;
            let weights = &weights[from..from + width];
            for (sum, &weight) in self.weights[to..to + width].iter_mut().zip(weights) {
                *sum += u32::from(weight);
            }
            let probs = probs[from * n..(from + width) * n].chunks_exact(n);
            let sums = self.sums[to * n..(to + width) * n].chunks_exact_mut(n);
            for ((sums, probs), &weight) in sums.zip(probs).zip(weights) {
                for (sum, &p) in sums.iter_mut().zip(probs) {
                    *sum += u64::from(u32::from(p) * u32::from(weight));
                }
            }
        }
        Ok(())
    }

    /// Classes, and interleaved scores from 0 to 255. Of equal sums the lowest class wins. A pixel
    /// that no window has seen is class 0 with scores of 0.
    pub fn finish(self) -> (Vec<u8>, Vec<u8>) {
        let mut classes = Vec::with_capacity(self.weights.len());
        let mut scores = Vec::with_capacity(self.sums.len());
        for (sums, &weight) in self.sums.chunks_exact(self.n_classes).zip(&self.weights) {
            let mut best = 0;
            for (c, &sum) in sums.iter().enumerate() {
                if sum > sums[best] {
                    best = c;
                }
            }
            classes.push(best as u8);
            let whole = (u64::from(weight) * u64::from(ONE)).max(1);
            scores.extend(sums.iter().map(|sum| ((2 * 255 * sum + whole) / (2 * whole)).min(255) as u8));
        }
        (classes, scores)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
    use swath_proto::item::WindowShape;

    use super::*;
    use crate::grid::windows;

    #[test]
    fn the_order_of_windows_does_not_matter() {
        let mut rng = StdRng::seed_from_u64(2);
        let shape = WindowShape { core_px: 8, margin_px: 5 };
        let (edge, rect, n) = (shape.edge_px(), RectPx::new(8, 16, 30, 21), 3);
        let weights = hann(edge);
        let mut parts: Vec<_> = windows(rect, shape)
            .unwrap()
            .map(|window| {
                let logits: Vec<f32> =
                    (0..(edge * edge) as usize * n).map(|_| rng.random_range(-9.0..9.0)).collect();
                (window, probabilities(&logits, n).unwrap())
            })
            .collect();
        let of = |parts: &[(Window, Vec<u16>)]| {
            let mut sums = Accumulator::new(rect, n);
            for (window, probs) in parts {
                sums.add(window, edge, probs, &weights).unwrap();
            }
            sums
        };
        let first = of(&parts);
        for _ in 0..20 {
            parts.shuffle(&mut rng);
            assert!(of(&parts) == first);
        }
    }

    #[test]
    fn two_windows_meet_half_way() {
        let window = |input_col| Window { core: RectPx::new(0, 0, 2, 2), input_col, input_row: 0 };
        let mut sums = Accumulator::new(RectPx::new(0, 0, 3, 1), 2);
        sums.add(&window(-1), 2, &[ONE, 0].repeat(4), &[3; 4]).unwrap();
        sums.add(&window(0), 2, &[0, ONE].repeat(4), &[1; 4]).unwrap();
        assert_eq!(sums.finish(), (vec![0, 1, 0], vec![191, 64, 0, 255, 0, 0]));
    }

    #[test]
    fn a_window_alone_is_decided_as_it_is() {
        let probs = probabilities(&[0.0, 0.0, 9.0, -9.0, -1.0, 1.0, 0.0, 0.1], 2).unwrap();
        let window = Window { core: RectPx::new(0, 0, 2, 2), input_col: 0, input_row: 0 };
        for weights in [hann(2), vec![ONE; 4], vec![1; 4]] {
            let mut sums = Accumulator::new(window.core, 2);
            sums.add(&window, 2, &probs, &weights).unwrap();
            assert_eq!(sums.finish(), (vec![0, 0, 1, 1], vec![128, 128, 255, 0, 30, 225, 121, 134]));
        }
    }

    #[test]
    fn hann_weights_are_symmetric_and_nowhere_nothing() {
        for edge in [1, 2, 7, 64, 320] {
            let weights = hann(edge as u32);
            assert_eq!(weights.len(), edge * edge);
            assert!(weights.iter().all(|&w| w > 0));
            assert!(weights.iter().eq(weights.iter().rev()));
            assert_eq!(weights[1 % edge], weights[(edge * edge - 1).min(edge)]);
        }
        assert_eq!(hann(1), [ONE]);
    }

    #[test]
    fn windows_of_the_wrong_size_are_refused() {
        let window = Window { core: RectPx::new(0, 0, 2, 2), input_col: 0, input_row: 0 };
        let mut sums = Accumulator::new(window.core, 2);
        assert!(sums.add(&window, 2, &[0; 7], &[1; 4]).is_err());
        assert!(sums.add(&window, 2, &[0; 8], &[1; 5]).is_err());
        assert_eq!(probabilities(&[0.0, 1.0, f32::NAN, 0.0], 2), Err(1));
    }
}
