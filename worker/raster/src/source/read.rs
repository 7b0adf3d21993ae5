//! A window of a scene, from the files that it lies on: each is cleaned of what is missing, and later ones lie over
//! earlier ones.

use swath_proto::{
    geometry::{RectPx, WindowPx},
    source::Reclass,
};

use super::Source;
use crate::{
    block::{Block, Mask, Scaled, Valid},
    error::Result,
    missing::{Marks, Missing},
    mosaic::Placed,
    parts::Reading,
    pixels::{Value, with_type},
    raster::{clipped, first_pixel},
};

impl Source {
    /// Reads a window, which may reach beyond the scene. Its tiles stay for the windows beside it.
    pub fn read(&self, window: WindowPx) -> Result<Block> {
        with_type!(self.data_type, T => self.read_as::<T>(window, Reading::WithNeighbours))
    }

    /// The same for whoever goes over a scene once, in windows of many tiles: GDAL unpacks it part by part and keeps
    /// none of it.
    pub fn read_once(&self, window: WindowPx) -> Result<Block> {
        with_type!(self.data_type, T => self.read_as::<T>(window, Reading::Once))
    }

    /// Reads a window and scales it as the specification says.
    pub fn read_scaled(&self, window: WindowPx) -> Result<Scaled> {
        let block = self.read(window)?;
        let mut values = vec![0.0; block.pixels.len()];
        self.scaler.scale(&block, window, &mut values);
        Ok(Scaled { values, valid: block.valid })
    }

    fn read_as<T: Value>(&self, window: WindowPx, reading: Reading) -> Result<Block> {
        let n = self.bands.len();
        let n_pixels = window.size().pixels() as usize;
        let mut values = vec![T::default(); n_pixels * n];
        let mut touching = Vec::new();
        for (i, file) in self.files.iter().enumerate() {
            let (col, row) = (window.col.saturating_sub(file.col), window.row.saturating_sub(file.row));
            let local = WindowPx { col, row, ..window };
            if let Some(rect) = clipped(local, file.size) {
                touching.push(Touching { i, file, missing: self.missing(i)?, local, rect });
            }
        }
        let is_clean = |part: &Touching| part.missing.is_clean::<T>();
        let all_clean = touching.iter().all(is_clean);
        // Without a plane of its own where a rectangle says it.
        let simple = match touching.as_slice() {
            [] => Some(Valid::Within(WindowPx { width: 0, height: 0, ..window })),
            files if all_clean && files.iter().any(|part| part.rect.size() == window.size()) => {
                Some(Valid::All)
            }
            [Touching { file, rect, .. }] if all_clean => Some(Valid::Within(WindowPx {
                col: file.col + i64::from(rect.col),
                row: file.row + i64::from(rect.row),
                width: rect.width,
                height: rect.height,
            })),
            _ => None,
        };
        let by_sample = n > 1 && touching.iter().any(|part| part.missing.is_by_sample::<T>());
        let mut mask = simple
            .is_none()
            .then(|| Mask { pixels: vec![0; n_pixels], samples: by_sample.then(|| vec![0; n_pixels * n]) });
        for (order, part) in touching.into_iter().enumerate() {
            let Touching { missing, local, .. } = part;
            // What lies lowest can be cleaned where it stands.
            let in_place = is_clean(&part) || order == 0;
            self.with_file(part.i, |raster| {
                let pixel_bytes = n * size_of::<T>() + missing.n_planes(n);
                raster.in_parts(part.rect, pixel_bytes, reading, |rect| {
                    // Pixels before marks: GDAL fetches a mask that lies between its image's tiles with them.
                    if in_place {
                        raster.read_part::<T>(rect, local, &self.bands, &mut values)?;
                        let marks = missing.marks(raster, &self.bands, rect)?;
                        self.clean_in_place(&marks, rect, local, &mut values, mask.as_mut());
                        return Ok(());
                    }
                    let mut upper = vec![T::default(); rect.pixels() as usize * n];
                    let here = WindowPx::from(rect);
                    raster.read_part::<T>(rect, here, &self.bands, &mut upper)?;
                    let marks = missing.marks(raster, &self.bands, rect)?;
                    let mut upper_mask = Mask {
                        pixels: vec![0; rect.pixels() as usize],
                        samples: by_sample.then(|| vec![0; upper.len()]),
                    };
                    self.clean_in_place(&marks, rect, here, &mut upper, Some(&mut upper_mask));
                    if let Some(mask) = &mut mask {
                        lay_over((&upper, &upper_mask), rect, n, (&mut values, mask), local);
                    }
                    Ok(())
                })
            })?;
        }
        let valid = simple.or_else(|| mask.map(Valid::Each)).unwrap_or(Valid::All);
        Ok(Block { window, bands: n, pixels: T::wrap(values), valid })
    }

    /// Zeroes what is missing of a rectangle, and writes down what is not.
    fn clean_in_place<T: Value>(
        &self,
        marks: &Marks,
        rect: RectPx,
        window: WindowPx,
        values: &mut [T],
        mut mask: Option<&mut Mask>,
    ) {
        let n = self.bands.len();
        if mask.is_none() && self.spec.reclass.is_empty() {
            return;
        }
        let mut cleaner = marks.cleaner::<T>(rect.width as usize, n, self.spec.nan);
        let reclass = &self.spec.reclass;
        for row in 0..rect.height {
            let line_rect = RectPx { row: rect.row + row, height: 1, ..rect };
            let at = first_pixel(line_rect, window);
            let pixels = at..at + rect.width as usize;
            let line = &mut values[pixels.start * n..pixels.end * n];
            let clean = cleaner.clean(line, row as usize);
            if let Some(mask) = mask.as_deref_mut() {
                match (&mut mask.samples, clean) {
                    (samples, None) => {
                        mask.pixels[pixels.clone()].fill(1);
                        if let Some(samples) = samples {
                            samples[pixels.start * n..pixels.end * n].fill(1);
                        }
                    }
                    (samples, Some(valid)) => {
                        let of_pixels = mask.pixels[pixels.clone()].iter_mut().zip(valid.chunks_exact(n));
                        of_pixels
                            .for_each(|(pixel, bands)| *pixel = bands.iter().fold(0, |any, one| any | one));
                        if let Some(samples) = samples {
                            samples[pixels.start * n..pixels.end * n].copy_from_slice(valid);
                        }
                    }
                }
            }
            if !reclass.is_empty() {
                apply(reclass, line, clean);
            }
        }
    }
}

/// A file that a window lies on.
struct Touching<'a> {
    i: usize,
    file: &'a Placed,
    missing: &'a Missing,
    /// The window in the file's pixels, and the part of it that the file has.
    local: WindowPx,
    rect: RectPx,
}

/// What is missing stays 0.
fn apply<T: Value>(reclass: &[Reclass], line: &mut [T], valid: Option<&[u8]>) {
    for (i, value) in line.iter_mut().enumerate() {
        if valid.is_some_and(|valid| valid[i] == 0) {
            continue;
        }
        let old = value.to_f64();
        let rule = reclass.iter().find(|rule| rule.from <= old && old <= rule.to);
        if let Some(new) = rule.and_then(|rule| T::exactly(rule.into)) {
            *value = new;
        }
    }
}

/// Copies the valid pixels of a rectangle over those of a window around it.
fn lay_over<T: Value>(
    upper: (&[T], &Mask),
    rect: RectPx,
    n: usize,
    lower: (&mut [T], &mut Mask),
    window: WindowPx,
) {
    let (lower, lower_mask) = lower;
    for row in 0..rect.height {
        let line_rect = RectPx { row: rect.row + row, height: 1, ..rect };
        let to = first_pixel(line_rect, window);
        let from = row as usize * rect.width as usize;
        for i in 0..rect.width as usize {
            if upper.1.pixels[from + i] == 0 {
                continue;
            }
            let (from, to) = (from + i, to + i);
            lower[to * n..(to + 1) * n].copy_from_slice(&upper.0[from * n..(from + 1) * n]);
            lower_mask.pixels[to] = 1;
            if let (Some(lower), Some(upper)) = (&mut lower_mask.samples, &upper.1.samples) {
                lower[to * n..(to + 1) * n].copy_from_slice(&upper[from * n..(from + 1) * n]);
            }
        }
    }
}
