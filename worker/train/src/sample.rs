//! A chip's samples and labels, turned: as numbers that are scaled, or as the bytes that they are.

use swath_model::Pixels;
use swath_shard::{Chip, SampleType, chip::IGNORED};

use crate::{order::Turn, turned::rows};

/// Appends a chip's samples to those of a batch: bands side by side, from 0 to 1 where they are `uint8` or `uint16`.
pub(crate) fn append_floats(chip: &Chip, turn: Turn, into: &mut Vec<f32>) {
    let (shape, bytes) = (chip.image.shape(), chip.image.bytes());
    let pixel_len = shape.bands as usize * shape.samples.width() as usize;
    macro_rules! numbers {
        ($type:ty, $scale:expr) => {
            rows(bytes, pixel_len, size(chip), turn, &mut |row| {
                let samples = row.as_chunks::<{ size_of::<$type>() }>().0.iter();
                into.extend(samples.map(|sample| <$type>::from_le_bytes(*sample) as f32 * $scale));
            })
        };
    }
    match shape.samples {
        SampleType::Uint8 => numbers!(u8, Pixels::PER_BYTE),
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
}

/// The same of a chip of `uint8`, as they are.
pub(crate) fn append_bytes(chip: &Chip, turn: Turn, into: &mut Vec<u8>) {
    let pixel_len = chip.image.shape().bands as usize;
    rows(chip.image.bytes(), pixel_len, size(chip), turn, &mut |row| into.extend_from_slice(row));
}

pub(crate) fn append_labels(chip: &Chip, turn: Turn, ignored: Option<u8>, into: &mut Vec<u8>) {
    let from = into.len();
    rows(&chip.labels, 1, size(chip), turn, &mut |row| into.extend_from_slice(row));
    if let Some(ignored) = ignored {
        into[from..].iter_mut().for_each(|label| *label = if *label == ignored { IGNORED } else { *label });
    }
}

fn size(chip: &Chip) -> (usize, usize) {
    let shape = chip.image.shape();
    (shape.width as usize, shape.height as usize)
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
            append_floats(&square, turn, &mut pixels);
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
    fn samples_are_scaled() {
        let values = |chip: &Chip| {
            let mut pixels = Vec::new();
            append_floats(chip, Turn::default(), &mut pixels);
            pixels
        };
        let wide = |samples, bytes: &[u8]| chip((2, 1), samples, bytes.to_vec());
        let full = wide(SampleType::Uint16, &[0, 0, 255, 255]);
        assert_eq!(values(&full), [0.0, 1.0]);
        let floats = wide(SampleType::Float32, &[-7.5_f32, 3.0].map(f32::to_le_bytes).concat());
        assert_eq!(values(&floats), [-7.5, 3.0]);
        let signed = wide(SampleType::Int16, &[0xff, 0xff, 1, 1]);
        assert_eq!(values(&signed), [-1.0, 257.0]);
    }
}
