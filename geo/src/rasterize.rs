//! Burning polygons into a raster. A pixel belongs to a polygon if its centre lies inside (even-odd
//! over all rings). A centre on an edge belongs to one side only: of two polygons that share an
//! edge exactly one gets it, so neighbours neither overlap nor leave gaps. Whatever rectangle is
//! filled, a pixel is decided from absolute coordinates: a part equals the same part of the whole.

mod edges;

use std::{collections::BTreeMap, ops::Range};

use swath_proto::geometry::{RectPx, WindowPx};

use edges::{Edge, Near};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolygon {
    #[error("a polygon has a coordinate that is not a number, or farther than 10^12 px away")]
    Coordinate,
    #[error("these are more than 2^32 corners, which is more than can be held at once")]
    TooMany,
}

const FARTHEST: f64 = 1e12;
/// Fewer edges are looked at one by one.
const FEW_EDGES: usize = 128;

/// Polygons side by side in memory: a scene may have hundreds of thousands of them.
#[derive(Clone, Debug, Default)]
pub struct Polygons {
    /// No ring repeats its first point.
    points: Vec<[f64; 2]>,
    /// Where each ring ends among the points.
    rings: Vec<u32>,
    /// Where each polygon ends among the rings.
    ends: Vec<u32>,
    /// Of those with many edges, which are few.
    near: BTreeMap<u32, Near>,
}

/// An outline and its holes, in pixels of the scene: the centre of the first pixel is (0.5, 0.5).
#[derive(Clone, Copy, Debug)]
pub struct Polygon<'a> {
    points: &'a [[f64; 2]],
    begins: u32,
    rings: &'a [u32],
    near: Option<&'a Near>,
}

impl Polygons {
    /// One more, of rings of (column, row). The last point is joined to the first, whether or not it repeats it.
    pub fn push(&mut self, rings: &[Vec<[f64; 2]>]) -> Result<(), BadPolygon> {
        check(rings)?;
        let n_points = self.points.len() + rings.iter().map(Vec::len).sum::<usize>();
        if u32::try_from(n_points.max(self.rings.len() + rings.len())).is_err() {
            return Err(BadPolygon::TooMany);
        }
        for ring in rings {
            let repeats = ring.len() > 1 && ring.first() == ring.last();
            self.points.extend_from_slice(&ring[..ring.len() - usize::from(repeats)]);
            self.rings.push(self.points.len() as u32);
        }
        self.ends.push(self.rings.len() as u32);
        let polygon = self.nth(self.ends.len() as u32 - 1);
        if polygon.n_points() > FEW_EDGES
            && let Some(near) = Near::of(polygon.edges())
        {
            self.near.insert(self.ends.len() as u32 - 1, near);
        }
        Ok(())
    }

    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// By the order in which they came, from 0.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn nth(&self, nth: u32) -> Polygon<'_> {
        let before = |ends: &[u32], at: u32| at.checked_sub(1).map_or(0, |last| ends[last as usize]);
        let first_ring = before(&self.ends, nth);
        Polygon {
            points: &self.points,
            begins: before(&self.rings, first_ring),
            rings: &self.rings[first_ring as usize..self.ends[nth as usize] as usize],
            near: self.near.get(&nth),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Polygon<'_>> {
        (0..self.ends.len() as u32).map(|nth| self.nth(nth))
    }
}

/// Whether rings may be burnt.
pub fn check(rings: &[Vec<[f64; 2]>]) -> Result<(), BadPolygon> {
    let all = rings.iter().flatten().flatten().all(|c| c.abs() <= FARTHEST);
    all.then_some(()).ok_or(BadPolygon::Coordinate)
}

impl<'a> Polygon<'a> {
    fn n_points(self) -> usize {
        self.rings.last().map_or(0, |end| (end - self.begins) as usize)
    }

    fn rings(self) -> impl Iterator<Item = &'a [[f64; 2]]> {
        let begins = std::iter::once(self.begins).chain(self.rings.iter().copied());
        begins.zip(self.rings).map(move |(begins, &end)| &self.points[begins as usize..end as usize])
    }

    fn edges(self) -> impl Iterator<Item = Edge> {
        self.rings().flat_map(|ring| {
            let ends = ring.iter().cycle().skip(1);
            ring.iter().zip(ends).filter_map(|(&a, &b)| Edge::between(a, b))
        })
    }
}

/// Writes each polygon's value into the pixels of `rect` that it covers; later ones overwrite.
/// Other pixels of `out` stay as they are.
///
/// # Panics
/// If `out` is not as large as `rect`.
pub fn fill<'a>(polygons: impl Iterator<Item = (Polygon<'a>, u8)>, rect: RectPx, out: &mut [u8]) {
    fill_window(polygons, WindowPx::new(rect.col.into(), rect.row.into(), rect.width, rect.height), out);
}

/// As [`fill`], for a rectangle that need not lie within a scene.
///
/// # Panics
/// If `out` is not as large as `window`.
pub fn fill_window<'a>(polygons: impl Iterator<Item = (Polygon<'a>, u8)>, window: WindowPx, out: &mut [u8]) {
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
        match polygon.near {
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

    fn polygons(all: &[&[&[[f64; 2]]]]) -> Polygons {
        let mut polygons = Polygons::default();
        for rings in all {
            polygons.push(&rings.iter().map(|ring| ring.to_vec()).collect::<Vec<_>>()).unwrap();
        }
        polygons
    }

    fn filled(polygons: &Polygons, rect: RectPx) -> Vec<u8> {
        let mut out = vec![0; rect.pixels() as usize];
        fill(polygons.iter().zip(1..), rect, &mut out);
        out
    }

    /// A ray to the left from each pixel's centre.
    fn naive(rings: &[Vec<[f64; 2]>], col: u32, row: u32) -> bool {
        let (x, y) = (f64::from(col) + 0.5, f64::from(row) + 0.5);
        let crossings = rings.iter().flat_map(|ring| {
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
        let square = polygons(&[&[&ring(0.6, 4.5), &ring(2.0, 3.0)]]);
        #[rustfmt::skip]
        assert_eq!(filled(&square, RectPx::new(0, 0, 6, 5)), [
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
            let rings = [ring(3 + case % 9), ring(3)];
            let mut star = Polygons::default();
            star.push(&rings).unwrap();
            let got = filled(&star, RECT);
            for (row, col) in (0..30).flat_map(|r| (0..40).map(move |c| (r, c))) {
                let inside = got[(row * 40 + col) as usize] == 1;
                assert_eq!(inside, naive(&rings, col, row), "case {case}: column {col}, row {row}");
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
                let got = filled(&polygons(&[&[&triangle]]), RECT);
                cover.iter_mut().zip(got).for_each(|(sum, one)| *sum += one);
            }
            assert!(cover.iter().all(|&n| n == 1), "case {case}");
        }
    }

    #[test]
    fn a_part_equals_the_same_part_of_the_whole() {
        let mut rng = StdRng::seed_from_u64(9);
        for _ in 0..100 {
            let mut polygons = Polygons::default();
            for _ in 0..5 {
                let mut at = |len: f64| rng.random_range(-20.0..len + 20.0);
                polygons.push(&[(0..6).map(|_| [at(40.0), at(30.0)]).collect()]).unwrap();
            }
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
            let few: Vec<[f64; 2]> = (0..5).map(|_| [at(40.0), at(900.0)]).collect();
            let mut sorted = Polygons::default();
            for ring in [few.clone(), ring, few] {
                sorted.push(&[ring]).unwrap();
            }
            assert_eq!([0, 1, 2].map(|nth| sorted.nth(nth).near.is_some()), [false, true, false]);
            let plain = Polygons { near: BTreeMap::new(), ..sorted.clone() };
            for row in [0, 200, 255, 256, 257, 700, 2000, 6000] {
                let rect = RectPx::new(3, row, 40, 30 + case);
                let [a, b] = [&sorted, &plain].map(|one| filled(one, rect));
                assert_eq!(a, b, "row {row}");
            }
            let window = WindowPx::new(-20, -900, 50, 800);
            let mut out = [vec![0; 40_000], vec![0; 40_000]];
            fill_window(sorted.iter().zip(1..), window, &mut out[0]);
            fill_window(plain.iter().zip(1..), window, &mut out[1]);
            assert!(out[0] == out[1] && out[0].contains(&2));
        }
    }

    #[test]
    fn later_polygons_overwrite_and_odd_shapes_do_no_harm() {
        let wide = [[-1e12, -1e12], [1e12, -1e12], [1e12, 1e12], [-1e12, 1e12]];
        let nothing = polygons(&[&[], &[&[]], &[&[[3.0, 3.0]]], &[&[[1.0, 1.0], [9.0, 9.0]]]]);
        assert!(filled(&nothing, RECT).iter().all(|&v| v == 0));
        let small = [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]];
        let got = filled(&polygons(&[&[&small], &[&wide], &[&small]]), RECT);
        assert_eq!((got[41], got.iter().filter(|&&v| v == 2).count()), (3, 1199));
        for bad in [f64::NAN, f64::INFINITY, -1e300] {
            assert_eq!(Polygons::default().push(&[vec![[0.0, bad]]]), Err(BadPolygon::Coordinate));
        }
    }
}
