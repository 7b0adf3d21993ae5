//! Weights that come from a file but for a part that is drawn: where learning begins.

use super::{File, Seeded, Weights};
use crate::error::Result;

/// An encoder that was trained to classify photographs, torchvision's names; the rest is drawn.
pub(crate) struct Backbone {
    file: File,
    /// What the network calls its encoder, with a dot.
    prefix: &'static str,
    rest: Seeded,
}

impl Backbone {
    pub(crate) fn new(mut file: File, prefix: &'static str, seed: u64) -> Self {
        // The classifier of photographs.
        file.skip("fc.");
        Self { file, prefix, rest: Seeded { seed } }
    }
}

impl Weights for Backbone {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Vec<f32>> {
        match (name.strip_prefix(self.prefix), shape) {
            (Some(name @ "conv1.weight"), &[to, bands, height, width]) if bands != 3 => {
                let rgb = self.file.take(name, &[to, 3, height, width])?;
                Ok(for_bands(&rgb, bands as usize, (height * width) as usize))
            }
            (Some(name), _) => self.file.take(name, shape),
            (None, _) => self.rest.take(name, shape),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.file.finish()
    }
}

/// The first convolution for another number of bands than red, green and blue. Of more bands, the
/// first three keep their kernels and the others begin at zero: the encoder sees what it saw, and
/// learns the others. A single band gets the sum, since a grey picture is three equal bands; two
/// bands keep the first two kernels.
fn for_bands(rgb: &[f32], bands: usize, kernel: usize) -> Vec<f32> {
    let widen = |filter: &[f32]| match bands {
        1 => (0..kernel).map(|at| (0..3).map(|band| filter[band * kernel + at]).sum()).collect(),
        _ => {
            let mut filter = filter.to_vec();
            filter.resize(bands * kernel, 0.0);
            filter
        }
    };
    rgb.chunks_exact(3 * kernel).flat_map(widen).collect()
}

/// A whole network for other classes: the last convolution is drawn, whatever the file has there.
pub(crate) struct FreshHead {
    file: File,
    /// With a dot.
    head: &'static str,
    drawn: Seeded,
}

impl FreshHead {
    pub(crate) fn new(mut file: File, head: &'static str, seed: u64) -> Self {
        file.skip(head);
        Self { file, head, drawn: Seeded { seed } }
    }
}

impl Weights for FreshHead {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Vec<f32>> {
        if name.starts_with(self.head) { self.drawn.take(name, shape) } else { self.file.take(name, shape) }
    }

    fn finish(&mut self) -> Result<()> {
        self.file.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_convolution_is_widened_narrowed_or_summed() {
        let rgb = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(for_bands(&rgb, 1, 1), [6.0, 15.0]);
        assert_eq!(for_bands(&rgb, 2, 1), [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(for_bands(&rgb, 4, 1), [1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0, 0.0]);
        assert_eq!(for_bands(&rgb, 1, 2), [9.0, 12.0]);
    }
}
