//! Buildings drawn at any angle, and blobs of all kinds.

use rand::{Rng, SeedableRng, rngs::StdRng};
use swath_proto::geometry::SizePx;

use super::*;
use crate::vector::tests::Raster;

/// A shape of right angles, turned about the middle of a scene of 120 px.
fn turned(shape: &[Vector], degrees: f64, middle: Vector) -> Vec<Vector> {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let turn = |&[x, y]: &Vector| [middle[0] + x * cosine - y * sine, middle[1] + x * sine + y * cosine];
    shape.iter().map(turn).collect()
}

fn traced(rings: Vec<Vec<Vector>>) -> Polygon {
    let mut polygons = Raster::burnt(SizePx::new(120, 120), rings).polygons(0);
    polygons.sort_by_key(|polygon| polygon.area_px);
    polygons.pop().unwrap()
}

fn distance([ax, ay]: Vector, [bx, by]: Vector) -> f64 {
    (ax - bx).hypot(ay - by)
}

fn distance_to_side(at: Vector, a: Vector, b: Vector) -> f64 {
    let line = [b[0] - a[0], b[1] - a[1]];
    let along = (at[0] - a[0]) * line[0] + (at[1] - a[1]) * line[1];
    let share = (along / (line[0] * line[0] + line[1] * line[1])).clamp(0.0, 1.0);
    distance(at, [a[0] + share * line[0], a[1] + share * line[1]])
}

fn distance_to_ring(at: Vector, ring: &[Vector]) -> f64 {
    let ends = ring.iter().zip(ring.iter().cycle().skip(1));
    ends.map(|(&a, &b)| distance_to_side(at, a, b)).fold(f64::INFINITY, f64::min)
}

fn assert_is_within(polygon: &Polygon, outline: &Outline, shift_px: f64) {
    assert_eq!(polygon.rings.len(), outline.rings.len());
    for (old, new) in polygon.rings.iter().zip(&outline.rings) {
        let old = positions(old);
        let farthest = |corners: &[Vector], ring: &[Vector]| {
            corners.iter().map(|&at| distance_to_ring(at, ring)).fold(0.0, f64::max)
        };
        let (off, back) = (farthest(&old, new), farthest(new, &old));
        assert!(off.max(back) <= shift_px + 0.001, "{off} {back}: {old:?} {new:?}");
    }
}

/// All angles are right ones, to a tenth of a degree.
fn is_right_angled(ring: &[Vector]) -> bool {
    ring.iter().enumerate().all(|(i, [bx, by])| {
        let [[ax, ay], [cx, cy]] = [ring[(i + ring.len() - 1) % ring.len()], ring[(i + 1) % ring.len()]];
        let (one, other) = ([ax - bx, ay - by], [cx - bx, cy - by]);
        let cosine =
            (one[0] * other[0] + one[1] * other[1]) / one[0].hypot(one[1]) / other[0].hypot(other[1]);
        cosine.abs() < 0.1_f64.to_radians()
    })
}

fn assert_has_corners(ring: &[Vector], wanted: &[Vector], tolerance_px: f64) {
    for &corner in wanted {
        let nearest = ring.iter().map(|&at| distance(at, corner)).fold(f64::INFINITY, f64::min);
        assert!(nearest <= tolerance_px, "{corner:?} is {nearest} px off in {ring:?}");
    }
}

#[test]
fn buildings_at_any_angle_get_their_right_angles_back() {
    let mut rng = StdRng::seed_from_u64(6);
    let mut n_right = 0;
    for case in 0..600 {
        let (w, h) = (rng.random_range(12.0..36.0), rng.random_range(12.0..36.0));
        let (x, y) = (w * rng.random_range(0.4..0.6), h * rng.random_range(0.4..0.6));
        let shapes = [
            vec![[-w, -h], [-w, h], [w, h], [w, -h]],
            vec![[-w, -h], [-w, h], [w, h], [w, h - y], [w - x, h - y], [w - x, -h]],
            vec![[-w, -h], [-w, h], [-x, h], [-x, h - y], [x, h - y], [x, h], [w, h], [w, -h]],
        ];
        let middle = [rng.random_range(55.0..65.0), rng.random_range(55.0..65.0)];
        let degrees = if case % 5 == 0 { f64::from(case % 4) * 0.3 } else { rng.random_range(0.0..360.0) };
        let wanted = turned(&shapes[case as usize % 3], degrees, middle);
        let polygon = traced(vec![wanted.clone()]);
        let Some(outline) = square(&polygon, 2.0) else { continue };
        assert_is_within(&polygon, &outline, 2.0);
        assert_has_corners(&outline.rings[0], &wanted, 3.0);
        assert_eq!(outline.area_px, polygon.area_px);
        let ring = &outline.rings[0];
        n_right += u32::from(ring.len() == wanted.len() && is_right_angled(ring));
    }
    assert!(n_right >= 590, "{n_right} of 600");
}

#[test]
fn a_court_is_as_right_angled_as_its_building() {
    let rectangle = |w: f64, h: f64| turned(&[[-w, -h], [-w, h], [w, h], [w, -h]], 33.0, [60.0, 60.0]);
    let rings = vec![rectangle(40.0, 30.0), rectangle(15.0, 9.0)];
    let polygon = traced(rings.clone());
    let outline = square(&polygon, 2.0).unwrap();
    assert_is_within(&polygon, &outline, 2.0);
    for (ring, wanted) in outline.rings.iter().zip(&rings) {
        assert!(is_right_angled(ring), "{ring:?}");
        assert_has_corners(ring, wanted, 1.5);
    }
}

#[test]
fn what_is_right_angled_stays_to_the_last_digit() {
    let rows = ["##########", "##########", "######....", "######....", "######....", "######...."];
    let polygon = Raster::drawn(&rows).polygons(0).remove(0);
    assert_eq!(square(&polygon, 1.0), Some(Outline::from(&polygon)));
}

#[test]
fn what_is_round_or_slants_stays() {
    let round = |px: f64| {
        let at = |i: u32| f64::from(i).to_radians().sin_cos();
        vec![(0..360).map(|i| [60.0 + px * at(i).0, 60.0 + px * at(i).1]).collect()]
    };
    for px in [20.0, 35.0, 50.0] {
        assert_eq!(square(&traced(round(px)), 2.0), None, "{px}");
    }
    let triangle = vec![vec![[10.0, 10.0], [30.0, 100.0], [110.0, 60.0]]];
    assert_eq!(square(&traced(triangle), 2.0), None);
}

#[test]
fn a_slanting_line_stays_among_right_angles() {
    let wanted =
        turned(&[[-40.0, -30.0], [-40.0, 30.0], [40.0, 30.0], [40.0, 0.0], [15.0, -30.0]], 20.0, [60.0; 2]);
    let polygon = traced(vec![wanted.clone()]);
    let outline = square(&polygon, 2.0).unwrap();
    assert_is_within(&polygon, &outline, 2.0);
    // Between the ends of the slanting line another corner may stay.
    assert!(outline.rings[0].len() <= wanted.len() + 1);
    assert_has_corners(&outline.rings[0], &wanted, 2.0);
}

/// A square of 122 px that has this many holes of 3 px, 576 at most.
fn with_holes(n_holes: u32) -> Polygon {
    let is_hole = |row: u32, col: u32| row % 5 >= 2 && col % 5 >= 2 && row / 5 * 24 + col / 5 < n_holes;
    let row = |row: u32| (0..122).map(|col| if is_hole(row, col) { '.' } else { '#' }).collect::<String>();
    let rows: Vec<String> = (0..122).map(row).collect();
    Raster::drawn(&rows.iter().map(String::as_str).collect::<Vec<_>>()).polygons(0).remove(0)
}

#[test]
fn what_has_too_many_corners_in_all_of_its_rings_stays() {
    let most = MAX_SQUARED_CORNERS / 4 - 1;
    let polygon = with_holes(most as u32);
    assert_eq!((polygon.rings.len(), square(&polygon, 1.0)), (1 + most, Some(Outline::from(&polygon))));
    let polygon = with_holes(most as u32 + 1);
    assert_eq!((polygon.rings.len(), square(&polygon, 1.0)), (2 + most, None));
}

#[test]
fn a_shift_of_nothing_changes_nothing() {
    let polygon = Raster::drawn(&["####", "####", "###."]).polygons(0).remove(0);
    for nothing in [0.0, -1.0, f64::NAN] {
        assert_eq!(square(&polygon, nothing), None);
    }
}

#[test]
fn blobs_stay_valid_and_near_and_about_as_large() {
    let mut rng = StdRng::seed_from_u64(7);
    let (mut n_squared, mut n_all) = (0, 0);
    for case in 0..3000 {
        let shift_px = [0.7, 1.0, 1.5, 2.0, 3.0, 6.0][case % 6];
        for polygon in Raster::random(&mut rng).polygons([0, 2, 4][case % 3]) {
            n_all += 1;
            let Some(outline) = square(&polygon, shift_px) else { continue };
            n_squared += 1;
            assert_is_within(&polygon, &outline, shift_px);
            assert_is_valid(&outline);
            let change = outline.twice_area_px() / 2.0 / polygon.area_px as f64 - 1.0;
            assert!(polygon.rings.len() > 1 || change.abs() < 0.1001, "{change}: {polygon:?}");
        }
    }
    assert!(n_squared > 1000 && n_squared < n_all, "{n_squared} of {n_all}");
}

/// Every two lines, in whole steps.
fn assert_is_valid(outline: &Outline) {
    let fixed_rings: Vec<Vec<Fixed>> =
        outline.rings.iter().map(|ring| ring.iter().copied().map(fixed).collect()).collect();
    let sides: Vec<(Fixed, Fixed)> = fixed_rings
        .iter()
        .flat_map(|ring| ring.iter().copied().zip(ring.iter().copied().cycle().skip(1)))
        .collect();
    let side_of = |(a, b): (Fixed, Fixed), c: Fixed| {
        let minus = |p: Fixed, q: Fixed| [i128::from(p[0] - q[0]), i128::from(p[1] - q[1])];
        let (line, to) = (minus(b, a), minus(c, a));
        (line[0] * to[1] - line[1] * to[0]).signum()
    };
    for (i, &one) in sides.iter().enumerate() {
        assert_ne!(one.0, one.1);
        for &other in &sides[i + 1..] {
            let crosses = side_of(one, other.0) * side_of(one, other.1) < 0
                && side_of(other, one.0) * side_of(other, one.1) < 0;
            assert!(!crosses && one.0 != other.0 && one.1 != other.1, "{one:?} {other:?}");
        }
    }
    for (i, ring) in fixed_rings.iter().enumerate() {
        assert_eq!(twice_area(ring) > 0, i == 0);
        assert_eq!(ring.iter().min_by_key(|[col, row]| (*row, *col)), ring.first());
    }
}
