//! The rows of a chip that is turned. Most of what a loader does to pixels is to move them, so they are moved as
//! plain bytes, by rows, before anything is computed of them.

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
    fn new((width, height): (usize, usize), turn: Turn) -> Self {
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

    /// Where its rows begin.
    fn rows(&self) -> impl Iterator<Item = isize> {
        (0..self.height as isize).map(|row| self.start + row * self.row)
    }
}

/// Gives `see` each row of the turned chip. `bytes` are pixels of `pixel_len` bytes, row by row.
pub(crate) fn rows(
    bytes: &[u8],
    pixel_len: usize,
    size: (usize, usize),
    turn: Turn,
    see: &mut dyn FnMut(&[u8]),
) {
    let walk = Walk::new(size, turn);
    if walk.col == 1 {
        let row_len = walk.width * pixel_len;
        walk.rows().for_each(|begin| see(&bytes[begin as usize * pixel_len..][..row_len]));
        return;
    }
    // Of a length that is known beforehand, a pixel is moved by one or two instructions.
    match pixel_len {
        1 => gather::<1>(bytes, &walk, see),
        2 => gather::<2>(bytes, &walk, see),
        3 => gather::<3>(bytes, &walk, see),
        4 => gather::<4>(bytes, &walk, see),
        6 => gather::<6>(bytes, &walk, see),
        8 => gather::<8>(bytes, &walk, see),
        _ => gather_any(bytes, pixel_len, &walk, see),
    }
}

fn gather<const N: usize>(bytes: &[u8], walk: &Walk, see: &mut dyn FnMut(&[u8])) {
    let (pixels, _) = bytes.as_chunks::<N>();
    match walk.col {
        -1 => mirrored(pixels, walk, see),
        _ => columns(pixels, walk, see),
    }
}

fn mirrored<const N: usize>(pixels: &[[u8; N]], walk: &Walk, see: &mut dyn FnMut(&[u8])) {
    let mut row = vec![[0; N]; walk.width];
    for begin in walk.rows() {
        let from = pixels[..=begin as usize].iter().rev();
        row.iter_mut().zip(from).for_each(|(pixel, from)| *pixel = *from);
        see(row.as_flattened());
    }
}

/// Rows that are made together where they are columns of the chip: their pixels stand side by side there.
const TOGETHER: usize = 16;

fn columns<const N: usize>(pixels: &[[u8; N]], walk: &Walk, see: &mut dyn FnMut(&[u8])) {
    let (begins, mut rows) = (walk.rows().collect::<Vec<_>>(), vec![[0; N]; TOGETHER * walk.width]);
    for begins in begins.chunks(TOGETHER) {
        for at in 0..walk.width {
            for (row, begin) in begins.iter().enumerate() {
                rows[row * walk.width + at] = pixels[(begin + at as isize * walk.col) as usize];
            }
        }
        rows.chunks_exact(walk.width).take(begins.len()).for_each(|row| see(row.as_flattened()));
    }
}

fn gather_any(bytes: &[u8], pixel_len: usize, walk: &Walk, see: &mut dyn FnMut(&[u8])) {
    let mut row = vec![0; walk.width * pixel_len];
    for begin in walk.rows() {
        for (pixel, at) in row.chunks_exact_mut(pixel_len).zip(0..) {
            pixel.copy_from_slice(&bytes[(begin + at * walk.col) as usize * pixel_len..][..pixel_len]);
        }
        see(&row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pixel of every length lands where its first byte does, and that one where the walk says; in more rows than
    /// are made at a time.
    #[test]
    fn pixels_of_any_length_move_alike() {
        let size = (TOGETHER + 2, 11);
        let n_pixels = (size.0 * size.1) as u8;
        let turns =
            (0..16).map(|bits| Turn { right_angles: bits & 3, hflip: bits & 4 != 0, vflip: bits & 8 != 0 });
        for turn in turns {
            let turned = |pixel_len: usize| {
                let bytes: Vec<u8> = (0..n_pixels)
                    .flat_map(|pixel| (0..pixel_len as u8).map(move |byte| pixel.wrapping_add(16 * byte)))
                    .collect();
                let mut found = Vec::new();
                rows(&bytes, pixel_len, size, turn, &mut |row| found.extend_from_slice(row));
                found
            };
            let wanted = turned(1);
            let walk = Walk::new(size, turn);
            let walked = walk
                .rows()
                .flat_map(|begin| (0..walk.width as isize).map(move |at| (begin + at * walk.col) as u8));
            assert!(wanted.iter().copied().eq(walked), "{turn:?}");
            for pixel_len in 1..=12 {
                for (pixel, first) in turned(pixel_len).chunks_exact(pixel_len).zip(&wanted) {
                    let whole = (0..pixel_len as u8).map(|byte| first.wrapping_add(16 * byte));
                    assert!(pixel.iter().copied().eq(whole), "{pixel_len} bytes, {turn:?}");
                }
            }
        }
    }
}
