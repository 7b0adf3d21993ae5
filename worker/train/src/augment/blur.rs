//! A Gaussian blur, row by row and then column by column; beyond the edges lie mirror images.

use super::{Extent, mirrored};

/// What is narrower changes nothing that 8 bits would show.
const NARROWEST_PX: f64 = 0.15;

pub(super) fn blur(px: f64, Extent { width, height, bands }: Extent, pixels: &mut [f32]) {
    if px < NARROWEST_PX {
        return;
    }
    let kernel = kernel(px);
    let reach = (kernel.len() / 2) as isize;
    let row_len = width * bands;
    // A row with its mirror images, so that one that is shifted is a slice of it.
    let mut wide = vec![0.0; row_len + 2 * reach as usize * bands];
    let mut across = vec![0.0; pixels.len()];
    for (from, into) in pixels.chunks_exact(row_len).zip(across.chunks_exact_mut(row_len)) {
        for (col, pixel) in (-reach..).zip(wide.chunks_exact_mut(bands)) {
            pixel.copy_from_slice(&from[mirrored(col, width) * bands..][..bands]);
        }
        for (weight, shift) in kernel.iter().zip((0..).step_by(bands)) {
            add(into, *weight, &wide[shift..][..row_len]);
        }
    }
    for (row, into) in (0..).zip(pixels.chunks_exact_mut(row_len)) {
        into.fill(0.0);
        for (weight, shift) in kernel.iter().zip(-reach..) {
            add(into, *weight, &across[mirrored(row + shift, height) * row_len..][..row_len]);
        }
    }
}

fn add(into: &mut [f32], weight: f32, from: &[f32]) {
    into.iter_mut().zip(from).for_each(|(sum, sample)| *sum += weight * sample);
}

/// As far as three standard deviations; its sum is 1.
fn kernel(px: f64) -> Vec<f32> {
    let reach = (3.0 * px).ceil() as i32;
    let weights: Vec<f64> =
        (-reach..=reach).map(|at| exponential(f64::from(at * at) / (-2.0 * px * px))).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum) as f32).collect()
}

/// e to a power of 0 or less, to six digits, by multiplications alone.
fn exponential(power: f64) -> f64 {
    const DOUBLINGS: u32 = 30;
    let first = (1.0 + power / f64::from(1 << DOUBLINGS)).max(0.0);
    (0..DOUBLINGS).fold(first, |value, _| value * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_a_gaussian() {
        for power in [0.0, -0.01, -0.5, -4.5, -20.0] {
            let (ours, wanted) = (exponential(power), f64::exp(power));
            assert!((ours - wanted).abs() <= 1e-6 * wanted, "{power}: {ours}");
        }
        let kernel = kernel(1.0);
        assert_eq!(kernel.len(), 7);
        assert!((kernel.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((kernel[3] / kernel[2] - 0.5_f32.exp()).abs() < 1e-4, "{kernel:?}");
    }

    /// A point becomes the kernel both ways, and near an edge its mirror image comes back.
    #[test]
    fn a_point_spreads_and_nothing_is_lost() {
        let extent = Extent { width: 9, height: 7, bands: 2 };
        for (col, row) in [(4, 3), (0, 0), (8, 6)] {
            let mut pixels = vec![0.0; 9 * 7 * 2];
            pixels[(row * 9 + col) * 2 + 1] = 1.0;
            blur(0.6, extent, &mut pixels);
            let bands = |band: usize| pixels.iter().skip(band).step_by(2).sum::<f32>();
            assert_eq!(bands(0), 0.0);
            assert!((bands(1) - 1.0).abs() < 1e-5, "{}", bands(1));
        }
        let mut pixels = vec![0.0; 9 * 7 * 2];
        pixels[(3 * 9 + 4) * 2] = 1.0;
        blur(0.6, extent, &mut pixels);
        let (kernel, at) = (kernel(0.6), |row: usize, col: usize| pixels[(row * 9 + col) * 2]);
        assert!((at(3, 5) - kernel[2] * kernel[3]).abs() < 1e-6);
        assert!((at(1, 6) - kernel[0] * kernel[4]).abs() < 1e-6);
    }
}
