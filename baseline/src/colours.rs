//! All classes, each against all others, and where each begins.

use std::collections::BTreeSet;

use crate::{
    BadBaseline, Sample,
    logistic::Logistic,
    patch::{Plane, REACH, n_values},
};

#[derive(Clone, Debug)]
pub struct Colours {
    null_class: u8,
    classes: Vec<Class>,
}

#[derive(Clone, Debug)]
struct Class {
    number: u8,
    logistic: Logistic,
    /// The log-odds from which on a pixel is of the class.
    threshold: f32,
}

impl Colours {
    /// Learns every class but the null class, which is what no other is. A class begins where its F1 on the
    /// sample is best: at even odds a rare class would be found nowhere, and that is no fair opponent.
    pub fn fit(sample: &Sample, null_class: u8) -> Result<Self, BadBaseline> {
        let found: BTreeSet<u8> =
            sample.labels().iter().copied().filter(|class| *class != null_class).collect();
        if found.is_empty() {
            return Err(BadBaseline::Nothing);
        }
        let third = n_values(sample.bands()) / 3;
        let class = |number| {
            let logistic = Logistic::fit(sample, number)?;
            let logits = sample.patches().map(|patch| {
                let rows: Vec<&[f32]> = patch.chunks_exact(third).collect();
                logistic.logit(&rows)
            });
            let hits = sample.labels().iter().map(|label| *label == number);
            let threshold = best_threshold(logits.zip(hits).collect());
            Ok(Class { number, logistic, threshold })
        };
        let classes: Result<_, BadBaseline> = found.into_iter().map(class).collect();
        Ok(Self { null_class, classes: classes? })
    }

    /// The classes of all pixels that have all their neighbours in the plane, row by row.
    pub fn classify(&self, plane: Plane<'_>) -> Vec<u8> {
        let (width, height) = (plane.width(), plane.height());
        let mut out = Vec::with_capacity(width * height);
        for row in REACH..height.saturating_sub(REACH) {
            out.extend((REACH..width.saturating_sub(REACH)).map(|col| self.class(&plane.rows(col, row))));
        }
        out
    }

    /// Of several classes that it may be, the one that is farthest beyond its beginning.
    fn class(&self, rows: &[&[f32]]) -> u8 {
        let beyond = |class: &Class| class.logistic.logit(rows) - class.threshold;
        let likeliest = self.classes.iter().map(|class| (beyond(class), class.number));
        let best = likeliest.filter(|(beyond, _)| *beyond >= 0.0).max_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(self.null_class, |(_, number)| number)
    }
}

/// The log-odds from which on F1 is best, of those that occur.
fn best_threshold(mut pixels: Vec<(f32, bool)>) -> f32 {
    pixels.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let n_hits = pixels.iter().filter(|(_, hit)| *hit).count() as f64;
    let (mut found, mut best) = (0.0, (0.0, 0.0));
    for (number, (logit, hit)) in pixels.iter().enumerate() {
        found += f64::from(u8::from(*hit));
        // Pixels of the same odds are taken or left together.
        if pixels.get(number + 1).is_some_and(|(next, _)| next == logit) {
            continue;
        }
        let f1 = 2.0 * found / (n_hits + number as f64 + 1.0);
        if f1 > best.0 {
            best = (f1, *logit);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_takes_in_what_pays() {
        let pixels = |hits: &[bool]| (0..).map(|at| -(at as f32)).zip(hits.iter().copied()).collect();
        assert_eq!(best_threshold(pixels(&[true, true, false, false])), -1.0);
        assert_eq!(best_threshold(pixels(&[true, false, true, true, false])), -3.0);
        // Equal odds can't be parted: one hit of two beats none.
        assert_eq!(best_threshold(vec![(0.5, false), (0.5, true), (0.1, false)]), 0.5);
    }

    /// Two blocks on a ground: one bright, the other with stripes whose mean is the ground's own.
    #[test]
    fn what_has_a_colour_of_its_own_is_found_and_what_has_only_a_shape_is_not() {
        let (width, height) = (90, 60);
        let at = |col: usize, row: usize, bright: bool| match (col / 30, row / 20) {
            (0, 1) if bright => 200.0,
            (2, 1) if !bright => 105.0 + if row.is_multiple_of(2) { 30.0 } else { -30.0 },
            _ => 100.0 + ((col * 7 + row * 13) % 11) as f32,
        };
        let f1 = |bright: bool| {
            let pixels = (0..height).flat_map(|row| (0..width).map(move |col| (col, row)));
            let values: Vec<f32> = pixels.clone().map(|(col, row)| at(col, row, bright)).collect();
            let column = if bright { 0 } else { 2 };
            let inside = |(col, row): (usize, usize)| u8::from(col / 30 == column && row / 20 == 1);
            let labels: Vec<u8> = pixels.map(inside).collect();
            let plane = Plane::new(&values, width, height, 1).unwrap();
            let mut sample = Sample::new(1, 255, labels.len() as u64, 2000);
            sample.add(plane, &labels).unwrap();
            let guess = Colours::fit(&sample, 0).unwrap().classify(plane);
            let inner = (1..height - 1).flat_map(|row| labels[row * width..][1..width - 1].iter().copied());
            let count = |wanted: fn(u8, u8) -> bool| {
                guess.iter().zip(inner.clone()).filter(|(guess, truth)| wanted(**guess, *truth)).count()
                    as f64
            };
            let hits = count(|guess, truth| guess == 1 && truth == 1);
            2.0 * hits / (count(|guess, _| guess == 1) + count(|_, truth| truth == 1))
        };
        let (bright, striped) = (f1(true), f1(false));
        assert!(bright > 0.9, "{bright}");
        assert!(striped < 0.6, "{striped}");
    }

    #[test]
    fn three_classes_are_told_apart() {
        let values: Vec<f32> = (0..3000).map(|at| (at / 1000) as f32 * 100.0).collect();
        let labels: Vec<u8> = (0..3000).map(|at| [2, 0, 1][at / 1000]).collect();
        let plane = Plane::new(&values, 10, 300, 1).unwrap();
        let mut sample = Sample::new(1, 255, 3000, 3000);
        sample.add(plane, &labels).unwrap();
        let guess = Colours::fit(&sample, 0).unwrap().classify(plane);
        // A line in the middle of each.
        assert_eq!([50, 150, 250].map(|row| guess[row * 8 + 4]), [2, 0, 1]);
    }
}
