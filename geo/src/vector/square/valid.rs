//! Whether rings are a valid polygon, exactly: no two lines have a point in common but for neighbours
//! the corner between them, holes lie in the outer ring, and none lies in another.

use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};

use super::{Fixed, Vector};

/// The box around a line: of which ring it is, and from which corner.
type Side = GeomWithData<Rectangle<Vector>, (usize, usize)>;

/// The outer ring comes first. That rings run the right way round is for the caller to see.
pub(super) fn is_valid(rings: &[Vec<Fixed>]) -> bool {
    if rings.iter().any(|ring| ring.len() < 3) {
        return false;
    }
    let place = |[col, row]: Fixed| [col as f64, row as f64];
    let ends = |(ring, at): (usize, usize)| -> (Fixed, Fixed) {
        let ring = &rings[ring];
        (ring[at], ring[(at + 1) % ring.len()])
    };
    let all =
        || rings.iter().enumerate().flat_map(|(ring, corners)| (0..corners.len()).map(move |at| (ring, at)));
    let side = |side: (usize, usize)| {
        let (a, b) = ends(side);
        Side::new(Rectangle::from_corners(place(a), place(b)), side)
    };
    let sides = RTree::bulk_load(all().map(side).collect());
    let near = |from: Vector, to: Vector| {
        sides.locate_in_envelope_intersecting(&AABB::from_corners(from, to)).map(|side| side.data)
    };
    let is_free = |one: (usize, usize)| {
        let (a, b) = ends(one);
        let n = rings[one.0].len();
        let is_after =
            |one: (usize, usize), other: (usize, usize)| one.0 == other.0 && (one.1 + 1) % n == other.1;
        a != b
            && near(place(a), place(b)).filter(|&other| other != one).all(|other| {
                let (c, d) = ends(other);
                if is_after(one, other) {
                    !folds_back(a, b, d)
                } else if is_after(other, one) {
                    !folds_back(c, a, b)
                } else {
                    !touch((a, b), (c, d))
                }
            })
    };
    if !all().all(is_free) {
        return false;
    }
    // Which rings a corner lies in: those that a ray from it to the left crosses an odd number of times.
    (1..rings.len()).all(|hole| {
        let corner = rings[hole][0];
        let mut crossed = vec![0_usize; rings.len()];
        for side in near([f64::MIN, corner[1] as f64], place(corner)).filter(|side| side.0 != hole) {
            let (a, b) = ends(side);
            let (top, bottom) = if a[1] < b[1] { (a, b) } else { (b, a) };
            let is_left = cross(top, bottom, corner) > 0;
            crossed[side.0] += usize::from(top[1] <= corner[1] && corner[1] < bottom[1] && is_left);
        }
        crossed.iter().enumerate().all(|(ring, crossed)| (crossed % 2 == 1) == (ring == 0))
    })
}

/// Twice the area of a triangle: 0 if it lies on a line, above 0 if `c` lies to the right where `b` lies
/// below `a`.
fn cross(a: Fixed, b: Fixed, c: Fixed) -> i128 {
    let minus = |x: i64, y: i64| i128::from(x) - i128::from(y);
    minus(b[1], a[1]) * minus(c[0], a[0]) - minus(b[0], a[0]) * minus(c[1], a[1])
}

/// Whether the way from `a` to `b` goes on over itself.
fn folds_back(a: Fixed, b: Fixed, c: Fixed) -> bool {
    cross(a, b, c) == 0 && (is_between(a, b, c) || is_between(b, c, a))
}

/// For three on one line.
fn is_between(a: Fixed, b: Fixed, at: Fixed) -> bool {
    (0..2).all(|axis| (a[axis].min(b[axis])..=a[axis].max(b[axis])).contains(&at[axis]))
}

fn touch((a, b): (Fixed, Fixed), (c, d): (Fixed, Fixed)) -> bool {
    let [abc, abd] = [c, d].map(|end| cross(a, b, end).signum());
    let [cda, cdb] = [a, b].map(|end| cross(c, d, end).signum());
    (abc != abd && cda != cdb && (abc != 0 || abd != 0))
        || (abc == 0 && is_between(a, b, c))
        || (abd == 0 && is_between(a, b, d))
        || (cda == 0 && is_between(c, d, a))
        || (cdb == 0 && is_between(c, d, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [Fixed; 4] = [[0, 0], [0, 9], [9, 9], [9, 0]];
    const HOLE: [Fixed; 4] = [[1, 1], [4, 1], [4, 4], [1, 4]];

    fn are_valid(rings: &[&[Fixed]]) -> bool {
        is_valid(&rings.iter().map(|ring| ring.to_vec()).collect::<Vec<_>>())
    }

    fn moved(ring: [Fixed; 4], cols: i64) -> [Fixed; 4] {
        ring.map(|[col, row]| [col + cols, row])
    }

    #[test]
    fn holes_lie_in_their_ring_and_apart() {
        assert!(are_valid(&[&SQUARE]));
        assert!(are_valid(&[&SQUARE, &HOLE]));
        assert!(are_valid(&[&SQUARE, &HOLE, &moved(HOLE, 4)]));
        for (cols, wanted) in [(-1, false), (3, true), (4, true), (5, false), (6, false), (20, false)] {
            assert_eq!(are_valid(&[&SQUARE, &moved(HOLE, cols)]), wanted, "{cols}");
        }
        for cols in [-1, 1, 2, 3] {
            assert!(!are_valid(&[&SQUARE, &HOLE, &moved(HOLE, cols)]), "{cols}");
        }
        assert!(!are_valid(&[&SQUARE, &HOLE, &[[2, 2], [3, 2], [3, 3]]]), "a hole in a hole");
        assert!(!are_valid(&[&HOLE, &SQUARE]), "a hole around its ring");
    }

    #[test]
    fn a_ring_does_not_meet_itself() {
        for ring in [
            &[[0, 0], [0, 9]][..],
            &[[0, 0], [0, 9], [9, 9], [9, 9]],
            // A bow tie, a spike, a way back, a corner on a line, a corner twice.
            &[[0, 0], [9, 9], [9, 0], [0, 9]],
            &[[0, 0], [0, 9], [0, 4], [9, 4]],
            &[[0, 0], [0, 4], [0, 9]],
            &[[0, 0], [0, 9], [9, 9], [0, 5], [9, 0]],
            &[[0, 0], [0, 9], [4, 4], [9, 9], [9, 0], [4, 4]],
        ] {
            assert!(!are_valid(&[ring]), "{ring:?}");
        }
        assert!(are_valid(&[&[[0, 0], [0, 4], [0, 9], [9, 9]]]), "straight on at a corner");
    }
}
