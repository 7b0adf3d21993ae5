//! From one window's logits to the pixels of its core in the item's planes. The hot path of
//! cropping: what is here runs once for every pixel of every scene.

use multiversion::multiversion;
use swath_proto::geometry::RectPx;

use crate::{
    grid::Window,
    planes::Planes,
    softmax::{exp, is_defined, round_bits, softmax},
};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogits {
    /// The model's doing. In scene pixels.
    #[error("the model's output is not a number (or infinite) at column {col}, row {row}")]
    Undefined { col: u32, row: u32 },
    /// The model's doing or the caller's.
    #[error("{what} has {got} values where {wanted} belong")]
    Length { what: &'static str, got: usize, wanted: usize },
    #[error("there must be 1 to 255 classes, not {0}")]
    Classes(usize),
    #[error("a core of {core} reaches out of its input or of the item of {item}")]
    Outside { core: RectPx, item: RectPx },
}

/// Writes what is kept of the core into the planes of the item.
///
/// `logits` are the values of a square of `edge_px`, row by row, the classes of a pixel side by
/// side. The class is the greatest logit, of equal ones the lowest. Scores are the softmax as
/// 0 to 255, interleaved as the logits are; the confidence is that of the class.
pub fn classify(
    logits: &[f32],
    edge_px: u32,
    n_classes: usize,
    window: &Window,
    item: RectPx,
    planes: &mut Planes,
) -> Result<(), BadLogits> {
    if !(1..=255).contains(&n_classes) {
        return Err(BadLogits::Classes(n_classes));
    }
    let edge = edge_px as usize;
    let item_pixels = item.width as usize * item.height as usize;
    check_len("the model's output", logits.len(), edge * edge * n_classes)?;
    check_len("the class plane", planes.classes.len(), item_pixels)?;
    if let Some(scores) = &planes.scores {
        check_len("the score plane", scores.len(), item_pixels * n_classes)?;
    }
    if let Some(confidence) = &planes.confidence {
        check_len("the confidence plane", confidence.len(), item_pixels)?;
    }
    let place = CorePlace::find(edge_px, window, item)?;

    let (width, stride) = (window.core.width as usize, item.width as usize);
    let mut scratch = Vec::new();
    for row in 0..window.core.height as usize {
        let from = (place.input_row + row) * edge + place.input_col;
        let logits = &logits[from * n_classes..(from + width) * n_classes];
        let to = (place.item_row + row) * stride + place.item_col;
        let scores = planes.scores.as_deref_mut();
        let out = Line {
            classes: &mut planes.classes[to..to + width],
            scores: scores.map(|scores| &mut scores[to * n_classes..(to + width) * n_classes]),
            confidence: planes.confidence.as_deref_mut().map(|confidence| &mut confidence[to..to + width]),
        };
        let defined = match n_classes {
            2 => two_classes(logits, out),
            _ => many_classes(logits, n_classes, out, &mut scratch),
        };
        if !defined {
            let along = logits.chunks_exact(n_classes).position(|pixel| !is_defined(pixel)).unwrap_or(0);
            return Err(BadLogits::Undefined {
                col: window.core.col + along as u32,
                row: window.core.row + row as u32,
            });
        }
    }
    Ok(())
}

/// A row of a core in the planes.
struct Line<'a> {
    classes: &'a mut [u8],
    scores: Option<&'a mut [u8]>,
    confidence: Option<&'a mut [u8]>,
}

/// Upper left corner of the core, in the pixels of the input and in those of the item.
struct CorePlace {
    input_col: usize,
    input_row: usize,
    item_col: usize,
    item_row: usize,
}

impl CorePlace {
    fn find(edge_px: u32, window: &Window, item: RectPx) -> Result<Self, BadLogits> {
        let core = window.core;
        let along = |core_at: u32, core_len: u32, input_at: i64, item_at: u32, item_len: u32| {
            let in_input = usize::try_from(i64::from(core_at).checked_sub(input_at)?).ok()?;
            let in_item = core_at.checked_sub(item_at)? as usize;
            let fits = in_input.checked_add(core_len as usize)? <= edge_px as usize
                && in_item + core_len as usize <= item_len as usize;
            fits.then_some((in_input, in_item))
        };
        let cols = along(core.col, core.width, window.input_col, item.col, item.width);
        let rows = along(core.row, core.height, window.input_row, item.row, item.height);
        match (cols, rows) {
            (Some((input_col, item_col)), Some((input_row, item_row))) => {
                Ok(Self { input_col, input_row, item_col, item_row })
            }
            _ => Err(BadLogits::Outside { core, item }),
        }
    }
}

fn check_len(what: &'static str, got: usize, wanted: usize) -> Result<(), BadLogits> {
    if got == wanted { Ok(()) } else { Err(BadLogits::Length { what, got, wanted }) }
}

/// Of two classes the greater is a comparison, and the softmax a sigmoid of the difference: both
/// loops vectorise. Returns whether all logits are [`is_defined`].
#[multiversion(targets("x86_64+avx2"))]
fn two_classes(logits: &[f32], line: Line<'_>) -> bool {
    let Line { classes, scores, confidence } = line;
    let (pixels, _) = logits.as_chunks::<2>();
    let of_second = |first: f32, second: f32| round_bits(1.0 / (1.0 + exp(first - second)) * 255.0) as u8;
    let mut defined = true;
    for (class, &[first, second]) in classes.iter_mut().zip(pixels) {
        *class = u8::from(second > first);
        let difference = second - first;
        defined &= (first < f32::INFINITY) & (second < f32::INFINITY) & !difference.is_nan();
    }
    if let Some(scores) = scores {
        let (scores, _) = scores.as_chunks_mut::<2>();
        for (score, &[first, second]) in scores.iter_mut().zip(pixels) {
            let quantised = of_second(first, second);
            *score = [255 - quantised, quantised];
        }
    }
    if let Some(confidence) = confidence {
        for ((sure, class), &[first, second]) in confidence.iter_mut().zip(&*classes).zip(pixels) {
            let quantised = of_second(first, second);
            *sure = if *class == 1 { quantised } else { 255 - quantised };
        }
    }
    defined
}

fn many_classes(logits: &[f32], n_classes: usize, line: Line<'_>, scratch: &mut Vec<f32>) -> bool {
    let Line { classes, scores, confidence } = line;
    let mut defined = true;
    for (class, pixel) in classes.iter_mut().zip(logits.chunks_exact(n_classes)) {
        let (mut best, mut max) = (0, pixel[0]);
        let mut below_infinity = max < f32::INFINITY;
        for (c, &logit) in pixel.iter().enumerate().skip(1) {
            below_infinity &= logit < f32::INFINITY;
            if logit > max {
                (best, max) = (c, logit);
            }
        }
        defined &= below_infinity & (max > f32::NEG_INFINITY);
        *class = best as u8;
    }
    if !defined || (scores.is_none() && confidence.is_none()) {
        return defined;
    }
    scratch.clear();
    scratch.extend_from_slice(logits);
    softmax(scratch, n_classes, 255.0);
    for (score, &scaled) in scores.into_iter().flatten().zip(scratch.iter()) {
        *score = round_bits(scaled) as u8;
    }
    let pixels = confidence.into_iter().flatten().zip(&*classes).zip(scratch.chunks_exact(n_classes));
    for ((sure, class), scaled) in pixels {
        *sure = round_bits(scaled[usize::from(*class)]) as u8;
    }
    defined
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use swath_proto::item::WindowShape;

    use super::*;
    use crate::{grid::windows, planes::Kept};

    const ALL: Kept = Kept { scores: true, confidence: true };

    const SHAPE: WindowShape = WindowShape { core_px: 8, margin_px: 3 };
    const ITEM: RectPx = RectPx::new(16, 8, 13, 11);

    fn naive(pixel: &[f32]) -> (u8, Vec<f64>) {
        let mut best = 0;
        for c in 1..pixel.len() {
            if pixel[c] > pixel[best] {
                best = c;
            }
        }
        let sum: f64 = pixel.iter().map(|&l| f64::from(l).exp()).sum();
        (best as u8, pixel.iter().map(|&l| f64::from(l).exp() / sum * 255.0).collect())
    }

    #[test]
    fn every_pixel_of_an_item_is_decided_as_a_naive_loop_does() {
        let mut rng = StdRng::seed_from_u64(1);
        let edge = SHAPE.edge_px() as usize;
        for n in [1, 2, 3, 5, 17] {
            let mut planes = Planes::new(ITEM, n, ALL);
            let mut wanted = Vec::new();
            for window in windows(ITEM, SHAPE).unwrap() {
                let logits: Vec<f32> =
                    (0..edge * edge * n).map(|_| (rng.random_range(-40..40) as f32) * 0.25).collect();
                classify(&logits, SHAPE.edge_px(), n, &window, ITEM, &mut planes).unwrap();
                for row in window.core.row..window.core.bottom() {
                    for col in window.core.col..window.core.right() {
                        let at = (i64::from(row) - window.input_row) as usize * edge
                            + (i64::from(col) - window.input_col) as usize;
                        let pixel = ((row - ITEM.row) * 13 + col - ITEM.col) as usize;
                        wanted.push((pixel, naive(&logits[at * n..][..n])));
                    }
                }
            }
            assert_eq!(wanted.len(), 13 * 11);
            let (classes, scores) = (planes.classes, planes.scores.unwrap());
            for (pixel, (class, probabilities)) in wanted {
                assert_eq!(classes[pixel], class);
                assert_eq!(
                    planes.confidence.as_ref().unwrap()[pixel],
                    scores[pixel * n + usize::from(class)]
                );
                for (c, p) in probabilities.into_iter().enumerate() {
                    let off = (f64::from(scores[pixel * n + c]) - p).abs();
                    assert!(off < 0.5001, "{n} classes: {} for {p}", scores[pixel * n + c]);
                }
            }
        }
    }

    /// Against each pixel by itself, which no compiler widens.
    #[test]
    fn a_pixel_is_decided_in_a_row_of_any_length_as_it_is_alone() {
        let mut rng = StdRng::seed_from_u64(2);
        let alone = |pixel: &[f32]| {
            let class = (0..pixel.len()).rev().max_by(|a, b| pixel[*a].total_cmp(&pixel[*b])).unwrap();
            let of_second =
                |first: f32, second: f32| round_bits(1.0 / (1.0 + exp(first - second)) * 255.0) as u8;
            let scores = match *pixel {
                [first, second] => vec![255 - of_second(first, second), of_second(first, second)],
                _ => {
                    let max = pixel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let powers: Vec<f32> = pixel.iter().map(|logit| exp(logit - max)).collect();
                    let factor = 255.0 / powers.iter().sum::<f32>();
                    powers.iter().map(|power| round_bits(power * factor) as u8).collect()
                }
            };
            (class as u8, scores[class], scores)
        };
        for (n, edge) in
            (1..=70).chain([255, 256, 257]).flat_map(|edge| [(1, edge), (2, edge), (3, edge), (5, edge)])
        {
            let core = RectPx::new(0, 0, edge, 1);
            let window = Window { core, input_col: 0, input_row: 0 };
            let logits: Vec<f32> =
                (0..edge as usize * edge as usize * n).map(|_| rng.random_range(-9.0..9.0)).collect();
            let mut planes = Planes::new(core, n, ALL);
            classify(&logits, edge, n, &window, core, &mut planes).unwrap();
            let (scores, confidence) = (planes.scores.unwrap(), planes.confidence.unwrap());
            for (at, pixel) in logits.chunks_exact(n).take(edge as usize).enumerate() {
                let found = (planes.classes[at], confidence[at], scores[at * n..][..n].to_vec());
                assert_eq!(found, alone(pixel), "{n} classes, pixel {at} of {edge}");
            }
        }
    }

    fn one_window() -> Window {
        Window { core: RectPx::new(4, 6, 2, 2), input_col: 3, input_row: 5 }
    }

    #[test]
    fn equal_logits_go_to_the_lowest_class() {
        let item = one_window().core;
        for n in [2, 3] {
            let mut planes = Planes::new(item, n, ALL);
            planes.classes.fill(9);
            let logits = vec![1.5; 16 * n];
            classify(&logits, 4, n, &one_window(), item, &mut planes).unwrap();
            assert_eq!(planes.classes, [0; 4]);
            assert_eq!(planes.scores.unwrap()[n - 1], if n == 2 { 128 } else { 85 });
            assert_eq!(planes.confidence.unwrap()[0], if n == 2 { 127 } else { 85 });
        }
    }

    #[test]
    fn a_logit_that_is_not_a_number_is_an_error_with_its_place() {
        let item = one_window().core;
        let classify = |logits: &[f32], n| {
            let mut planes = Planes::new(item, n, Kept::default());
            classify(logits, 4, n, &one_window(), item, &mut planes)
        };
        for n in [2, 4] {
            for bad in [f32::NAN, f32::INFINITY] {
                for c in [0, n - 1] {
                    let mut logits = vec![0.0; 16 * n];
                    logits[(2 * 4 + 1) * n + c] = bad;
                    let result = classify(&logits, n);
                    assert_eq!(result, Err(BadLogits::Undefined { col: 4, row: 7 }));
                }
                let mut nothing = vec![0.0; 16 * n];
                nothing[(2 * 4 + 1) * n..][..n].fill(f32::NEG_INFINITY);
                let result = classify(&nothing, n);
                assert_eq!(result, Err(BadLogits::Undefined { col: 4, row: 7 }));
                let mut margin = vec![0.0; 16 * n];
                margin[0] = bad;
                assert_eq!(classify(&margin, n), Ok(()));
            }
        }
    }

    #[test]
    fn a_class_may_be_ruled_out_with_minus_infinity() {
        let item = one_window().core;
        let mut planes = Planes::new(item, 2, ALL);
        let logits = [f32::NEG_INFINITY, -3.0].repeat(16);
        classify(&logits, 4, 2, &one_window(), item, &mut planes).unwrap();
        assert_eq!(planes.scores.unwrap(), [0, 255].repeat(4));
        assert_eq!(planes.confidence.unwrap(), [255; 4]);
    }

    #[test]
    fn planes_and_windows_of_the_wrong_size_are_refused() {
        let (window, item) = (one_window(), one_window().core);
        let classify = |logits: usize, edge, n, item, classes: usize| {
            let planes = Planes::new(item, 2, Kept::default());
            let mut planes = Planes { classes: vec![0; classes], ..planes };
            classify(&vec![0.0; logits], edge, n, &window, item, &mut planes)
        };
        assert_eq!(classify(32, 4, 2, item, 4), Ok(()));
        assert!(classify(31, 4, 2, item, 4).is_err());
        assert!(classify(32, 4, 2, item, 5).is_err());
        assert!(classify(0, 4, 0, item, 4).is_err());
        assert!(classify(8, 2, 2, item, 4).is_err());
        assert!(classify(32, 4, 2, RectPx::new(5, 6, 2, 2), 4).is_err());
    }
}
