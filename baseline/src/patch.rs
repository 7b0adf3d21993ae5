//! A pixel and its eight neighbours, as numbers.

use crate::BadBaseline;

/// Rows and columns of neighbours on each side.
pub const REACH: usize = 1;
const EDGE: usize = 2 * REACH + 1;

/// Values row by row, the bands of a pixel side by side.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    values: &'a [f32],
    width: usize,
    bands: usize,
}

/// Numbers of a patch.
pub const fn n_values(bands: usize) -> usize {
    EDGE * EDGE * bands
}

impl<'a> Plane<'a> {
    pub fn new(values: &'a [f32], width: usize, height: usize, bands: usize) -> Result<Self, BadBaseline> {
        let fits = bands > 0 && values.len() == width * height * bands;
        let wrong = BadBaseline::Lengths { values: values.len(), labels: 0, width, height, bands };
        fits.then_some(Self { values, width, bands }).ok_or(wrong)
    }

    pub(crate) const fn bands(&self) -> usize {
        self.bands
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    pub(crate) const fn height(&self) -> usize {
        self.values.len() / (self.width * self.bands)
    }

    /// The three rows of a patch around a pixel that has all its neighbours.
    pub(crate) fn rows(&self, col: usize, row: usize) -> [&'a [f32]; EDGE] {
        let (line, len) = (self.width * self.bands, EDGE * self.bands);
        [0, 1, 2].map(|down| &self.values[(row + down - REACH) * line + (col - REACH) * self.bands..][..len])
    }
}
