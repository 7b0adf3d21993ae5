//! Squares of pixels brought to another size, as the programs do it whose networks have learnt so: OpenCV before a
//! network, PyTorch behind it. Bilinear, and nothing is smoothed where a square becomes smaller.

/// What stands for a weight of one, where pixels are bytes.
const ONE: f32 = 2048.0;

/// From one edge to another.
#[derive(Clone, Debug)]
pub struct Resize {
    from: usize,
    /// Of each pixel of an edge.
    places: Vec<Place>,
    /// What its neighbours weigh, of bytes: along columns, and along rows.
    across: Vec<[i32; 2]>,
    down: Vec<[i32; 2]>,
}

/// Between two pixels of the edge that there was.
#[derive(Clone, Copy, Debug)]
struct Place {
    before: usize,
    behind: usize,
    /// How far it is to the one behind.
    share: f32,
}

impl Resize {
    /// Edges of one pixel and more.
    pub fn new(from: u32, to: u32) -> Self {
        let (from, to) = (from.max(1) as usize, to.max(1) as usize);
        let step = from as f64 / to as f64;
        let (mut places, mut across, mut down) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..to {
            let place = ((at as f64 + 0.5) * step - 0.5) as f32;
            let before = place.floor();
            let share = place - before;
            // Outside, the outermost pixel goes on.
            let inside = |at: i64| at.clamp(0, from as i64 - 1) as usize;
            let before = before as i64;
            let weights =
                |share: f32| [1.0 - share, share].map(|weight| (weight * ONE).round_ties_even() as i32);
            places.push(Place { before: inside(before), behind: inside(before + 1), share });
            let is_outside = before < 0 || before >= from as i64 - 1;
            across.push(weights(if is_outside { 0.0 } else { share }));
            down.push(weights(share));
        }
        Self { from, places, across, down }
    }

    /// Pixels row by row, their bands side by side. Those that are of 256 levels stay so, as an image of bytes does.
    pub fn pixels(&self, pixels: &[f32], bands: usize, out: &mut [f32]) {
        match levels(pixels) {
            Some(levels) => self.bytes(&levels, bands, out),
            None => self.numbers(pixels, bands, out),
        }
    }

    /// As PyTorch does it, where corners are not aligned.
    pub fn numbers(&self, pixels: &[f32], bands: usize, out: &mut [f32]) {
        let row = |at: usize| &pixels[at * self.from * bands..][..self.from * bands];
        let between = |low: f32, high: f32, share: f32| low + (high - low) * share;
        for (down, out) in self.places.iter().zip(out.chunks_exact_mut(self.places.len() * bands)) {
            let (above, below) = (row(down.before), row(down.behind));
            for (across, out) in self.places.iter().zip(out.chunks_exact_mut(bands)) {
                let (left, right) = (across.before * bands, across.behind * bands);
                for (band, out) in out.iter_mut().enumerate() {
                    let top = between(above[left + band], above[right + band], across.share);
                    let bottom = between(below[left + band], below[right + band], across.share);
                    *out = between(top, bottom, down.share);
                }
            }
        }
    }

    /// As OpenCV does it with bytes, to the last bit: its sums are cut off twice.
    fn bytes(&self, levels: &[i32], bands: usize, out: &mut [f32]) {
        let width = self.places.len() * bands;
        let mut rows = vec![0; self.from * width];
        for (row, out) in levels.chunks_exact(self.from * bands).zip(rows.chunks_exact_mut(width)) {
            let columns = self.places.iter().zip(&self.across);
            for ((place, [first, second]), out) in columns.zip(out.chunks_exact_mut(bands)) {
                let (left, right) = (&row[place.before * bands..], &row[place.behind * bands..]);
                for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                    *out = (left * first + right * second) >> 4;
                }
            }
        }
        let lines = self.places.iter().zip(&self.down);
        for ((place, [first, second]), out) in lines.zip(out.chunks_exact_mut(width)) {
            let (above, below) = (&rows[place.before * width..], &rows[place.behind * width..]);
            for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
                let level = (((first * above) >> 16) + ((second * below) >> 16) + 2) >> 2;
                *out = level as f32 / 255.0;
            }
        }
    }
}

/// The bytes that pixels from 0 to 1 are made of; none where one lies between two.
fn levels(pixels: &[f32]) -> Option<Vec<i32>> {
    let level = |pixel: &f32| {
        let level = pixel * 255.0;
        let nearest = level.round();
        let is_level = (level - nearest).abs() < 1e-3 && (0.0..=255.0).contains(&nearest);
        is_level.then_some(nearest as i32)
    };
    pixels.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 5 x 5 pixels; what OpenCV 5.0 makes of them with INTER_LINEAR.
    const PIXELS: [u8; 25] = [
        0, 11, 44, 99, 176, 37, 53, 91, 151, 233, 148, 169, 212, 21, 108, 77, 103, 151, 221, 57, 80, 111,
        164, 239, 80,
    ];
    const FOUR: [u8; 16] = [6, 29, 85, 173, 81, 111, 115, 175, 106, 145, 156, 85, 83, 130, 209, 97];
    const SEVEN: [u8; 49] = [
        0, 6, 20, 44, 83, 132, 176, 21, 29, 45, 71, 112, 163, 208, 69, 78, 97, 126, 117, 149, 197, 148, 160,
        181, 212, 76, 58, 108, 97, 111, 135, 168, 165, 124, 71, 78, 94, 121, 157, 208, 159, 67, 80, 97, 126,
        164, 217, 171, 80,
    ];

    fn of_bytes(bytes: &[u8], bands: usize) -> Vec<f32> {
        bytes.iter().flat_map(|byte| vec![f32::from(*byte) / 255.0; bands]).collect()
    }

    #[test]
    fn bytes_become_what_opencv_makes_of_them() {
        for (to, wanted) in [(4, &FOUR[..]), (7, &SEVEN[..]), (5, &PIXELS[..])] {
            for bands in [1, 3] {
                let mut out = vec![0.0; wanted.len() * bands];
                Resize::new(5, to).pixels(&of_bytes(&PIXELS, bands), bands, &mut out);
                assert_eq!(out, of_bytes(wanted, bands), "{to} px, {bands} bands");
            }
        }
    }

    #[test]
    fn numbers_between_levels_are_not_brought_to_them() {
        let pixels = [0.1, 0.2, 0.3, 0.4];
        let mut out = [0.0; 16];
        Resize::new(2, 4).pixels(&pixels, 1, &mut out);
        let wanted = [
            0.1, 0.125, 0.175, 0.2, 0.15, 0.175, 0.225, 0.25, 0.25, 0.275, 0.325, 0.35, 0.3, 0.325, 0.375,
            0.4,
        ];
        for (found, wanted) in out.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-6, "{out:?}");
        }
    }

    #[test]
    fn pixels_that_are_no_numbers_stay_none() {
        let mut out = [0.0; 9];
        Resize::new(2, 3).pixels(&[f32::NAN, 0.0, 0.0, 0.0], 1, &mut out);
        assert!(out[0].is_nan());
    }
}
