//! A sheet of pixels to put images and words on, and the PNG that it becomes.

use font8x8::UnicodeFonts as _;

pub(super) type Rgb = [u8; 3];

/// Dots of the font are squares of two pixels.
const DOT: u32 = 2;
pub(super) const LETTER_PX: u32 = 8 * DOT;

pub struct Canvas {
    pub(super) width: u32,
    height: u32,
    pixels: Vec<Rgb>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32, paper: Rgb) -> Self {
        Self { width, height, pixels: vec![paper; width as usize * height as usize] }
    }

    /// What lies beyond the edge is left out.
    pub(super) fn rectangle(&mut self, left: u32, top: u32, width: u32, height: u32, colour: Rgb) {
        let right = (left + width).min(self.width);
        for row in top..(top + height).min(self.height) {
            let line = row as usize * self.width as usize;
            if left < right {
                self.pixels[line + left as usize..line + right as usize].fill(colour);
            }
        }
    }

    /// # Panics
    /// If the image reaches beyond the edge.
    pub(super) fn image(&mut self, left: u32, top: u32, width: u32, image: &[Rgb]) {
        for (row, line) in (top as usize..).zip(image.chunks_exact(width as usize)) {
            let at = row * self.width as usize + left as usize;
            self.pixels[at..at + line.len()].copy_from_slice(line);
        }
    }

    /// A letter that the font does not have is a box.
    pub(super) fn text(&mut self, left: u32, top: u32, text: &str, ink: Rgb) {
        for (number, letter) in (0..).zip(text.chars()) {
            let known = font8x8::BASIC_FONTS.get(letter).or_else(|| font8x8::LATIN_FONTS.get(letter));
            let dots = known.unwrap_or([0, 0x7e, 0x42, 0x42, 0x42, 0x42, 0x7e, 0]);
            for (down, line) in (0..).zip(dots) {
                for right in (0..8).filter(|right| line >> right & 1 == 1) {
                    let col = left + number * LETTER_PX + right * DOT;
                    self.rectangle(col, top + down * DOT, DOT, DOT, ink);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn pixel(&self, col: u32, row: u32) -> Rgb {
        self.pixels[row as usize * self.width as usize + col as usize]
    }

    pub fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        Ok(out)
    }
}

pub(super) fn text_width(text: &str) -> u32 {
    text.chars().count() as u32 * LETTER_PX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_as_they_are_read() {
        let mut canvas = Canvas::new(LETTER_PX, LETTER_PX, [0; 3]);
        canvas.text(0, 0, "L", [1; 3]);
        let dots = |col| (0..8).filter(|row| canvas.pixel(col * DOT, row * DOT) == [1; 3]).count();
        // The stem stands on the left, the foot lies at the bottom.
        assert!((0..3).map(dots).max() > (4..8).map(dots).max());
        let line = |row| (0..8).filter(|col| canvas.pixel(col * DOT, row * DOT) == [1; 3]).count();
        assert!((4..8).map(line).max() > (0..4).map(line).max());
    }

    #[test]
    fn what_lies_beyond_the_edge_is_left_out() {
        let mut canvas = Canvas::new(20, 10, [0; 3]);
        canvas.text(10, 0, "wide words", [1; 3]);
        canvas.rectangle(30, 2, 5, 5, [2; 3]);
        assert!(!canvas.pixels.contains(&[2; 3]));
    }

    #[test]
    fn a_picture_reads_back() {
        let mut canvas = Canvas::new(3, 2, [9, 8, 7]);
        canvas.image(1, 0, 2, &[[1, 2, 3], [4, 5, 6]]);
        let png = canvas.png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; 18];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [9, 8, 7, 1, 2, 3, 4, 5, 6, 9, 8, 7, 9, 8, 7, 9, 8, 7]);
    }
}
