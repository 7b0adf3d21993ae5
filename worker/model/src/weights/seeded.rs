//! Weights from a seed: the same on every machine, since nothing but integers and sums of floats in
//! a fixed order decide them. They show that everything works, not where anything is.

use sha2::{Digest as _, Sha256};

use super::Weights;
use crate::error::Result;

/// Kernels of these sum to zero. A network of random weights adds a constant to every class, most
/// often more than what the image adds, and would say one class everywhere.
const CONTRAST: [&str; 2] = ["hidden.weight", "head.weight"];

pub(crate) struct Seeded {
    pub(crate) seed: u64,
}

impl Weights for Seeded {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Vec<f32>> {
        let n = shape.iter().product::<i64>() as usize;
        Ok(match name.rsplit('.').next() {
            Some("running_var") => vec![1.0; n],
            Some("running_mean" | "bias") => vec![0.0; n],
            // A batch norm's scale is one number a channel; a convolution has four dimensions.
            Some("weight") if shape.len() == 1 => vec![1.0; n],
            _ => self.kernels(name, shape, n),
        })
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seeded {
    /// Normal, scaled so that a layer's output varies as much as its input (Kaiming He's rule).
    fn kernels(&self, name: &str, shape: &[i64], n: usize) -> Vec<f32> {
        let fan_in = shape[1..].iter().product::<i64>().max(1) as f32;
        let scale = (2.0 / fan_in).sqrt();
        let mut stream = Stream::new(self.seed, name);
        let mut values: Vec<f32> = (0..n).map(|_| stream.normal() * scale).collect();
        let kernel = shape[2..].iter().product::<i64>() as usize;
        if kernel > 1 && CONTRAST.contains(&name) {
            for kernel in values.chunks_exact_mut(kernel) {
                let mean = kernel.iter().sum::<f32>() / kernel.len() as f32;
                kernel.iter_mut().for_each(|value| *value -= mean);
            }
        }
        values
    }
}

/// Numbers that depend on a seed, a name and their index alone.
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let hash = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// SplitMix64: a counter, well stirred.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, in steps that a float holds exactly.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Nearly normal, with variance 1: a sum of twelve, since it needs no transcendental function.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_numbers_for_ever() {
        let bits = |seed, name| Stream::new(seed, name).normal().to_bits();
        assert_eq!(bits(7, "head.weight"), 0x3f8ee7e0);
        assert_ne!(bits(7, "head.weight"), bits(8, "head.weight"));
        assert_ne!(bits(7, "head.weight"), bits(7, "hidden.weight"));
    }

    #[test]
    fn kernels_vary_as_their_layer_needs() {
        let values = Seeded { seed: 1 }.kernels("encoder.conv1.weight", &[64, 3, 7, 7], 64 * 3 * 49);
        let n = values.len() as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
        let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() < 0.005, "{mean}");
        assert!((variance * 147.0 / 2.0 - 1.0).abs() < 0.05, "{variance}");
    }
}
