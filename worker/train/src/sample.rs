//! A chip as the network takes it: scaled, normed and turned.

use swath_proto::train::Normalize;
use swath_shard::{Chip, SampleType, chip::IGNORED};

use crate::order::Turn;

/// Which pixel of the chip comes next, when the turned one is read row by row.
struct Walk {
    width: usize,
    height: usize,
    start: isize,
    row: isize,
    col: isize,
}

impl Walk {
    fn new(width: usize, height: usize, turn: Turn) -> Self {
        let (w, h) = (width as isize, height as isize);
        let (start, row, col) = match turn.right_angles % 4 {
            0 => (0, w, 1),
            1 => (w - 1, -1, w),
            2 => (h * w - 1, -w, -1),
            _ => ((h - 1) * w, 1, -w),
        };
        let (width, height) = if turn.right_angles % 2 == 1 { (height, width) } else { (width, height) };
        let mut walk = Self { width, height, start, row, col };
        if turn.hflip {
            (walk.start, walk.col) = (walk.start + walk.col * (width as isize - 1), -walk.col);
        }
        if turn.vflip {
            (walk.start, walk.row) = (walk.start + walk.row * (height as isize - 1), -walk.row);
        }
        walk
    }

    fn pixels(&self) -> impl Iterator<Item = usize> {
        let Self { start, row, col, .. } = *self;
        (0..self.height as isize).flat_map(move |r| {
            let begin = start + r * row;
            (0..self.width as isize).map(move |c| (begin + c * col) as usize)
        })
    }
}

/// Appends a chip's samples to those of a batch: bands side by side, from 0 to 1 before `normalize`
/// where samples are `uint8` or `uint16`.
pub(crate) fn append_pixels(chip: &Chip, turn: Turn, normalize: Option<&Normalize>, into: &mut Vec<f32>) {
    let (shape, bytes) = (chip.image.shape(), chip.image.bytes());
    let walk = Walk::new(shape.width as usize, shape.height as usize, turn);
    let (bands, from) = (shape.bands as usize, into.len());
    macro_rules! numbers {
        ($type:ty, $scale:expr) => {{
            let (samples, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
            for pixel in walk.pixels() {
                let pixel = &samples[pixel * bands..][..bands];
                into.extend(pixel.iter().map(|sample| <$type>::from_le_bytes(*sample) as f32 * $scale));
            }
        }};
    }
    match shape.samples {
        SampleType::Uint8 => numbers!(u8, (1.0 / 255.0)),
        SampleType::Uint16 => numbers!(u16, (1.0 / 65535.0)),
        SampleType::Int8 => numbers!(i8, 1.0),
        SampleType::Int16 => numbers!(i16, 1.0),
        SampleType::Uint32 => numbers!(u32, 1.0),
        SampleType::Int32 => numbers!(i32, 1.0),
        SampleType::Uint64 => numbers!(u64, 1.0),
        SampleType::Int64 => numbers!(i64, 1.0),
        SampleType::Float32 => numbers!(f32, 1.0),
        SampleType::Float64 => numbers!(f64, 1.0),
    }
    if let Some(Normalize { mean, std }) = normalize {
        for pixel in into[from..].chunks_exact_mut(bands) {
            for ((sample, mean), std) in pixel.iter_mut().zip(mean).zip(std) {
                *sample = (*sample - mean) / std;
            }
        }
    }
}

pub(crate) fn append_labels(chip: &Chip, turn: Turn, ignored: Option<u8>, into: &mut Vec<u8>) {
    let shape = chip.image.shape();
    let walk = Walk::new(shape.width as usize, shape.height as usize, turn);
    into.extend(walk.pixels().map(|pixel| match chip.labels[pixel] {
        label if Some(label) == ignored => IGNORED,
        label => label,
    }));
}

#[cfg(test)]
mod tests {
    use swath_proto::geometry::{SizePx, WindowPx};
    use swath_shard::{Image, Shape};

    use super::*;

    fn chip(size: (u32, u32), samples: SampleType, bytes: Vec<u8>) -> Chip {
        let shape = Shape::new(SizePx::new(size.0, size.1), 1, samples);
        let labels = (0..shape.pixels() as u8).collect();
        let image = Image::new(shape, bytes).unwrap();
        let (scene, window) = ("one".parse().unwrap(), WindowPx::new(0, 0, size.0, size.1));
        Chip { scene, window, draw: None, source_pixel_crs: None, image, labels }
    }

    /// `numpy.rot90(m, k)`, then `[:, ::-1]`, then `[::-1]`, of `[[0, 1], [2, 3]]` and the like.
    #[test]
    fn chips_turn_as_numpy_turns_them() {
        let square = chip((2, 2), SampleType::Uint8, vec![0, 1, 2, 3]);
        for (right_angles, hflip, vflip, wanted) in [
            (0, false, false, [0, 1, 2, 3]),
            (1, false, false, [1, 3, 0, 2]),
            (2, false, false, [3, 2, 1, 0]),
            (3, false, false, [2, 0, 3, 1]),
            (0, true, false, [1, 0, 3, 2]),
            (0, false, true, [2, 3, 0, 1]),
            (1, true, false, [3, 1, 2, 0]),
            (1, true, true, [2, 0, 3, 1]),
        ] {
            let turn = Turn { right_angles, hflip, vflip };
            let (mut labels, mut pixels) = (Vec::new(), Vec::new());
            append_labels(&square, turn, None, &mut labels);
            append_pixels(&square, turn, None, &mut pixels);
            assert_eq!(labels, wanted, "{turn:?}");
            assert!(
                pixels.iter().zip(wanted).all(|(pixel, label)| *pixel == f32::from(label) * (1.0 / 255.0))
            );
        }
        let wide = chip((3, 1), SampleType::Uint8, vec![0, 1, 2]);
        let mut labels = Vec::new();
        append_labels(&wide, Turn { hflip: true, ..Turn::default() }, Some(1), &mut labels);
        assert_eq!(labels, [2, 255, 0]);
    }

    #[test]
    fn samples_are_scaled_and_normed() {
        let values = |chip: &Chip, normalize: Option<Normalize>| {
            let mut pixels = Vec::new();
            append_pixels(chip, Turn::default(), normalize.as_ref(), &mut pixels);
            pixels
        };
        let wide = |samples, bytes: &[u8]| chip((2, 1), samples, bytes.to_vec());
        let full = wide(SampleType::Uint16, &[0, 0, 255, 255]);
        assert_eq!(values(&full, None), [0.0, 1.0]);
        let floats = wide(SampleType::Float32, &[-7.5_f32, 3.0].map(f32::to_le_bytes).concat());
        assert_eq!(values(&floats, None), [-7.5, 3.0]);
        let normalize = Normalize { mean: vec![1.0], std: vec![2.0] };
        assert_eq!(values(&floats, Some(normalize)), [-4.25, 1.0]);
        let signed = wide(SampleType::Int16, &[0xff, 0xff, 1, 1]);
        assert_eq!(values(&signed, None), [-1.0, 257.0]);
    }
}
