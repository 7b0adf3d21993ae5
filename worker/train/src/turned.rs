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
        1 => gather::<1, 1>(bytes, &walk, see),
        2 => gather::<2, 2>(bytes, &walk, see),
        3 => gather::<3, 4>(bytes, &walk, see),
        4 => gather::<4, 4>(bytes, &walk, see),
        6 => gather::<6, 8>(bytes, &walk, see),
        8 => gather::<8, 8>(bytes, &walk, see),
        _ => gather_any(bytes, pixel_len, &walk, see),
    }
}

/// `MOVED`: bytes that are moved for a pixel, its own or up to two more, so that one instruction does it.
fn gather<const N: usize, const MOVED: usize>(bytes: &[u8], walk: &Walk, see: &mut dyn FnMut(&[u8])) {
    let (pixels, _) = bytes.as_chunks::<N>();
    match walk.col {
        -1 => mirrored(pixels, walk, see),
        _ => columns::<N, MOVED>(pixels, walk, see),
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

/// Pixels of a tile's edge. What is turned by a right angle is turned tile by tile: the lines of one lie in the
/// processor's fastest memory together.
const TILE: usize = 32;
/// Bytes of a tile's line, and what is moved beyond its last pixel.
const LINE_LEN: usize = TILE * 8 + 8;

fn columns<const N: usize, const MOVED: usize>(pixels: &[[u8; N]], walk: &Walk, see: &mut dyn FnMut(&[u8])) {
    const { assert!(N <= MOVED && MOVED <= 8) };
    let (begins, width) = (walk.rows().collect::<Vec<_>>(), walk.width);
    let mut rows = vec![[0; N]; TILE * width];
    let (mut tile, mut turned) = ([[0; LINE_LEN]; TILE], [0; LINE_LEN]);
    for begins in begins.chunks(TILE) {
        // They are columns of the chip, side by side, in this order or the other.
        let first = begins.iter().copied().min().unwrap_or(0);
        for at in (0..width).step_by(TILE) {
            let n = (width - at).min(TILE);
            for (line, at) in tile.iter_mut().zip(at..at + n) {
                let from = (first + at as isize * walk.col) as usize;
                line[..begins.len() * N].copy_from_slice(pixels[from..from + begins.len()].as_flattened());
            }
            for (begin, row) in begins.iter().zip(rows.chunks_exact_mut(width)) {
                let from = (begin - first) as usize * N;
                // What is moved beyond a pixel is overwritten by the next one.
                for (to, line) in (0..n).map(|pixel| pixel * N).zip(&tile) {
                    turned[to..to + MOVED].copy_from_slice(&line[from..from + MOVED]);
                }
                row[at..at + n].as_flattened_mut().copy_from_slice(&turned[..n * N]);
            }
        }
        rows.chunks_exact(width).take(begins.len()).for_each(|row| see(row.as_flattened()));
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

    /// In more rows and columns than a tile has.
    #[test]
    fn pixels_of_any_length_are_where_the_walk_says() {
        let size = (TILE + 2, TILE + 5);
        let n_pixels = size.0 * size.1;
        let turns =
            (0..16).map(|bits| Turn { right_angles: bits & 3, hflip: bits & 4 != 0, vflip: bits & 8 != 0 });
        // A pixel tells its number, and a byte its place in it.
        let pixel = |number: usize, len: usize| {
            (0..len).map(move |at| (number >> (8 * (at % 2))) as u8 ^ (37 * at) as u8)
        };
        for turn in turns {
            let walk = Walk::new(size, turn);
            for len in 1..=12 {
                let bytes: Vec<u8> = (0..n_pixels).flat_map(|number| pixel(number, len)).collect();
                let mut found = Vec::new();
                rows(&bytes, len, size, turn, &mut |row| found.extend_from_slice(row));
                let walked = walk.rows().flat_map(|begin| {
                    (0..walk.width as isize).map(move |at| (begin + at * walk.col) as usize)
                });
                let wanted = walked.flat_map(|number| pixel(number, len));
                assert!(found.into_iter().eq(wanted), "{len} bytes, {turn:?}");
            }
        }
    }
}
