//! Fewer corners, by Douglas and Peucker, over whole rings from their first corners: how a scene
//! was cut can't show.
//!
//! A stretch of a ring gives way to a straight line if its corners lie within the tolerance of the
//! line *and* no other corner of the polygon lies on or between the two; else the stretch is cut in
//! two at its farthest corner. The second condition keeps the polygon valid. If two lines crossed,
//! the one would have to leave the closed curve of the other's stretch and line again, its ends
//! being outside: through the stretch, which no stretch does in the polygon as traced, or through
//! the line once more, which a straight line can't. For the same reason a hole stays where it is, in
//! its outer ring and out of other holes. Polygons are looked at one by one: two that lie closer
//! than twice the tolerance may overlap by that much.

use rstar::{AABB, RTree, primitives::GeomWithData};

use super::{corner::Corner, polygon::Polygon, rings::Ring};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simplified {
    pub polygon: Polygon,
    /// Stretches that the tolerance alone would have let go, but that had to stay more detailed for
    /// the polygon to stay valid.
    pub n_held: usize,
}

/// Every corner that is left out lies within the tolerance of the line that replaces it. A ring
/// keeps three corners at least (four positions, where the first is repeated), its first among them.
/// A tolerance that is not above 0 changes nothing.
pub fn simplify(polygon: Polygon, tolerance_px: f64) -> Simplified {
    if tolerance_px.is_nan() || tolerance_px <= 0.0 {
        return Simplified { polygon, n_held: 0 };
    }
    let mut lines = Lines::of(&polygon, tolerance_px);
    let rings = polygon.rings.iter().enumerate().map(|(number, ring)| lines.simplify(number, ring)).collect();
    Simplified { n_held: lines.n_held, polygon: Polygon { rings, ..polygon } }
}

/// A corner of the polygon as traced: its ring and its place there.
type Place = GeomWithData<[i64; 2], (usize, usize)>;

struct Lines {
    corners: RTree<Place>,
    tolerance_px: f64,
    n_held: usize,
}

impl Lines {
    fn of(polygon: &Polygon, tolerance_px: f64) -> Self {
        let places = polygon.rings.iter().enumerate().flat_map(|(number, ring)| {
            let corners = ring.corners().iter().enumerate();
            corners.map(move |(i, &corner)| Place::new(point(corner), (number, i)))
        });
        Self { corners: RTree::bulk_load(places.collect()), tolerance_px, n_held: 0 }
    }

    fn simplify(&mut self, number: usize, ring: &Ring) -> Ring {
        let closed: Vec<_> = ring.corners().iter().chain(ring.corners().first()).copied().collect();
        let mut kept = Vec::new();
        // Each stretch is done when those before it are, so corners are kept in their order.
        let mut stretches: Vec<_> =
            anchors(&closed).windows(2).rev().map(|ends| (ends[0], ends[1])).collect();
        while let Some((from, to)) = stretches.pop() {
            let (a, b) = (closed[from], closed[to]);
            let inner = from + 1..to;
            match farthest(inner, |i| distance2(closed[i], a, b)) {
                Some((far, distance2)) if !self.gives_way(number, &closed, (from, to), distance2) => {
                    stretches.extend([(far, to), (from, far)]);
                }
                _ => kept.push(a),
            }
        }
        Ring(kept)
    }

    /// Whether a straight line may replace a stretch of a ring.
    fn gives_way(
        &mut self,
        number: usize,
        closed: &[Corner],
        (from, to): (usize, usize),
        farthest2: f64,
    ) -> bool {
        let tolerance2 = self.tolerance_px * self.tolerance_px;
        if farthest2 > tolerance2 {
            return false;
        }
        let stretch = &closed[from..=to];
        let (a, b) = (closed[from], closed[to]);
        // What the curve encloses is no farther from the line than its corners. The excess makes up
        // for rounding.
        let near = |corner| distance2(corner, a, b) <= tolerance2 * 1.001;
        let in_the_way = |place: &Place| {
            let (other, i) = place.data;
            let corner = corner_of(place);
            let own = other == number && from < i && i < to;
            !own && corner != a && corner != b && near(corner) && encloses(stretch, corner)
        };
        let around =
            AABB::from_points(stretch.iter().map(|&corner| point(corner)).collect::<Vec<_>>().iter());
        let free = !self.corners.locate_in_envelope_intersecting(&around).any(in_the_way);
        self.n_held += usize::from(!free);
        free
    }
}

/// Corners to begin with: the first, the farthest from it, and the farthest from the line between
/// them. They lie on the ring's hull, so what is left always runs around as the ring did.
fn anchors(closed: &[Corner]) -> [usize; 4] {
    let last = closed.len() - 1;
    let first = closed[0];
    let far = farthest(1..last, |i| square(closed[i], first)).map_or(last, |(i, _)| i);
    let off_line = |i: usize| cross(first, closed[far], closed[i]).unsigned_abs();
    let off = farthest(1..last, off_line).map_or(last, |(i, _)| i);
    [0, far.min(off), far.max(off), last]
}

/// The first of the largest.
fn farthest<D: PartialOrd>(
    among: std::ops::Range<usize>,
    distance: impl Fn(usize) -> D,
) -> Option<(usize, D)> {
    among.map(|i| (i, distance(i))).reduce(|best, next| if next.1 > best.1 { next } else { best })
}

fn point(corner: Corner) -> [i64; 2] {
    [i64::from(corner.row), i64::from(corner.col)]
}

fn corner_of(place: &Place) -> Corner {
    let [row, col] = *place.geom();
    Corner::new(row as u32, col as u32)
}

/// Twice the area of a triangle; 0 if its corners lie on a line.
fn cross(a: Corner, b: Corner, c: Corner) -> i128 {
    let minus = |x: u32, y: u32| i128::from(x) - i128::from(y);
    minus(b.row, a.row) * minus(c.col, a.col) - minus(b.col, a.col) * minus(c.row, a.row)
}

fn square(a: Corner, b: Corner) -> u128 {
    let (rows, cols) = (u128::from(a.row.abs_diff(b.row)), u128::from(a.col.abs_diff(b.col)));
    rows * rows + cols * cols
}

/// The square of the distance from a corner to the line from `a` to `b`, which ends there.
fn distance2(corner: Corner, a: Corner, b: Corner) -> f64 {
    let (to_a, to_b, line) = (square(corner, a), square(corner, b), square(a, b));
    if to_a + line <= to_b {
        to_a as f64
    } else if to_b + line <= to_a {
        to_b as f64
    } else {
        let area = cross(a, b, corner) as f64;
        area * area / line as f64
    }
}

/// Whether a corner lies on the closed curve of a stretch and the line between its ends, or in it:
/// the curve may cross itself, and in is where a ray crosses it an odd number of times.
fn encloses(stretch: &[Corner], corner: Corner) -> bool {
    let mut inside = false;
    for (&a, &b) in stretch.iter().zip(stretch.iter().cycle().skip(1)) {
        let (top, bottom) = (a.min(b), a.max(b));
        let side = cross(top, bottom, corner);
        let between = (top.col.min(bottom.col)..=top.col.max(bottom.col)).contains(&corner.col);
        if side == 0 && between && (top.row..=bottom.row).contains(&corner.row) {
            return true;
        }
        inside ^= top.row <= corner.row && corner.row < bottom.row && side > 0;
    }
    inside
}
