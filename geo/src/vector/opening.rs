//! Removing noise by opening with a square: a pixel stays if it lies in some square of `edge_px`
//! by `edge_px` pixels that are all of the class.
//!
//! That is an erosion and a dilation by the *reflected* square, so it never adds a pixel, and the
//! anchor cancels out: there is nothing to choose for an even edge. OpenCV's `MORPH_OPEN` uses one
//! anchor, (k/2, k/2), for both and does not reflect: for an odd k it equals this, for an even k
//! its result is this one moved by one row and one column to the lower right. Pixels outside the
//! plane are not of the class; to OpenCV they are whatever keeps the pixel.

/// How many pixels around a rectangle decide what stays in it.
pub(super) const fn reach_px(edge_px: u32) -> u32 {
    edge_px.saturating_sub(1)
}

/// Opens a plane of `width` columns in place, in time that does not depend on the edge. An edge of
/// 0 or 1 changes nothing.
pub(super) fn open(plane: &mut [bool], width: usize, edge_px: u32) {
    if edge_px <= 1 || width == 0 {
        return;
    }
    keep_ends_of_runs(plane, width, edge_px);
    grow_back(plane, width, edge_px);
}

/// Leaves of each full square its lower right pixel alone.
fn keep_ends_of_runs(plane: &mut [bool], width: usize, edge_px: u32) {
    let mut down = vec![0_u32; width];
    for row in plane.chunks_exact_mut(width) {
        let mut across = 0;
        for (pixel, down) in row.iter_mut().zip(&mut down) {
            across = if *pixel { across + 1 } else { 0 };
            *down = if across >= edge_px { *down + 1 } else { 0 };
            *pixel = *down >= edge_px;
        }
    }
}

/// Draws a square up and left of each pixel.
fn grow_back(plane: &mut [bool], width: usize, edge_px: u32) {
    let mut up = vec![0_u32; width];
    for row in plane.chunks_exact_mut(width).rev() {
        let mut left = 0;
        for (pixel, up) in row.iter_mut().zip(&mut up).rev() {
            // How many more pixels the square on the lower right still covers.
            *up = if *pixel { edge_px } else { up.saturating_sub(1) };
            left = if *up > 0 { edge_px } else { left.saturating_sub(1) };
            *pixel = left > 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn opened(mut plane: Vec<bool>, width: usize, edge_px: u32) -> Vec<bool> {
        open(&mut plane, width, edge_px);
        plane
    }

    /// Every square that fits is drawn.
    fn brute_force(plane: &[bool], width: usize, edge: usize) -> Vec<bool> {
        let height = plane.len() / width;
        let mut out = vec![false; plane.len()];
        for top in 0..(height + 1).saturating_sub(edge) {
            for left in 0..(width + 1).saturating_sub(edge) {
                let square = || {
                    (top..top + edge).flat_map(|row| (left..left + edge).map(move |col| row * width + col))
                };
                if square().all(|i| plane[i]) {
                    square().for_each(|i| out[i] = true);
                }
            }
        }
        out
    }

    #[test]
    fn opening_equals_drawing_every_square_that_fits() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..600 {
            let (width, height) = (rng.random_range(1..24), rng.random_range(1..24));
            let share = [0.5, 0.8, 0.95, 0.99, 1.0][rng.random_range(0..5)];
            let plane: Vec<_> = (0..width * height).map(|_| rng.random_bool(share)).collect();
            for edge in 1..10 {
                let wanted = brute_force(&plane, width, edge);
                assert_eq!(
                    opened(plane.clone(), width, edge as u32),
                    wanted,
                    "{width}x{height}, edge {edge}"
                );
            }
        }
    }

    #[test]
    fn an_edge_of_0_or_1_changes_nothing_and_a_huge_one_leaves_nothing() {
        let plane = vec![true, false, true, true, true, true];
        assert_eq!(opened(plane.clone(), 3, 0), plane);
        assert_eq!(opened(plane.clone(), 3, 1), plane);
        assert_eq!(opened(vec![true; 6], 3, u32::MAX), [false; 6]);
    }

    #[test]
    fn an_even_edge_does_as_opencv_but_for_its_shift() {
        let noisy = [
            "........................",
            "........................",
            "........................",
            "...###############.#....",
            "...####.###########.....",
            "...#################....",
            "...#################....",
            "....##.############.....",
            "...#################....",
            "...#################....",
            "...#.###############....",
            "...########.######.#....",
            "........................",
            "........................",
            "........................",
            "........................",
        ];
        // cv2.morphologyEx(noisy, cv2.MORPH_OPEN, np.ones((4, 4), np.uint8)), OpenCV 5.0.0.
        let theirs = [
            "........................",
            "........................",
            "........................",
            "........................",
            "....####.##########.....",
            "....####.###########....",
            "....################....",
            "....################....",
            "........############....",
            "......##############....",
            "......##############....",
            "......##############....",
            "......######.######.....",
            "........................",
            "........................",
            "........................",
        ];
        let plane = noisy.concat().bytes().map(|c| c == b'#').collect();
        let ours = opened(plane, 24, 4);
        let theirs: Vec<_> = theirs.concat().bytes().map(|c| c == b'#').collect();
        assert_eq!(ours[..15 * 24 - 1], theirs[25..]);
    }
}
