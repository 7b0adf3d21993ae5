//! Burning polygons into a raster. A pixel belongs to a polygon if its centre lies inside (even-odd
//! over all rings). A centre on an edge belongs to one side only: of two polygons that share an
//! edge exactly one gets it, so neighbours neither overlap nor leave gaps. Whatever rectangle is
//! filled, a pixel is decided from absolute coordinates: a part equals the same part of the whole.

use std::ops::Range;

use swath_proto::geometry::{RectPx, WindowPx};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolygon {
    #[error("a polygon has a coordinate that is not a number, or farther than 10^12 px away")]
    Coordinate,
}

const FARTHEST: f64 = 1e12;

/// An outline and its holes, in pixels of the scene: the centre of the first pixel is (0.5, 0.5).
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    rings: Vec<Vec<[f64; 2]>>,
    /// Of polygons with many edges, which are few.
    near: Option<Box<Near>>,
}

/// The edges of a polygon by the rows that they cross, so that a small rectangle does not pay for the whole
/// outline.
#[derive(Clone, Debug, PartialEq)]
struct Near {
    first_row: i64,
    /// Where each band of rows begins in `edges`, and the end.
    starts: Vec<u32>,
    edges: Vec<Edge>,
}

const BAND_ROWS: i64 = 256;
/// Fewer edges are looked at one by one.
const FEW_EDGES: usize = 128;
/// A polygon far larger than any scene is not sorted into bands.
const MAX_BANDS: i64 = 1 << 16;

impl Polygon {
    /// Rings of (column, row). The last point is joined to the first, whether or not it repeats it.
    pub fn new(mut rings: Vec<Vec<[f64; 2]>>) -> Result<Self, BadPolygon> {
        // A scene may have a hundred thousand of them in memory.
        rings.iter_mut().for_each(Vec::shrink_to_fit);
        rings.shrink_to_fit();
        if rings.iter().flatten().flatten().all(|c| c.abs() <= FARTHEST) {
            let mut polygon = Self { rings, near: None };
            if polygon.rings.iter().map(Vec::len).sum::<usize>() > FEW_EDGES {
                polygon.near = Near::of(polygon.edges()).map(Box::new);
            }
            Ok(polygon)
        } else {
            Err(BadPolygon::Coordinate)
        }
    }

    fn edges(&self) -> impl Iterator<Item = Edge> {
        self.rings.iter().flat_map(|ring| {
            let ends = ring.iter().cycle().skip(1);
            ring.iter().zip(ends).filter_map(|(&a, &b)| Edge::between(a, b))
        })
    }
}

impl Near {
    fn of(edges: impl Iterator<Item = Edge>) -> Option<Self> {
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
    fn each(&self, rows: &Range<i64>, mut take: impl FnMut(Edge)) {
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
#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    top: [f64; 2],
    bottom: [f64; 2],
}

impl Edge {
    /// `None` for a level edge, which no line of pixel centres crosses.
    fn between(a: [f64; 2], b: [f64; 2]) -> Option<Self> {
        match a[1].partial_cmp(&b[1])? {
            std::cmp::Ordering::Less => Some(Self { top: a, bottom: b }),
            std::cmp::Ordering::Greater => Some(Self { top: b, bottom: a }),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// Rows whose centres lie from the top (included) to the bottom (excluded).
    fn rows(&self, within: Range<i64>) -> Range<i64> {
        let row = |y: f64| ((y - 0.5).ceil() as i64).clamp(within.start, within.end);
        row(self.top[1])..row(self.bottom[1])
    }

    /// The first column whose centre lies right of the edge in this row.
    fn column_after(&self, row: i64) -> i64 {
        let (down, across) = (self.bottom[1] - self.top[1], self.bottom[0] - self.top[0]);
        // Multiplied first: exact where corners lie on whole and half pixels.
        let x = self.top[0] + (row as f64 + 0.5 - self.top[1]) * across / down;
        (x + 0.5).floor() as i64
    }
}

/// Writes each polygon's value into the pixels of `rect` that it covers; later ones overwrite.
/// Other pixels of `out` stay as they are.
///
/// # Panics
/// If `out` is not as large as `rect`.
pub fn fill<'a>(polygons: impl Iterator<Item = (&'a Polygon, u8)>, rect: RectPx, out: &mut [u8]) {
    fill_window(polygons, WindowPx::new(rect.col.into(), rect.row.into(), rect.width, rect.height), out);
}

/// As [`fill`], for a rectangle that need not lie within a scene.
///
/// # Panics
/// If `out` is not as large as `window`.
pub fn fill_window<'a>(polygons: impl Iterator<Item = (&'a Polygon, u8)>, window: WindowPx, out: &mut [u8]) {
    let width = window.width as usize;
    assert_eq!(out.len(), width * window.height as usize, "the plane of {window}");
    let rows = window.row..window.row.saturating_add(i64::from(window.height));
    let first_col = window.col;
    let mut edges: Vec<(Range<i64>, Edge)> = Vec::new();
    let mut active: Vec<(i64, Edge)> = Vec::new();
    let mut columns: Vec<usize> = Vec::new();
    for (polygon, value) in polygons {
        edges.clear();
        let mut take = |edge: Edge| {
            let rows = edge.rows(rows.clone());
            if !rows.is_empty() {
                edges.push((rows, edge));
            }
        };
        match &polygon.near {
            Some(near) => near.each(&rows, take),
            None => polygon.edges().for_each(&mut take),
        }
        edges.sort_unstable_by_key(|(rows, _)| rows.start);
        let Some((first, _)) = edges.first() else { continue };
        let mut row = first.start;
        let mut waiting = edges.iter().peekable();
        active.clear();
        loop {
            active.retain(|(end, _)| *end > row);
            while let Some((rows, edge)) = waiting.next_if(|(rows, _)| rows.start == row) {
                active.push((rows.end, *edge));
            }
            if active.is_empty() {
                match waiting.peek() {
                    Some((rows, _)) => row = rows.start,
                    None => break,
                }
                continue;
            }
            columns.clear();
            let clip = |col: i64| col.saturating_sub(first_col).clamp(0, i64::from(window.width)) as usize;
            columns.extend(active.iter().map(|(_, edge)| clip(edge.column_after(row))));
            columns.sort_unstable();
            let line = (row - rows.start) as usize * width;
            for pair in columns.chunks_exact(2) {
                out[line + pair[0]..line + pair[1]].fill(value);
            }
            row += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const RECT: RectPx = RectPx::new(0, 0, 40, 30);

    fn polygon(rings: &[&[[f64; 2]]]) -> Polygon {
        Polygon::new(rings.iter().map(|ring| ring.to_vec()).collect()).unwrap()
    }

    fn filled(polygons: &[Polygon], rect: RectPx) -> Vec<u8> {
        let mut out = vec![0; rect.pixels() as usize];
        fill(polygons.iter().zip(1..), rect, &mut out);
        out
    }

    /// A ray to the left from each pixel's centre.
    fn naive(polygon: &Polygon, col: u32, row: u32) -> bool {
        let (x, y) = (f64::from(col) + 0.5, f64::from(row) + 0.5);
        let crossings = polygon.rings.iter().flat_map(|ring| {
            let n = ring.len();
            (0..n).map(move |i| (ring[i], ring[(i + 1) % n]))
        });
        crossings
            .filter(|(a, b)| (a[1] <= y) != (b[1] <= y))
            .map(|(a, b)| if a[1] < b[1] { (a, b) } else { (b, a) })
            .filter(|(a, b)| (y - a[1]) * (b[0] - a[0]) < (x - a[0]) * (b[1] - a[1]))
            .count()
            % 2
            == 1
    }

    #[test]
    fn a_square_with_a_hole_covers_the_centres_inside() {
        let ring = |from: f64, to: f64| [[from, from], [to, from], [to, to], [from, to], [from, from]];
        let square = polygon(&[&ring(0.6, 4.5), &ring(2.0, 3.0)]);
        #[rustfmt::skip]
        assert_eq!(filled(&[square], RectPx::new(0, 0, 6, 5)), [
            0, 0, 0, 0, 0, 0,
            0, 1, 1, 1, 1, 0,
            0, 1, 0, 1, 1, 0,
            0, 1, 1, 1, 1, 0,
            0, 0, 0, 0, 0, 0,
        ]);
    }

    #[test]
    fn random_polygons_are_filled_as_by_casting_rays() {
        let mut rng = StdRng::seed_from_u64(7);
        for case in 0..400 {
            // Every other polygon has its corners on centres and borders of pixels.
            let mut at = |len: f64| match case % 2 {
                0 => rng.random_range(-10.0..len + 10.0),
                _ => f64::from(rng.random_range(-4..2 * len as i32 + 4)) * 0.5,
            };
            let mut ring = |n| (0..n).map(|_| [at(40.0), at(30.0)]).collect::<Vec<_>>();
            let star = Polygon::new(vec![ring(3 + case % 9), ring(3)]).unwrap();
            let got = filled(std::slice::from_ref(&star), RECT);
            for (row, col) in (0..30).flat_map(|r| (0..40).map(move |c| (r, c))) {
                let inside = got[(row * 40 + col) as usize] == 1;
                assert_eq!(inside, naive(&star, col, row), "case {case}: column {col}, row {row}");
            }
        }
    }

    #[test]
    fn neighbours_share_every_pixel_between_them() {
        let mut rng = StdRng::seed_from_u64(8);
        for case in 0..300 {
            let mut at = |len: i32| match case % 2 {
                0 => rng.random_range(0.0..f64::from(len)),
                _ => f64::from(rng.random_range(0..2 * len)) * 0.5,
            };
            // A fan of triangles around a point tiles the rectangle.
            let middle = [at(40), at(30)];
            let corners = [
                [0.0, 0.0],
                [at(40), 0.0],
                [40.0, 0.0],
                [40.0, at(30)],
                [40.0, 30.0],
                [0.0, 30.0],
                [0.0, at(30)],
            ];
            let mut cover = vec![0; RECT.pixels() as usize];
            for i in 0..corners.len() {
                let (a, b) = (corners[i], corners[(i + 1) % corners.len()]);
                let triangle = if case % 3 == 0 { [middle, a, b] } else { [b, a, middle] };
                let got = filled(&[polygon(&[&triangle])], RECT);
                cover.iter_mut().zip(got).for_each(|(sum, one)| *sum += one);
            }
            assert!(cover.iter().all(|&n| n == 1), "case {case}");
        }
    }

    #[test]
    fn a_part_equals_the_same_part_of_the_whole() {
        let mut rng = StdRng::seed_from_u64(9);
        for _ in 0..100 {
            let polygons: Vec<_> = (0..5)
                .map(|_| {
                    let mut at = |len: f64| rng.random_range(-20.0..len + 20.0);
                    Polygon::new(vec![(0..6).map(|_| [at(40.0), at(30.0)]).collect()]).unwrap()
                })
                .collect();
            let whole = filled(&polygons, RECT);
            let (col, row) = (rng.random_range(0..40), rng.random_range(0..30));
            let part = RectPx::new(col, row, rng.random_range(1..=40 - col), rng.random_range(1..=30 - row));
            let wanted: Vec<u8> = (part.row..part.bottom())
                .flat_map(|r| whole[(r * 40 + part.col) as usize..(r * 40 + part.right()) as usize].to_vec())
                .collect();
            assert_eq!(filled(&polygons, part), wanted);
        }
    }

    #[test]
    fn an_outline_of_many_edges_is_filled_as_one_of_few() {
        let mut rng = StdRng::seed_from_u64(10);
        for case in 0..20 {
            // Rings that wind far beyond the rectangle, with short edges and long ones.
            let mut at = |len: f64| rng.random_range(-2.0 * len..3.0 * len);
            let ring: Vec<[f64; 2]> = (0..400).map(|_| [at(40.0), at(900.0)]).collect();
            let sorted = Polygon::new(vec![ring]).unwrap();
            assert!(sorted.near.is_some());
            let plain = Polygon { near: None, ..sorted.clone() };
            for row in [0, 200, 255, 256, 257, 700, 2000, 6000] {
                let rect = RectPx::new(3, row, 40, 30 + case);
                let [a, b] = [&sorted, &plain].map(|one| filled(std::slice::from_ref(one), rect));
                assert_eq!(a, b, "row {row}");
            }
            let window = WindowPx::new(-20, -900, 50, 800);
            let mut out = [vec![0; 40_000], vec![0; 40_000]];
            fill_window([(&sorted, 1)].into_iter(), window, &mut out[0]);
            fill_window([(&plain, 1)].into_iter(), window, &mut out[1]);
            assert!(out[0] == out[1] && out[0].contains(&1));
        }
    }

    #[test]
    fn later_polygons_overwrite_and_odd_shapes_do_no_harm() {
        let wide = [[-1e12, -1e12], [1e12, -1e12], [1e12, 1e12], [-1e12, 1e12]];
        let everything = polygon(&[&wide]);
        let nothing =
            [polygon(&[]), polygon(&[&[]]), polygon(&[&[[3.0, 3.0]]]), polygon(&[&[[1.0, 1.0], [9.0, 9.0]]])];
        assert!(filled(&nothing, RECT).iter().all(|&v| v == 0));
        let small = polygon(&[&[[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]]]);
        let got = filled(&[small.clone(), everything.clone(), small], RECT);
        assert_eq!((got[41], got.iter().filter(|&&v| v == 2).count()), (3, 1199));
        for bad in [f64::NAN, f64::INFINITY, -1e300] {
            assert_eq!(Polygon::new(vec![vec![[0.0, bad]]]), Err(BadPolygon::Coordinate));
        }
    }
}
