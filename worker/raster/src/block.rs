//! Pixels of a window, and which of them are there.

use std::borrow::Cow;

use swath_proto::geometry::WindowPx;

use crate::pixels::{Pixels, Value, with_values};

/// The pixels of a window, as the file has them. What is missing or lies outside the scene is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub window: WindowPx,
    pub bands: usize,
    pub pixels: Pixels,
    pub valid: Valid,
}

/// Which pixels of a window are there.
#[derive(Clone, Debug, PartialEq)]
pub enum Valid {
    All,
    /// Those of this part of the window: the others lie outside the scene.
    Within(WindowPx),
    Each(Mask),
}

/// 1 for what is valid, 0 for what is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// One a pixel: a pixel of which one band is valid is valid.
    pub pixels: Vec<u8>,
    /// One a pixel and band, where bands may differ.
    pub samples: Option<Vec<u8>>,
}

/// A window as networks take it: values row by row, their bands side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    pub values: Vec<f32>,
    pub valid: Valid,
}

impl Block {
    /// Pixels that are 0 in every band, missing or not: what Raster Vision calls nodata.
    pub fn n_blank(&self) -> u64 {
        fn blank<T: Value>(values: &[T], bands: usize) -> u64 {
            let zero = T::default();
            values.chunks_exact(bands).filter(|pixel| pixel.iter().all(|value| *value == zero)).count() as u64
        }
        with_values!(&self.pixels, values => blank(values, self.bands))
    }

    /// Pixel by pixel. `None` where every pixel is valid.
    pub fn mask(&self) -> Option<Cow<'_, Mask>> {
        match &self.valid {
            Valid::All => None,
            Valid::Within(part) => {
                let mut pixels = vec![0; self.window.size().pixels() as usize];
                let width = self.window.width as usize;
                for row in 0..part.height as usize {
                    let first = ((part.row - self.window.row) as usize + row) * width
                        + (part.col - self.window.col) as usize;
                    pixels[first..first + part.width as usize].fill(1);
                }
                Some(Cow::Owned(Mask { pixels, samples: None }))
            }
            Valid::Each(mask) => Some(Cow::Borrowed(mask)),
        }
    }
}
