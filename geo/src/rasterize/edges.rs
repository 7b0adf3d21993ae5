//! Edges of polygons, and where many of them are found again.

use std::ops::Range;

/// The edges of a polygon by the rows that they cross, so that a small rectangle does not pay for the whole
/// outline.
#[derive(Clone, Debug)]
pub(super) struct Near {
    first_row: i64,
    /// Where each band of rows begins in `edges`, and the end.
    starts: Vec<u32>,
    edges: Vec<Edge>,
}

const BAND_ROWS: i64 = 256;
/// A polygon far larger than any scene is not sorted into bands.
const MAX_BANDS: i64 = 1 << 16;

impl Near {
    pub(super) fn of(edges: impl Iterator<Item = Edge>) -> Option<Self> {
        let all = i64::MIN..i64::MAX;
        let edges: Vec<(Range<i64>, Edge)> =
            edges.map(|edge| (edge.rows(all.clone()), edge)).filter(|(rows, _)| !rows.is_empty()).collect();
        let first_row = edges.iter().map(|(rows, _)| rows.start).min()?;
        let end = edges.iter().map(|(rows, _)| rows.end).max()?;
        let n_bands = (end - first_row - 1) / BAND_ROWS + 1;
        if n_bands > MAX_BANDS {
            return None;
        }
        let bands = |rows: &Range<i64>| {
            ((rows.start - first_row) / BAND_ROWS) as usize
                ..((rows.end - 1 - first_row) / BAND_ROWS + 1) as usize
        };
        let mut starts = vec![0u32; n_bands as usize + 1];
        for (rows, _) in &edges {
            for band in bands(rows) {
                starts[band + 1] = starts[band + 1].checked_add(1)?;
            }
        }
        for band in 1..starts.len() {
            starts[band] = starts[band].checked_add(starts[band - 1])?;
        }
        let (_, first) = edges.first()?;
        let mut sorted = vec![*first; *starts.last()? as usize];
        let mut next = starts.clone();
        for (rows, edge) in &edges {
            for band in bands(rows) {
                sorted[next[band] as usize] = *edge;
                next[band] += 1;
            }
        }
        Some(Self { first_row, starts, edges: sorted })
    }

    /// Calls `take` once with each edge that may cross one of these rows.
    pub(super) fn each(&self, rows: &Range<i64>, mut take: impl FnMut(Edge)) {
        let n_bands = self.starts.len() as i64 - 1;
        let band = |row: i64| (row - self.first_row).div_euclid(BAND_ROWS).clamp(0, n_bands);
        let (first, end) = (band(rows.start), band(rows.end.saturating_sub(1)).min(n_bands - 1));
        for number in first..=end {
            let range = self.starts[number as usize] as usize..self.starts[number as usize + 1] as usize;
            for edge in &self.edges[range] {
                // Where an edge crosses several bands, the first of them has it.
                let begins = band(edge.rows(i64::MIN..i64::MAX).start);
                if begins == number || number == first {
                    take(*edge);
                }
            }
        }
    }
}

/// Downwards, so that both polygons that share an edge compute the same crossings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    top: [f64; 2],
    bottom: [f64; 2],
}

impl Edge {
    /// `None` for a level edge, which no line of pixel centres crosses.
    pub(super) fn between(a: [f64; 2], b: [f64; 2]) -> Option<Self> {
        match a[1].partial_cmp(&b[1])? {
            std::cmp::Ordering::Less => Some(Self { top: a, bottom: b }),
            std::cmp::Ordering::Greater => Some(Self { top: b, bottom: a }),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// Rows whose centres lie from the top (included) to the bottom (excluded).
    pub(super) fn rows(&self, within: Range<i64>) -> Range<i64> {
        let row = |y: f64| ((y - 0.5).ceil() as i64).clamp(within.start, within.end);
        row(self.top[1])..row(self.bottom[1])
    }

    /// The first column whose centre lies right of the edge in this row.
    pub(super) fn column_after(&self, row: i64) -> i64 {
        let (down, across) = (self.bottom[1] - self.top[1], self.bottom[0] - self.top[0]);
        // Multiplied first: exact where corners lie on whole and half pixels.
        let x = self.top[0] + (row as f64 + 0.5 - self.top[1]) * across / down;
        (x + 0.5).floor() as i64
    }
}
