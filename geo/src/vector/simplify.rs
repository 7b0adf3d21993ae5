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

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::vector::tests::Raster;

    fn simplified(rows: &[&str], tolerance_px: f64) -> Vec<Vec<Vec<(u32, u32)>>> {
        let simple = |polygon| simplify(polygon, tolerance_px).polygon;
        let corners = |ring: &Ring| ring.corners().iter().map(|corner| (corner.row, corner.col)).collect();
        let polygons = Raster::drawn(rows).polygons(0).into_iter().map(simple);
        polygons.map(|polygon| polygon.rings.iter().map(corners).collect()).collect()
    }

    type Line = (Corner, Corner);

    fn lines(ring: &Ring) -> Vec<Line> {
        let corners = ring.corners();
        corners.iter().copied().zip(corners.iter().copied().cycle().skip(1)).collect()
    }

    fn is_on((a, b): Line, corner: Corner) -> bool {
        cross(a, b, corner) == 0 && distance2(corner, a, b) == 0.0
    }

    /// Whether two lines have a point in common that is not an end of both.
    fn are_in_conflict(one: Line, other: Line) -> bool {
        let ends = [one.0, one.1, other.0, other.1];
        let touches = |line: Line, end: Corner| end != line.0 && end != line.1 && is_on(line, end);
        if ends[2..].iter().any(|&end| touches(one, end)) || ends[..2].iter().any(|&end| touches(other, end))
        {
            return true;
        }
        let sides = |(a, b): Line, (c, d): Line| cross(a, b, c).signum() * cross(a, b, d).signum() < 0;
        sides(one, other) && sides(other, one)
    }

    fn assert_is_valid(polygon: &Polygon) {
        let all: Vec<_> = polygon.rings.iter().flat_map(lines).collect();
        for (i, &one) in all.iter().enumerate() {
            assert_ne!(one.0, one.1);
            for &other in &all[i + 1..] {
                assert!(one != other && one != (other.1, other.0), "{one:?} twice");
                assert!(!are_in_conflict(one, other), "{one:?} {other:?} of {polygon:?}");
            }
        }
        let (outer, holes) = polygon.rings.split_first().unwrap();
        assert!(outer.twice_area_px() > 0 && outer.corners().len() >= 3);
        for (i, hole) in holes.iter().enumerate() {
            assert!(hole.twice_area_px() < 0 && hole.corners().len() >= 3);
            let is_in = |ring: &Ring| {
                let free = |corner: &&Corner| !ring.corners().contains(corner);
                encloses(ring.corners(), *hole.corners().iter().find(free).unwrap())
            };
            assert!(is_in(outer), "a hole outside of {polygon:?}");
            assert!(!holes.iter().enumerate().any(|(j, other)| i != j && is_in(other)), "a hole in a hole");
        }
    }

    #[test]
    fn a_staircase_becomes_a_slope() {
        let stairs = ["#......", "##.....", "###....", "####...", "#####..", "######.", "#######"];
        assert_eq!(simplified(&stairs, 1.0), [[[(0, 0), (7, 0), (7, 7)]]]);
        assert_eq!(simplified(&stairs, 0.4), simplified(&stairs, 0.0));
    }

    #[test]
    fn bumps_go_and_corners_stay() {
        let bumpy = ["##.####", "#######", "#######", "######.", "#######", "#######"];
        assert_eq!(simplified(&bumpy, 1.0), [[[(0, 0), (6, 0), (6, 7), (0, 7)]]]);
        assert_eq!(simplified(&bumpy, 0.6), simplified(&bumpy, 0.0));
    }

    #[test]
    fn a_tolerance_of_nothing_changes_nothing_and_a_huge_one_leaves_triangles() {
        let shape = ["#####", "#.###", "#.#.#", "#####"];
        for nothing in [0.0, -1.0, f64::NAN] {
            assert_eq!(simplified(&shape, nothing), simplified(&shape, 1e-9));
        }
        assert_eq!(simplified(&["##", "##"], 1e300), [[[(0, 0), (2, 0), (2, 2)]]]);
        assert_eq!(simplified(&["##", "##"], f64::INFINITY), [[[(0, 0), (2, 0), (2, 2)]]]);
    }

    #[test]
    fn an_edge_does_not_jump_over_a_hole() {
        let (edge, bump) = ("...#########", "############");
        let mut rows = [edge; 12];
        rows[2..5].fill(bump);
        assert_eq!(simplified(&rows, 3.0), [[[(0, 3), (12, 3), (12, 12), (0, 12)]]]);
        rows[3] = "#.##########";
        let Simplified { polygon, n_held } = simplify(Raster::drawn(&rows).polygons(0).remove(0), 3.0);
        assert_is_valid(&polygon);
        assert_eq!(polygon.rings.len(), 2);
        assert!(n_held > 0 && polygon.rings[0].corners().len() > 4);
    }

    #[test]
    fn a_hole_at_the_far_end_of_a_bump_holds_it() {
        let (edge, bump) = ("........".to_owned() + &"#".repeat(40), "#".repeat(48));
        let mut rows = [edge.as_str(); 40];
        rows[10..13].fill(&bump);
        let plain = Raster::drawn(&rows).polygons(0).remove(0);
        assert_eq!(simplify(plain, 8.0).polygon.rings[0].corners().len(), 4);
        let holed = "#.".to_owned() + &"#".repeat(46);
        rows[11] = &holed;
        let Simplified { polygon, n_held } = simplify(Raster::drawn(&rows).polygons(0).remove(0), 8.0);
        assert_is_valid(&polygon);
        assert!(n_held > 0);
    }

    #[test]
    fn simplified_polygons_of_random_rasters_are_valid_and_near() {
        let mut rng = StdRng::seed_from_u64(5);
        let (mut n_held, mut n_before, mut n_after) = (0, 0, 0);
        for case in 0..2000 {
            let tolerance_px = [0.5, 0.8, 1.0, 1.5, 3.0, 10.0][case % 6];
            let raster = Raster::random(&mut rng);
            for before in raster.polygons([0, 2, 4][case % 3]) {
                let after = simplify(before.clone(), tolerance_px);
                n_held += after.n_held;
                let polygon = after.polygon;
                assert_is_valid(&polygon);
                assert_eq!((polygon.area_px, polygon.rings.len()), (before.area_px, before.rings.len()));
                for (ring, old) in polygon.rings.iter().zip(&before.rings) {
                    n_before += old.corners().len();
                    n_after += ring.corners().len();
                    assert_eq!(ring.corners()[0], old.corners()[0]);
                    let mut olds = old.corners().iter();
                    assert!(ring.corners().iter().all(|corner| olds.any(|old| old == corner)));
                    let is_near = |corner: &Corner| {
                        let distances = lines(ring).into_iter().map(|(a, b)| distance2(*corner, a, b).sqrt());
                        distances.fold(f64::INFINITY, f64::min) <= tolerance_px + 1e-9
                    };
                    assert!(old.corners().iter().all(is_near));
                }
            }
        }
        assert!(n_held > 100 && n_after * 4 < n_before * 3, "{n_held} {n_before} {n_after}");
    }

    #[test]
    fn corners_far_out_do_not_overflow() {
        let far = u32::MAX;
        let corners = [(0, 0), (far, 0), (far, far), (1, far), (1, far - 1), (0, far - 1)];
        let ring = Ring(corners.map(|(row, col)| Corner::new(row, col)).to_vec());
        let polygon = Polygon { rings: vec![ring], area_px: 0, score_sum: 0 };
        assert_eq!(simplify(polygon, 2.0).polygon.rings[0].corners().len(), 4);
    }
}
