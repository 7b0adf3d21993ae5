//! From pixels as a file has them to the numbers that networks take.

use multiversion::multiversion;
use swath_proto::{geometry::WindowPx, source::Scaling};

use crate::{
    block::{Block, Valid},
    pixels::{Pixels, Value, with_values},
};

/// Raster Vision's `max_stds`.
const MAX_STDS: f64 = 3.0;

#[derive(Clone, Debug)]
pub struct Scaler {
    bands: usize,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    Cast,
    None,
    /// One a band.
    MinMax(Vec<MinMax>),
    Stats(Vec<Stats>),
}

#[derive(Clone, Copy, Debug)]
struct MinMax {
    min: f64,
    per_unit: f64,
}

#[derive(Clone, Copy, Debug)]
struct Stats {
    mean: f64,
    /// 0 where a band never changes.
    std: f64,
}

impl MinMax {
    fn of(self, value: f64) -> f32 {
        ((value - self.min) * self.per_unit).clamp(0.0, 1.0) as f32
    }
}

impl Stats {
    fn of(self, value: f64) -> f32 {
        let z = if self.std > 0.0 { (value - self.mean) / self.std } else { 0.0 };
        let level = (z.clamp(-MAX_STDS, MAX_STDS) + MAX_STDS) / (2.0 * MAX_STDS) * 255.0;
        let level = if value == 0.0 { 0.0 } else { level };
        f32::from(level as u8) * (1.0 / 255.0)
    }
}

impl Scaler {
    /// The error says what of the scaling is wrong. `is_bytes`: of an image of 8 bits without a sign.
    pub fn new(scaling: &Scaling, bands: usize, is_bytes: bool) -> Result<Self, String> {
        let each = |what: &str, values: &[f64]| {
            if values.len() != bands {
                return Err(format!("scaling.{what} has {} values for {bands} bands", values.len()));
            }
            match values.iter().find(|value| !value.is_finite()) {
                Some(bad) => Err(format!("scaling.{what} holds {bad}")),
                None => Ok(()),
            }
        };
        let how = match scaling {
            Scaling::Cast => How::Cast,
            Scaling::None => How::None,
            Scaling::MinMax { min, max } => {
                each("min", min)?;
                each("max", max)?;
                let band = |(&min, &max): (&f64, &f64)| {
                    let per_unit = 1.0 / (max - min);
                    if min < max && per_unit.is_finite() {
                        Ok(MinMax { min, per_unit })
                    } else {
                        Err(format!("scaling.min = {min} must be less than scaling.max = {max}"))
                    }
                };
                How::MinMax(min.iter().zip(max).map(band).collect::<Result<_, _>>()?)
            }
            Scaling::WideStats { .. } if is_bytes => How::Cast,
            Scaling::Stats { means, stds } | Scaling::WideStats { means, stds } => {
                each("means", means)?;
                each("stds", stds)?;
                if let Some(bad) = stds.iter().find(|&&std| std < 0.0) {
                    return Err(format!("scaling.stds holds {bad}; it can't be less than 0"));
                }
                How::Stats(means.iter().zip(stds).map(|(&mean, &std)| Stats { mean, std }).collect())
            }
        };
        Ok(Self { bands, how })
    }

    /// Scales a part of a block into `out`, row by row, its bands side by side. What is not valid is 0.
    ///
    /// # Panics
    /// If the part does not lie within the block, or `out` is not as large.
    pub fn scale(&self, block: &Block, part: WindowPx, out: &mut [f32]) {
        let n = self.bands;
        let whole = block.window;
        let (left, top) = ((part.col - whole.col) as usize, (part.row - whole.row) as usize);
        let (width, height) = (part.width as usize, part.height as usize);
        assert!(
            part.col >= whole.col && left + width <= whole.width as usize && block.bands == n,
            "{part} of {whole}"
        );
        assert!(part.row >= whole.row && top + height <= whole.height as usize, "{part} of {whole}");
        assert_eq!(out.len(), width * height * n, "the part's pixels");
        if out.is_empty() {
            return;
        }
        let stride = whole.width as usize;
        let first = |row: usize| (top + row) * stride + left;
        let lines = out.chunks_exact_mut(width * n).enumerate();
        if let (Pixels::U8(values), Some(tables)) = (&block.pixels, self.tables()) {
            for (row, out) in lines {
                let line = &values[first(row) * n..][..width * n];
                for (out, pixel) in out.chunks_exact_mut(n).zip(line.chunks_exact(n)) {
                    let scaled = pixel.iter().zip(&tables).map(|(&value, table)| table[usize::from(value)]);
                    out.iter_mut().zip(scaled).for_each(|(out, scaled)| *out = scaled);
                }
            }
        } else {
            with_values!(&block.pixels, values => {
                for (row, out) in lines {
                    self.line(&values[first(row) * n..][..width * n], out);
                }
            });
        }
        match &block.valid {
            Valid::All => {}
            Valid::Within(inner) => {
                let clip = |first: i64, length: u32, from: i64, len: u32| {
                    let end = (first + i64::from(length) - from).clamp(0, i64::from(len));
                    ((first - from).clamp(0, end) as usize, end as usize)
                };
                let (first_col, end_col) = clip(inner.col, inner.width, part.col, part.width);
                let (first_row, end_row) = clip(inner.row, inner.height, part.row, part.height);
                for (row, out) in out.chunks_exact_mut(width * n).enumerate() {
                    if (first_row..end_row).contains(&row) {
                        out[..first_col * n].fill(0.0);
                        out[end_col * n..].fill(0.0);
                    } else {
                        out.fill(0.0);
                    }
                }
            }
            Valid::Each(mask) => {
                for (row, out) in out.chunks_exact_mut(width * n).enumerate() {
                    let mask = &mask.pixels[first(row)..][..width];
                    if mask.contains(&0) {
                        let missing = out.chunks_exact_mut(n).zip(mask).filter(|(_, valid)| **valid == 0);
                        missing.for_each(|(pixel, _)| pixel.fill(0.0));
                    }
                }
            }
        }
    }

    /// Of each byte, where that is more than a product.
    fn tables(&self) -> Option<Vec<[f32; 256]>> {
        let table = |of: &dyn Fn(f64) -> f32| std::array::from_fn(|value| of(value as f64));
        match &self.how {
            How::Cast | How::None => None,
            How::MinMax(bands) => Some(bands.iter().map(|band| table(&|value| band.of(value))).collect()),
            How::Stats(bands) => Some(bands.iter().map(|band| table(&|value| band.of(value))).collect()),
        }
    }

    fn line<T: Value>(&self, line: &[T], out: &mut [f32]) {
        let n = self.bands;
        let all = out.iter_mut().zip(line);
        match &self.how {
            How::Cast if T::IS_FLOAT => all.for_each(|(out, value)| *out = value.to_f64() as f32),
            // What 32-bit numbers hold exactly is divided as such.
            How::Cast if size_of::<T>() <= 2 => times(line, 1.0 / T::CAST_MAX as f32, out),
            How::Cast => all.for_each(|(out, value)| *out = (value.to_f64() / T::CAST_MAX) as f32),
            How::None => all.for_each(|(out, value)| *out = value.to_f64() as f32),
            How::MinMax(bands) => each(n, line, out, |band, value| bands[band].of(value.to_f64())),
            How::Stats(bands) => each(n, line, out, |band, value| bands[band].of(value.to_f64())),
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn times<T: Value>(line: &[T], per_unit: f32, out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(line) {
        *out = value.to_f64() as f32 * per_unit;
    }
}

fn each<T>(n: usize, line: &[T], out: &mut [f32], of: impl Fn(usize, &T) -> f32) {
    for (out, pixel) in out.chunks_exact_mut(n).zip(line.chunks_exact(n)) {
        out.iter_mut().zip(pixel).enumerate().for_each(|(band, (out, value))| *out = of(band, value));
    }
}
