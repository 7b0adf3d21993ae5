//! Softmax over interleaved classes, bit for bit the same on every machine: the exponential is a
//! polynomial of our own, in an order of operations that no compiler may change, and vectorises
//! where a call into the C library would not.

use multiversion::multiversion;

/// `e^x` with a relative error below 2e-7, for x from -87 to 88; clamped beyond.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding it moves the fraction out of the mantissa: rounding without a conversion.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with so few bits that its products are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = x - whole * LN2_HIGH - whole * LN2_LOW;
    // Cephes' coefficients for |r| <= ln 2 / 2.
    let mut y = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        y = y * r + c;
    }
    let y = y * (r * r) + r + 1.0;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    y * f32::from_bits(power)
}

/// Rounds to the nearest whole number, as the low bits of the result; for 0 <= x < 2^22.
#[inline(always)]
pub(crate) fn round_bits(x: f32) -> u32 {
    (x + 8_388_608.0).to_bits()
}

/// Whether the softmax of some logits is defined: none is NaN or +inf, and not all are -inf.
#[inline(always)]
pub(crate) fn is_defined(logits: &[f32]) -> bool {
    logits.iter().all(|&l| l < f32::INFINITY) && logits.iter().any(|&l| l > f32::NEG_INFINITY)
}

/// Replaces a row of logits, `n_classes` a pixel, by probabilities times `scale`.
#[multiversion(targets("x86_64+avx2"))]
pub fn softmax(row: &mut [f32], n_classes: usize, scale: f32) {
    for pixel in row.chunks_exact_mut(n_classes) {
        let max = pixel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        pixel.iter_mut().for_each(|l| *l -= max);
    }
    row.iter_mut().for_each(|l| *l = exp(*l));
    for pixel in row.chunks_exact_mut(n_classes) {
        let factor = scale / pixel.iter().sum::<f32>();
        pixel.iter_mut().for_each(|e| *e *= factor);
    }
}

/// The softmax of a row of logits as whole numbers, `one` for a probability of one. Of two classes both add up to it.
/// `Err` is the first pixel for which there is none.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn probabilities(
    row: &[f32],
    n_classes: usize,
    one: u16,
    scratch: &mut Vec<f32>,
    out: &mut Vec<u32>,
) -> Result<(), usize> {
    if let Some(bad) = row.chunks_exact(n_classes).position(|pixel| !is_defined(pixel)) {
        return Err(bad);
    }
    let whole = |p: f32| round_bits(p * f32::from(one)) & u32::from(u16::MAX);
    out.resize(row.len(), 0);
    if n_classes == 2 {
        let (pixels, _) = row.as_chunks::<2>();
        let (out, _) = out.as_chunks_mut::<2>();
        for (out, &[first, second]) in out.iter_mut().zip(pixels) {
            let of_second = whole(1.0 / (1.0 + exp(first - second)));
            *out = [u32::from(one) - of_second, of_second];
        }
        return Ok(());
    }
    scratch.clear();
    scratch.extend_from_slice(row);
    softmax(scratch, n_classes, 1.0);
    out.iter_mut().zip(&*scratch).for_each(|(out, p)| *out = whole(*p));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_accurate_to_two_parts_in_ten_million() {
        let mut worst = 0.0_f64;
        for step in -870_000..=880_000 {
            let x = step as f32 * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / exact - 1.0).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
        assert!(exp(1e9).is_finite());
    }

    #[test]
    fn rounding_goes_to_the_nearest() {
        for (x, whole) in [(0.0, 0), (0.49, 0), (0.51, 1), (127.5, 128), (254.49, 254), (65_535.0, 65_535)] {
            assert_eq!(round_bits(x) & 0xffff, whole, "{x}");
        }
    }

    #[test]
    fn the_softmax_agrees_with_double_precision() {
        let logits = [3.0, -1.0, 0.5, -80.0, 80.0, f32::NEG_INFINITY];
        let mut row = logits;
        softmax(&mut row, 3, 1.0);
        for (pixel, got) in logits.chunks(3).zip(row.chunks(3)) {
            let sum: f64 = pixel.iter().map(|&l| f64::from(l).exp()).sum();
            for (&l, &p) in pixel.iter().zip(got) {
                assert!((f64::from(p) - f64::from(l).exp() / sum).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn probabilities_are_whole_numbers_that_add_up() {
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        let mut of =
            |row: &[f32], n| probabilities(row, n, u16::MAX, &mut scratch, &mut out).map(|()| out.clone());
        assert_eq!(of(&[0.0, 0.0, 9.0, -90.0], 2).unwrap(), [32_767, 32_768, 65_535, 0]);
        assert_eq!(
            of(&[0.0, 0.0, 0.0, -90.0, 9.0, -90.0], 3).unwrap(),
            [21_845, 21_845, 21_845, 0, 65_535, 0]
        );
        assert_eq!(of(&[5.0], 1).unwrap(), [65_535]);
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert_eq!(of(&[0.0, 1.0, nan, 0.0], 2), Err(1));
        assert_eq!(of(&[0.0, 1.0, 0.0, 0.0, inf, 0.0], 3), Err(1));
        assert_eq!(of(&[-inf, 3.0], 2).unwrap(), [0, 65_535]);
    }

    #[test]
    fn a_softmax_without_meaning_is_seen() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert!(is_defined(&[0.0, -inf]));
        for bad in [[0.0, nan], [inf, 0.0], [-inf, -inf], [nan, nan]] {
            assert!(!is_defined(&bad), "{bad:?}");
        }
    }
}
