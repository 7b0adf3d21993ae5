//! A square seen from eight sides: turned by right angles, and mirrored. Windows are turned before the network
//! sees them, and what it says of them is turned back.

use std::ops::Range;

use swath_proto::item::Views;

/// One of the eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Rows and columns change places, and that before anything is mirrored.
    transposed: bool,
    /// Upside down.
    rows_mirrored: bool,
    cols_mirrored: bool,
}

/// A rectangle in a square, window or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub rows: Range<usize>,
    pub cols: Range<usize>,
}

impl View {
    /// The window as it is comes first.
    pub const ALL: [View; 8] = [
        View::of(false, false, false),
        View::of(false, false, true),
        View::of(false, true, false),
        View::of(false, true, true),
        View::of(true, false, false),
        View::of(true, false, true),
        View::of(true, true, false),
        View::of(true, true, true),
    ];

    const fn of(transposed: bool, rows_mirrored: bool, cols_mirrored: bool) -> Self {
        Self { transposed, rows_mirrored, cols_mirrored }
    }

    pub fn of_views(views: Views) -> &'static [View] {
        // Those that are not transposed stand first.
        &Self::ALL[..views.n() as usize]
    }

    /// Where in a window of this edge the pixel lies that the view shows here.
    pub const fn shows(self, edge: usize, row: usize, col: usize) -> usize {
        let (row, col) = if self.transposed { (col, row) } else { (row, col) };
        let row = if self.rows_mirrored { edge - 1 - row } else { row };
        let col = if self.cols_mirrored { edge - 1 - col } else { col };
        row * edge + col
    }

    /// How far it is in the window from a pixel of the view to the next in its row.
    pub const fn step(self, edge: usize) -> isize {
        let (mirrored, step) = match self.transposed {
            true => (self.rows_mirrored, edge as isize),
            false => (self.cols_mirrored, 1),
        };
        if mirrored { -step } else { step }
    }

    /// Where the view shows a part of the window.
    pub fn part(self, edge: usize, of_window: &Part) -> Part {
        let along = |range: &Range<usize>, mirrored: bool| match mirrored {
            true => edge - range.end..edge - range.start,
            false => range.clone(),
        };
        let rows = along(&of_window.rows, self.rows_mirrored);
        let cols = along(&of_window.cols, self.cols_mirrored);
        if self.transposed { Part { rows: cols, cols: rows } } else { Part { rows, cols } }
    }

    /// What the view shows of a window whose pixels have `bands` values side by side.
    ///
    /// # Panics
    /// If one of the two is no square of this edge.
    pub fn turn(self, window: &[f32], edge: usize, bands: usize, view: &mut [f32]) {
        assert_eq!(
            (window.len(), view.len()),
            (edge * edge * bands, edge * edge * bands),
            "values of a window"
        );
        if window.is_empty() {
            return;
        }
        let step = self.step(edge);
        for (row, line) in view.chunks_exact_mut(edge * bands).enumerate() {
            let mut at = self.shows(edge, row, 0);
            if step == 1 {
                line.copy_from_slice(&window[at * bands..][..edge * bands]);
                continue;
            }
            for pixel in line.chunks_exact_mut(bands) {
                pixel.copy_from_slice(&window[at * bands..][..bands]);
                at = at.wrapping_add_signed(step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: usize = 5;
    const BANDS: usize = 2;

    fn window() -> Vec<f32> {
        (0..EDGE * EDGE * BANDS).map(|value| value as f32).collect()
    }

    fn turned(view: View, window: &[f32]) -> Vec<f32> {
        let mut out = vec![-1.0; window.len()];
        view.turn(window, EDGE, BANDS, &mut out);
        out
    }

    #[test]
    fn there_are_eight_views_and_the_first_four_are_mirror_images() {
        let all: Vec<Vec<f32>> = View::ALL.iter().map(|view| turned(*view, &window())).collect();
        assert_eq!(all[0], window());
        for (at, view) in all.iter().enumerate() {
            assert!(!all[..at].contains(view), "{at} is there twice");
        }
        // A row of the first four is a row of the window, forwards or backwards.
        let first_row =
            |view: &[f32]| view.chunks_exact(BANDS).take(EDGE).map(|pixel| pixel[0]).collect::<Vec<_>>();
        assert_eq!(first_row(&all[1]), [8.0, 6.0, 4.0, 2.0, 0.0]);
        assert_eq!(first_row(&all[2]), [40.0, 42.0, 44.0, 46.0, 48.0]);
        assert_eq!(first_row(&all[4]), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(
            [Views::None, Views::Flips, Views::D4].map(|views| View::of_views(views).len()),
            [1, 4, 8]
        );
    }

    #[test]
    fn every_pixel_of_a_view_is_found_in_the_window_step_by_step() {
        let window = window();
        for view in View::ALL {
            let seen = turned(view, &window);
            for row in 0..EDGE {
                for col in 0..EDGE {
                    let at = view.shows(EDGE, row, 0).wrapping_add_signed(view.step(EDGE) * col as isize);
                    assert_eq!(at, view.shows(EDGE, row, col));
                    let pixel = &seen[(row * EDGE + col) * BANDS..][..BANDS];
                    assert_eq!(pixel, &window[at * BANDS..][..BANDS]);
                }
            }
        }
    }

    #[test]
    fn a_part_of_the_window_is_seen_where_it_is_said() {
        let wanted = Part { rows: 1..3, cols: 0..4 };
        for view in View::ALL {
            let part = view.part(EDGE, &wanted);
            let mut seen: Vec<usize> = part
                .rows
                .flat_map(|row| part.cols.clone().map(move |col| view.shows(EDGE, row, col)))
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, [5, 6, 7, 8, 10, 11, 12, 13], "{view:?}");
        }
    }

    #[test]
    fn views_are_closed_under_turning() {
        for first in View::ALL {
            for second in View::ALL {
                let both = turned(second, &turned(first, &window()));
                assert!(View::ALL.iter().any(|view| turned(*view, &window()) == both));
            }
        }
    }
}
