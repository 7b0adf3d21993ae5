//! Chips side by side with their labels, and with what was found in them, as one PNG for the eye.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError};
use swath_model::Batch;
use swath_proto::train::Normalize;
use swath_shard::chip::IGNORED;

/// Of a chip on the sheet; of larger ones every second, third ... pixel is shown.
const MOST_EDGE_PX: u32 = 256;
const GAP_PX: u32 = 4;
const PAPER: Rgb = [96; 3];

type Rgb = [u8; 3];

/// Class 0 is dark, for mostly it is the background; what is ignored is white.
const PALETTE: [Rgb; 12] = [
    [32, 32, 32],
    [230, 126, 34],
    [52, 152, 219],
    [46, 204, 113],
    [241, 196, 15],
    [155, 89, 182],
    [231, 76, 60],
    [26, 188, 156],
    [253, 121, 168],
    [149, 98, 58],
    [162, 215, 41],
    [116, 125, 232],
];

pub(crate) struct Sheet {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pixels: Vec<Rgb>,
}

impl Sheet {
    /// A row for each chip: its first three bands, the first alone where there are fewer; its labels, and the classes
    /// that were `found`.
    pub(crate) fn new(
        batch: &Batch,
        bands: usize,
        normalize: Option<&Normalize>,
        found: Option<&[u8]>,
    ) -> Self {
        let (width, height) = (batch.width, batch.height);
        let step = width.max(height).div_ceil(MOST_EDGE_PX).max(1);
        let chip_px = width as usize * height as usize;
        let chips = batch.n_images() as u32;
        let columns = 2 + u32::from(found.is_some());
        let (tile_width, tile_height) = (width.div_ceil(step), height.div_ceil(step));
        let mut sheet =
            Self::paper(GAP_PX + columns * (tile_width + GAP_PX), GAP_PX + chips * (tile_height + GAP_PX));
        let samples = batch.pixels.floats();
        let values = Values::new(&samples, bands, normalize);
        for row in 0..tile_height {
            for col in 0..tile_width {
                let pixel = (row * step) as usize * width as usize + (col * step) as usize;
                for chip in 0..chips {
                    let at = chip as usize * chip_px + pixel;
                    let colors = [values.rgb(at), color(batch.labels[at])];
                    let found = found.map(|classes| color(classes[at]));
                    for (column, color) in (0..).zip(colors.into_iter().chain(found)) {
                        let left = GAP_PX + column * (tile_width + GAP_PX) + col;
                        let top = GAP_PX + chip * (tile_height + GAP_PX) + row;
                        sheet.set(left, top, color);
                    }
                }
            }
        }
        sheet
    }

    fn paper(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![PAPER; width as usize * height as usize] }
    }

    fn set(&mut self, col: u32, row: u32, color: Rgb) {
        self.pixels[row as usize * self.width as usize + col as usize] = color;
    }

    pub(crate) fn png(&self) -> Result<Vec<u8>, EncodingError> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Fast);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        Ok(file)
    }
}

/// Later classes have the colours of earlier ones, but darker.
fn color(class: u8) -> Rgb {
    if class == IGNORED {
        return [255; 3];
    }
    let round = class / PALETTE.len() as u8;
    let darker = |part: u8| (0..round.min(3)).fold(part, |part, _| part - part / 4);
    PALETTE[usize::from(class) % PALETTE.len()].map(darker)
}

/// Samples as they were before they were normed, stretched over what nearly all of the sheet lies between: of most
/// types nobody knows which number is white.
struct Values<'a> {
    pixels: &'a [f32],
    bands: usize,
    normalize: Option<&'a Normalize>,
    black: f32,
    white: f32,
}

impl<'a> Values<'a> {
    fn new(pixels: &'a [f32], bands: usize, normalize: Option<&'a Normalize>) -> Self {
        let mut values = Self { pixels, bands, normalize, black: 0.0, white: 1.0 };
        let n_pixels = pixels.len() / bands.max(1);
        let some = (0..n_pixels).step_by(1 + n_pixels / 65_536);
        let mut seen: Vec<f32> =
            some.flat_map(|pixel| values.shown(pixel)).filter(|value| value.is_finite()).collect();
        seen.sort_unstable_by(f32::total_cmp);
        let share = |hundredths: usize| seen.get(seen.len() * hundredths / 100).copied();
        if let (Some(black), Some(white)) = (share(1), share(99)) {
            (values.black, values.white) = (black, white);
        }
        values
    }

    fn shown(&self, pixel: usize) -> [f32; 3] {
        let bands = if self.bands < 3 { [0; 3] } else { [0, 1, 2] };
        bands.map(|band| {
            let sample = self.pixels[pixel * self.bands + band];
            self.normalize.map_or(sample, |norm| sample * norm.std[band] + norm.mean[band])
        })
    }

    /// Numbers that are none are black.
    fn rgb(&self, pixel: usize) -> Rgb {
        let range = (self.white - self.black).max(f32::MIN_POSITIVE);
        self.shown(pixel).map(|value| ((value - self.black) / range * 255.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use swath_model::Pixels;

    use super::*;

    fn at(sheet: &Sheet, col: u32, row: u32) -> Rgb {
        sheet.pixels[row as usize * sheet.width as usize + col as usize]
    }

    #[test]
    fn each_chip_has_a_row_of_image_labels_and_what_was_found() {
        // Two chips of 4 x 2 pixels: the first is dark, the second is bright on its right.
        let bright = |at: usize| at >= 8 && at % 4 >= 2;
        let normalize = Normalize { mean: vec![10.0, 20.0, 30.0], std: vec![2.0, 4.0, 8.0] };
        let sample = |at: usize| {
            [0, 1, 2].map(|band| {
                (if bright(at) { 200.0 } else { 100.0 } - normalize.mean[band]) / normalize.std[band]
            })
        };
        let batch = Batch {
            width: 4,
            height: 2,
            pixels: Pixels::Floats((0..16).flat_map(sample).collect()),
            labels: (0..16).map(|at| if at == 0 { 255 } else { u8::from(bright(at)) }).collect(),
        };
        let found = vec![2; 16];
        let sheet = Sheet::new(&batch, 3, Some(&normalize), Some(&found));
        assert_eq!((sheet.width, sheet.height), (3 * 8 + 4, 2 * 6 + 4));
        assert_eq!((at(&sheet, 0, 0), at(&sheet, 4, 4), at(&sheet, 7, 11)), (PAPER, [0; 3], [255; 3]));
        assert_eq!(
            [at(&sheet, 12, 4), at(&sheet, 13, 4), at(&sheet, 14, 10)],
            [[255; 3], PALETTE[0], PALETTE[1]]
        );
        assert_eq!([at(&sheet, 20, 4), at(&sheet, 23, 11)], [PALETTE[2]; 2]);
        assert_eq!(Sheet::new(&batch, 3, None, None).width, 2 * 8 + 4);
    }

    #[test]
    fn large_chips_become_small_and_odd_values_are_drawn_too() {
        let batch = |samples| {
            let pixels = Pixels::Floats(samples);
            Batch { width: 600, height: 32, pixels, labels: vec![1; 600 * 32] }
        };
        for value in [f32::NAN, f32::INFINITY, 0.0, 1e38, -1e38] {
            let sheet = Sheet::new(&batch(vec![value; 600 * 32 * 2]), 2, None, None);
            assert_eq!((sheet.width, sheet.height), (4 + 2 * 204, 4 + 15));
            let mut reader =
                png::Decoder::new(std::io::Cursor::new(sheet.png().unwrap())).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            assert_eq!(pixels, sheet.pixels.as_flattened());
        }
    }

    #[test]
    fn every_class_has_a_colour() {
        assert_eq!((color(0), color(255)), (PALETTE[0], [255; 3]));
        assert_eq!(color(13), PALETTE[1].map(|part| part - part / 4));
        let colors: std::collections::HashSet<Rgb> = (0..48).map(color).collect();
        assert_eq!(colors.len(), 48);
        let _ = color(254);
    }
}
