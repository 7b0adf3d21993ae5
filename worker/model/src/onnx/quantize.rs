//! Convolutions in 8 bits: values as bytes without sign, one scale a value; weights as bytes with sign, one scale a
//! channel. Written as pairs of quantize and dequantize, which engines melt into what stands between them.

use super::{Element, Graph, Node, Quantized};
use crate::error::{ModelError, Result};

/// Weights use 7 bits: processors without VNNI add pairs of products in 16 bits, which those of 8 would overflow, and
/// the result would depend on the processor.
const LARGEST_WEIGHT: f32 = 63.0;

impl Graph {
    /// What whoever takes a value takes: the value itself, or where ranges are known, what is left of it in 8 bits.
    pub(super) fn taken(&mut self, value: &Node) -> Result<String> {
        let Some(ranges) = &self.ranges else { return Ok(value.name.clone()) };
        if let Some(Quantized { name, .. }) = self.quantized.get(&value.name) {
            return Ok(name.clone());
        }
        let Some((low, high)) = ranges.of(value.range) else {
            let text =
                format!("there is no range for value {} of this network: they are another's", value.range);
            return Err(ModelError::config(text));
        };
        // Zero has to be one of the steps: it is what images are padded with.
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE * 1e6);
        let zero = (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8;
        let [steps, offset] = [self.floats(&[], &[scale]), self.constant(&[], Element::U8, vec![zero])];
        let small = self.node("QuantizeLinear", &[&value.name, &steps, &offset], &[]);
        let name = self.node("DequantizeLinear", &[&small, &steps, &offset], &[]);
        self.quantized.insert(value.name.clone(), Quantized { name: name.clone(), scale });
        Ok(name)
    }

    /// Names of the weights and the bias of a convolution whose input has steps of `scale`.
    pub(super) fn small(&mut self, size: &[i64], weights: &[f32], bias: &[f32], scale: f32) -> [String; 2] {
        let channels = [bias.len() as i64];
        let kernels = weights.chunks(weights.len() / bias.len().max(1));
        let steps: Vec<f32> = kernels.clone().map(|kernel| largest(kernel) / LARGEST_WEIGHT).collect();
        let mut small = Vec::with_capacity(weights.len());
        for (kernel, &step) in kernels.zip(&steps) {
            small.extend(kernel.iter().map(|&weight| rounded(weight / step)));
        }
        let weights = self.constant(size, Element::I8, small);
        let weights = self.dequantized(&weights, &channels, &steps);

        let steps: Vec<f32> = steps.iter().map(|step| step * scale).collect();
        let pairs = bias.iter().zip(&steps);
        let small = pairs
            .flat_map(|(&bias, &step)| ((f64::from(bias) / f64::from(step)).round() as i32).to_le_bytes());
        let bias = self.constant(&channels, Element::I32, small.collect());
        [weights, self.dequantized(&bias, &channels, &steps)]
    }

    /// Without zero points: these bytes are the same to both sides of zero.
    fn dequantized(&mut self, name: &str, channels: &[i64], steps: &[f32]) -> String {
        let steps = self.floats(channels, steps);
        self.node("DequantizeLinear", &[name, &steps], &[("axis", super::Value::Int(0))])
    }
}

/// The largest magnitude. Of floats without sign, bits are in the order of their values; and of whole numbers, processors
/// compare several at once. A NaN is larger than all, and the network says so.
fn largest(kernel: &[f32]) -> f32 {
    let bits = kernel.iter().map(|weight| weight.abs().to_bits());
    f32::from_bits(bits.fold(1e-12_f32.to_bits(), u32::max))
}

/// The nearest whole number, of two the even one, as a byte with sign. Beside so large a number as this there is no room
/// for fractions, and the last byte of the sum is the one wanted: a dozen million weights take no call each.
fn rounded(steps: f32) -> u8 {
    const WHOLE: f32 = 12_582_912.0;
    (steps.clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT) + WHOLE).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::{LARGEST_WEIGHT, largest, rounded};

    #[test]
    fn weights_are_rounded_to_the_nearest_step_and_halves_to_the_even_one() {
        for sixteenth in -1100..=1100_i16 {
            let steps = f32::from(sixteenth) / 16.0;
            for near in [steps.next_down(), steps, steps.next_up()] {
                let wanted = near.round_ties_even().clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT) as i8;
                assert_eq!(rounded(near) as i8, wanted, "{near}");
            }
        }
        assert_eq!([0.0, -0.0, f32::MIN_POSITIVE].map(rounded), [0; 3]);
    }

    #[test]
    fn the_largest_of_a_kernel_has_any_sign() {
        assert_eq!(largest(&[0.5, -3.0, 2.0]), 3.0);
        assert_eq!(largest(&[0.0, -1e-30]), 1e-12);
    }
}
