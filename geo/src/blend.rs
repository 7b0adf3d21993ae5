//! Joining what several looks say of a pixel: windows that overlap, and views of a window. Probabilities and weights
//! are whole numbers and their products are added up in whole numbers, so that the result depends neither on the
//! order of the additions nor on how the scene was cut.
//!
//! A window's weight is a product of one along its columns and one along its rows, and those of neighbours add up to
//! [`WHOLE`]. So nobody has to add up weights, and only the rows that windows still to come have a say in are kept.

use std::ops::Range;

use swath_proto::{
    geometry::{RectPx, SizePx},
    item::{Blend, WindowShape},
};

use crate::{grid::Window, planes::Planes, views::Part};

/// What stands for a probability of one.
pub const ONE: u16 = u16::MAX;

/// What the weights of all windows that see a pixel add up to along an edge, where the scene goes on.
pub const WHOLE: u32 = 1 << 12;

/// The weight of each pixel along the edge of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    shape: WindowShape,
    along: Vec<u32>,
    /// Beyond it they are 0.
    say: Range<usize>,
}

impl Weights {
    /// For shapes in which [`swath_proto::item::Mixing::problem`] finds none.
    pub fn new(shape: WindowShape, blend: Blend) -> Self {
        let (edge, core, margin) =
            (shape.edge_px() as usize, shape.core_px as usize, shape.margin_px as usize);
        let core = margin..margin + core;
        if blend == Blend::Crop || margin == 0 {
            let along = (0..edge).map(|at| if core.contains(&at) { WHOLE } else { 0 });
            return Self { shape, along: along.collect(), say: core };
        }
        // What neighbours share is twice the margin: one falls there as the other rises.
        let rise: Vec<u32> = (0..2 * margin).map(|at| rising(at, 2 * margin)).collect();
        let along = (0..edge).map(|at| match (rise.get(at), rise.get(edge - 1 - at)) {
            (Some(weight), _) | (None, Some(weight)) => *weight,
            (None, None) => WHOLE,
        });
        Self { shape, along: along.collect(), say: 0..edge }
    }

    /// The pixels of a window that it has a say in, of those of an item.
    pub fn part(&self, window: &Window, item: RectPx) -> Part {
        let along = |input: i64, at: u32, len: u32| {
            let clamp =
                |scene: i64| (scene - input).clamp(self.say.start as i64, self.say.end as i64) as usize;
            clamp(i64::from(at))..clamp(i64::from(at) + i64::from(len))
        };
        Part {
            rows: along(window.input_row, item.row, item.height),
            cols: along(window.input_col, item.col, item.width),
        }
    }

    /// What the weights add up to along a stretch of the scene, pixel by pixel: less at the scene's edges, where
    /// there is no neighbour.
    fn sums(&self, at: u32, len: u32, scene_len: u32) -> Vec<u64> {
        let mut sums = vec![0; len as usize];
        let (core, margin) = (i64::from(self.shape.core_px), i64::from(self.shape.margin_px));
        for number in self.shape.touching(at, len, scene_len) {
            let first = i64::from(number) * core - margin - i64::from(at);
            for (weight, to) in self.along.iter().zip(first..) {
                if let Some(sum) = usize::try_from(to).ok().and_then(|to| sums.get_mut(to)) {
                    *sum += u64::from(*weight);
                }
            }
        }
        sums
    }
}

/// The rise of a Hann window, in steps of 1 / [`WHOLE`]: its two halves add up to it to the last bit.
fn rising(at: usize, len: usize) -> u32 {
    if 2 * at >= len {
        return WHOLE - rising(len - 1 - at, len);
    }
    let part = (at as f64 + 0.5) / len as f64;
    (f64::from(WHOLE) * 0.5 * (1.0 - cosine(part * std::f64::consts::PI)) + 0.5) as u32
}

/// Of 0 to a right angle. A series of our own, since those of C libraries differ in their last bits.
fn cosine(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..12 {
        let n = f64::from(2 * n);
        term *= -x * x / (n * (n - 1.0));
        sum += term;
    }
    sum
}

/// Sums of an item's pixels, from above to below: what no window to come has a say in is decided and forgotten.
#[derive(Clone, Debug)]
pub struct Blender {
    item: RectPx,
    n_classes: usize,
    weights: Weights,
    /// Looks that are added up in what a window says.
    n_looks: u64,
    /// Of weights, along the item's columns and rows.
    of_cols: Vec<u64>,
    of_rows: Vec<u64>,
    /// Row of the item that the sums begin with.
    top: usize,
    sums: Vec<u64>,
}

impl Blender {
    pub fn new(item: RectPx, scene: SizePx, weights: Weights, n_classes: usize, n_looks: u32) -> Self {
        let rows = weights.along.len().min(item.height as usize);
        Self {
            of_cols: weights.sums(item.col, item.width, scene.width),
            of_rows: weights.sums(item.row, item.height, scene.height),
            n_looks: u64::from(n_looks),
            top: 0,
            sums: vec![0; rows * item.width as usize * n_classes],
            item,
            n_classes,
            weights,
        }
    }

    pub fn part(&self, window: &Window) -> Part {
        self.weights.part(window, self.item)
    }

    /// Adds what a window says: the probabilities of all its pixels, the classes of one side by side, in steps of
    /// 1 / [`ONE`], of all looks added up. Windows come row by row; decides the rows above this one.
    pub fn add(&mut self, window: &Window, probs: &[u32], planes: &mut Planes) {
        let (n, edge, width) = (self.n_classes, self.weights.along.len(), self.item.width as usize);
        let part = self.part(window);
        if part.rows.is_empty() || part.cols.is_empty() {
            return;
        }
        let top = i64::from(self.item.row);
        let row_in_item = |row: usize| (window.input_row + row as i64 - top) as usize;
        let first_col = (window.input_col + part.cols.start as i64 - i64::from(self.item.col)) as usize;
        self.decide_above(row_in_item(part.rows.start), planes);
        let across = &self.weights.along[part.cols.clone()];
        for row in part.rows {
            let down = self.weights.along[row];
            let probs = &probs[(row * edge + part.cols.start) * n..(row * edge + part.cols.end) * n];
            let at = (row_in_item(row) - self.top) * width + first_col;
            let sums = &mut self.sums[at * n..][..probs.len()];
            for ((sums, probs), across) in sums.chunks_exact_mut(n).zip(probs.chunks_exact(n)).zip(across) {
                let weight = u64::from(down * across);
                sums.iter_mut().zip(probs).for_each(|(sum, p)| *sum += u64::from(*p) * weight);
            }
        }
    }

    /// Decides what is left.
    pub fn finish(mut self, planes: &mut Planes) {
        self.decide_above(self.item.height as usize, planes);
    }

    /// Decides the rows above this one of the item.
    fn decide_above(&mut self, row: usize, planes: &mut Planes) {
        let width = self.item.width as usize;
        let per_row = width * self.n_classes;
        let n_kept = self.sums.len() / per_row.max(1);
        let done = row.saturating_sub(self.top).min(n_kept);
        for (nth, sums) in self.sums[..done * per_row].chunks_exact(per_row.max(1)).enumerate() {
            let row = self.top + nth;
            let whole = u64::from(ONE) * self.n_looks * self.of_rows[row];
            let pixels = row * width..(row + 1) * width;
            decide(sums, self.n_classes, whole, &self.of_cols, pixels, planes);
        }
        self.sums.copy_within(done * per_row.., 0);
        let left = self.sums.len() - done * per_row;
        self.sums[left..].fill(0);
        self.top += done;
        // Rows that no window had a say in, since none of their pixels counts.
        self.top = self.top.max(row.min(self.item.height as usize));
    }
}

/// One row. Of equal sums the lowest class wins.
fn decide(
    sums: &[u64],
    n_classes: usize,
    whole: u64,
    of_cols: &[u64],
    pixels: Range<usize>,
    planes: &mut Planes,
) {
    let classes = &mut planes.classes[pixels.clone()];
    for (class, sums) in classes.iter_mut().zip(sums.chunks_exact(n_classes)) {
        let mut best = 0;
        for (c, sum) in sums.iter().enumerate() {
            if *sum > sums[best] {
                best = c;
            }
        }
        *class = best as u8;
    }
    let classes = &planes.classes[pixels.clone()];
    let score = |sum: u64, of_col: u64| {
        let whole = whole * of_col;
        ((2 * 255 * sum + whole) / (2 * whole)).min(255) as u8
    };
    let of_class = |sums: &[u64], class: usize, of_col: u64| match (n_classes, class) {
        // The two add up to 255.
        (2, 0) => 255 - score(sums[1], of_col),
        _ => score(sums[class], of_col),
    };
    if let Some(scores) = &mut planes.scores {
        let scores = scores[pixels.start * n_classes..pixels.end * n_classes].chunks_exact_mut(n_classes);
        for ((scores, sums), of_col) in scores.zip(sums.chunks_exact(n_classes)).zip(of_cols) {
            scores.iter_mut().enumerate().for_each(|(class, out)| *out = of_class(sums, class, *of_col));
        }
    }
    if let Some(confidence) = &mut planes.confidence {
        let pixels =
            confidence[pixels].iter_mut().zip(classes).zip(sums.chunks_exact(n_classes)).zip(of_cols);
        for (((out, class), sums), of_col) in pixels {
            *out = of_class(sums, usize::from(*class), *of_col);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

    use super::*;
    use crate::{grid, planes::Kept};

    const SHAPE: WindowShape = WindowShape { core_px: 16, margin_px: 5 };
    const ALL: Kept = Kept { scores: true, confidence: true };

    #[test]
    fn weights_are_the_same_whole_numbers_everywhere() {
        let shape = WindowShape { core_px: 8, margin_px: 2 };
        assert_eq!(
            Weights::new(shape, Blend::Hann).along,
            [156, 1264, 2832, 3940, 4096, 4096, 4096, 4096, 3940, 2832, 1264, 156]
        );
        assert_eq!(
            Weights::new(shape, Blend::Crop).along,
            [[0; 2], [4096; 2]].concat().into_iter().chain([4096; 6]).chain([0; 2]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn weights_of_neighbours_add_up_to_the_whole_inside_a_scene() {
        for (core_px, margin_px) in [(64, 1), (64, 8), (64, 31), (64, 32), (256, 32), (1, 0), (7, 3)] {
            let weights = Weights::new(WindowShape { core_px, margin_px }, Blend::Hann);
            assert!(weights.along.iter().eq(weights.along.iter().rev()));
            let scene = 5 * core_px + 3;
            let sums = weights.sums(0, scene, scene);
            let inside = &sums[margin_px as usize..(scene - 3 - margin_px) as usize];
            assert!(inside.iter().all(|sum| *sum == u64::from(WHOLE)), "{core_px} {margin_px}: {sums:?}");
            assert!(sums.iter().all(|sum| *sum >= u64::from(WHOLE / 2)), "nowhere next to nothing");
            assert_eq!(weights.sums(core_px - 1, 3, scene), &sums[core_px as usize - 1..][..3]);
        }
    }

    #[test]
    fn the_cosine_is_as_exact_as_numbers_are() {
        for step in 0..=1000 {
            let x = f64::from(step) / 1000.0 * std::f64::consts::FRAC_PI_2;
            assert!((cosine(x) - x.cos()).abs() < 1e-15, "{x}");
        }
    }

    fn random(rng: &mut StdRng, n: usize, looks: u32) -> Vec<u32> {
        let edge = SHAPE.edge_px() as usize;
        let pixel = |rng: &mut StdRng| {
            let first = rng.random_range(0..=u32::from(ONE) * looks);
            let mut pixel = vec![0; n];
            (pixel[0], pixel[n - 1]) = (first, u32::from(ONE) * looks - first);
            pixel
        };
        (0..edge * edge).flat_map(|_| pixel(rng)).collect()
    }

    /// By definition: everything added up in any order, weights too.
    fn naive(item: RectPx, parts: &[(Window, Vec<u32>)], weights: &Weights, n: usize, looks: u32) -> Planes {
        let mut planes = Planes::new(item, n, ALL);
        for pixel in 0..item.pixels() as u32 {
            let (col, row) =
                (i64::from(item.col + pixel % item.width), i64::from(item.row + pixel / item.width));
            let (mut sums, mut whole) = (vec![0_u128; n], 0_u128);
            for (window, probs) in parts {
                let (col, row) = (col - window.input_col, row - window.input_row);
                let inside = 0..weights.along.len() as i64;
                if inside.contains(&col) && inside.contains(&row) {
                    let (col, row) = (col as usize, row as usize);
                    let weight = u128::from(weights.along[col]) * u128::from(weights.along[row]);
                    whole += weight;
                    let at = (row * weights.along.len() + col) * n;
                    sums.iter_mut().zip(&probs[at..]).for_each(|(sum, p)| *sum += weight * u128::from(*p));
                }
            }
            let best = (0..n).rev().max_by_key(|c| sums[*c]).unwrap();
            let whole = (whole * u128::from(ONE) * u128::from(looks)) as f64;
            let mut scores: Vec<u8> =
                sums.iter().map(|sum| (*sum as f64 / whole * 255.0 + 0.5).floor() as u8).collect();
            if n == 2 {
                scores[0] = 255 - scores[1];
            }
            let at = pixel as usize;
            planes.classes[at] = best as u8;
            planes.confidence.as_mut().unwrap()[at] = scores[best];
            planes.scores.as_mut().unwrap()[at * n..][..n].copy_from_slice(&scores);
        }
        planes
    }

    #[test]
    fn strip_by_strip_equals_all_at_once() {
        let mut rng = StdRng::seed_from_u64(2);
        let scene = SizePx::new(75, 61);
        for (blend, n, looks) in
            [(Blend::Hann, 2, 1), (Blend::Hann, 3, 8), (Blend::Crop, 2, 4), (Blend::Crop, 3, 1)]
        {
            for item in [RectPx::new(16, 16, 32, 32), RectPx::new(0, 0, 75, 61), RectPx::new(64, 48, 11, 13)]
            {
                let weights = Weights::new(SHAPE, blend);
                let windows = grid::touching(item, scene, SHAPE).unwrap();
                let mut parts: Vec<_> = windows.map(|window| (window, random(&mut rng, n, looks))).collect();
                let mut planes = Planes::new(item, n, ALL);
                let mut blender = Blender::new(item, scene, weights.clone(), n, looks);
                parts.iter().for_each(|(window, probs)| blender.add(window, probs, &mut planes));
                blender.finish(&mut planes);
                parts.shuffle(&mut rng);
                assert!(planes == naive(item, &parts, &weights, n, looks), "{blend:?} {item}");
            }
        }
    }

    #[test]
    fn rows_that_no_window_has_a_say_in_are_passed_over() {
        let mut rng = StdRng::seed_from_u64(5);
        let (scene, item) = (SizePx::new(32, 128), RectPx::new(0, 0, 32, 128));
        let weights = Weights::new(SHAPE, Blend::Crop);
        let windows = grid::windows(item, SHAPE).unwrap().filter(|window| window.core.row >= 96);
        let parts: Vec<_> = windows.map(|window| (window, random(&mut rng, 2, 1))).collect();
        let mut planes = Planes::new(item, 2, ALL);
        let mut blender = Blender::new(item, scene, weights.clone(), 2, 1);
        parts.iter().for_each(|(window, probs)| blender.add(window, probs, &mut planes));
        blender.finish(&mut planes);
        let below = RectPx::new(0, 96, 32, 32);
        assert_eq!(planes.classes[96 * 32..], naive(below, &parts, &weights, 2, 1).classes);
        assert!(planes.classes[..96 * 32].iter().all(|class| *class == 0));
    }

    #[test]
    fn two_windows_meet_half_way() {
        let shape = WindowShape { core_px: 4, margin_px: 1 };
        let (scene, item) = (SizePx::new(8, 4), RectPx::new(0, 0, 8, 4));
        let mut blender = Blender::new(item, scene, Weights::new(shape, Blend::Hann), 2, 1);
        let mut planes = Planes::new(item, 2, ALL);
        let says = |one: u32| [u32::from(ONE) * (1 - one), u32::from(ONE) * one].repeat(36);
        for (number, window) in grid::touching(item, scene, shape).unwrap().enumerate() {
            blender.add(&window, &says(number as u32), &mut planes);
        }
        blender.finish(&mut planes);
        assert_eq!(planes.classes[..8], [0, 0, 0, 0, 1, 1, 1, 1]);
        // The rise over two pixels: a seventh and six sevenths, almost.
        assert_eq!(planes.confidence.unwrap()[..8], [255, 255, 255, 218, 218, 255, 255, 255]);
    }
}
