//! What is learnt from: images, with the class of each of their pixels.

use std::borrow::Cow;

use swath_proto::train::Normalize;
use tch::{Device, Kind, Tensor};

use crate::error::{ModelError, Result};

/// Images of one size: pixels row by row, bands side by side; and the class of each pixel, 255 where
/// it trains nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub width: u32,
    pub height: u32,
    pub pixels: Pixels,
    pub labels: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// As networks take them.
    Floats(Vec<f32>),
    /// Networks take their 255ths, normed where that is wanted, and those are computed where the network is: bytes are
    /// a quarter of the memory, and of the way to a card.
    Bytes { samples: Vec<u8>, norm: Option<Normalize> },
}

impl Batch {
    /// In pieces of so many images, in their order.
    pub fn cut(mut self, images: &[usize]) -> Vec<Self> {
        let pixels = (self.width * self.height) as usize;
        let bands = self.pixels.n_samples() / self.labels.len().max(1);
        let mut pieces = Vec::new();
        for n in images.iter().skip(1).rev() {
            let before = self.labels.len().saturating_sub(n * pixels);
            let (pixels, labels) = (self.pixels.split_off(before * bands), self.labels.split_off(before));
            pieces.push(Self { pixels, labels, ..self });
        }
        pieces.push(self);
        pieces.reverse();
        pieces
    }

    pub fn n_images(&self) -> usize {
        self.labels.len() / (self.width as usize * self.height as usize).max(1)
    }
}

impl Pixels {
    pub const PER_BYTE: f32 = 1.0 / 255.0;

    pub const fn n_samples(&self) -> usize {
        match self {
            Self::Floats(samples) => samples.len(),
            Self::Bytes { samples, .. } => samples.len(),
        }
    }

    /// As networks take them.
    pub fn floats(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Floats(samples) => samples.into(),
            Self::Bytes { samples, norm } => {
                let units = samples.iter().map(|sample| f32::from(*sample) * Self::PER_BYTE);
                match norm {
                    None => units.collect(),
                    Some(Normalize { mean, std }) => {
                        let norms = mean.iter().zip(std).cycle();
                        units.zip(norms).map(|(sample, (mean, std))| (sample - mean) / std).collect()
                    }
                }
            }
        }
    }

    /// Takes what stands from there on.
    fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Floats(samples) => Self::Floats(samples.split_off(at)),
            Self::Bytes { samples, norm } => {
                Self::Bytes { samples: samples.split_off(at), norm: norm.clone() }
            }
        }
    }

    /// Of images, rows, columns and bands: by images, bands, rows and columns, bands innermost in memory.
    pub(super) fn tensor(&self, [n, height, width, bands]: [i64; 4], device: Device) -> Result<Tensor> {
        let mut floats = match self {
            Self::Floats(samples) => Tensor::f_from_slice(samples)?.f_to_device(device)?,
            Self::Bytes { samples, .. } => {
                let bytes = Tensor::f_from_slice(samples)?.f_to_device(device)?;
                bytes.f_to_kind(Kind::Float)?.f_mul_scalar_(f64::from(Self::PER_BYTE))?
            }
        };
        if let Self::Bytes { norm: Some(Normalize { mean, std }), .. } = self {
            // By rows, so that many numbers are computed at once whatever the number of bands.
            let of_row = |numbers: &[f32]| -> Result<Tensor> {
                if numbers.len() as i64 != bands {
                    let text = format!("{} numbers norm no images of {bands} bands", numbers.len());
                    return Err(ModelError::internal(text));
                }
                Ok(Tensor::f_from_slice(&numbers.repeat(width as usize))?.f_to_device(device)?)
            };
            let mut rows = floats.f_view([n * height, width * bands])?;
            floats = rows.f_sub_(&of_row(mean)?)?.f_div_(&of_row(std)?)?;
        }
        Ok(floats.f_view([n, height, width, bands])?.f_permute([0, 3, 1, 2])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [i64; 4] = [2, 3, 4, 3];

    fn bytes(norm: Option<Normalize>) -> Pixels {
        let n = SIZE.iter().product::<i64>() as usize;
        Pixels::Bytes { samples: (0..n).map(|at| (at * 37 % 256) as u8).collect(), norm }
    }

    fn normed() -> Option<Normalize> {
        Some(Normalize { mean: vec![0.1, 0.4, 0.7], std: vec![0.3, 1.1, 0.07] })
    }

    #[test]
    fn bytes_become_the_floats_that_were_told() {
        become_the_floats_that_were_told(Device::Cpu);
    }

    #[test]
    #[ignore = "needs a card"]
    fn bytes_become_the_floats_that_were_told_on_a_card() {
        become_the_floats_that_were_told(Device::Cuda(0));
    }

    fn become_the_floats_that_were_told(device: Device) {
        for norm in [None, normed()] {
            let pixels = bytes(norm);
            let [of_bytes, of_floats] = [&pixels, &Pixels::Floats(pixels.floats().into_owned())]
                .map(|pixels| pixels.tensor(SIZE, device).unwrap());
            assert_eq!((of_bytes.size(), of_bytes.stride()), (vec![2, 3, 3, 4], of_floats.stride()));
            let bits = |tensor: &Tensor| {
                let flat = tensor.to_device(Device::Cpu).contiguous().view([-1]);
                Vec::<f32>::try_from(flat).unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            assert_eq!(bits(&of_bytes), bits(&of_floats));
        }
        let (Pixels::Bytes { samples, .. }, normed) = (bytes(None), bytes(normed())) else { panic!() };
        for (at, (float, sample)) in normed.floats().iter().zip(samples).enumerate() {
            let (mean, std) = [(0.1, 0.3), (0.4, 1.1), (0.7, 0.07)][at % 3];
            assert_eq!(*float, (f32::from(sample) * Pixels::PER_BYTE - mean) / std);
        }
    }

    #[test]
    fn a_norm_of_other_bands_is_refused() {
        let norm = Normalize { mean: vec![0.5; 3], std: vec![0.5; 2] };
        let error = bytes(Some(norm)).tensor(SIZE, Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("2 numbers norm no images of 3 bands"), "{error}");
    }

    #[test]
    fn pieces_hold_their_own_pixels_of_either_kind() {
        for pixels in [bytes(normed()), Pixels::Floats(bytes(None).floats().into_owned())] {
            let whole = Batch { width: 4, height: 3, pixels, labels: (0..24).collect() };
            let pieces = whole.clone().cut(&[1, 1]);
            assert_eq!(pieces.iter().map(Batch::n_images).collect::<Vec<_>>(), [1, 1]);
            let (pixels, labels) =
                (pieces.iter().flat_map(|piece| piece.pixels.floats().into_owned()), &pieces[1].labels);
            assert!(pixels.eq(whole.pixels.floats().iter().copied()));
            assert_eq!(labels[..], (12..24).collect::<Vec<u8>>());
        }
    }
}
