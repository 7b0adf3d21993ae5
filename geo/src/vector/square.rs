//! Right angles for what people build, from outlines of pixels.
//!
//! A polygon's outline is simplified, and the direction that most of it follows, or crosses at a
//! right angle, is found, first among the simplified lines and then exactly, by the pixels that they stand for (`direction`). Lines that run along that direction or across it are laid
//! exactly so, each in the middle of the pixels' sides that it stands for; steps that are shorter than
//! the shift that is allowed give way, and neighbours are cut with each other (`lines`). Slanting
//! lines stay.
//!
//! The result is taken only if it is as good as what it stands for: no corner of a pixel lies farther
//! off the new ring, and no new corner farther off the old one, than the shift; the area is about
//! the same; and the polygon is valid (`valid`). Else the caller keeps the polygon as it is. A ring of
//! which a third runs elsewhere is not right-angled by nature, and stays, too.
//!
//! Only sums, products, quotients and square roots are taken, from a ring's first corner on, so the
//! same polygon gives the same numbers on every machine; new corners lie on a grid of 1/4096 pixel,
//! on which what is valid is decided exactly.

mod direction;
mod lines;
mod valid;

use super::{outline::Outline, polygon::Polygon, rings::Ring, simplify::simplify};
use lines::Frame;

/// A polygon whose rings have more corners than this together, once they are simplified, is no building, and
/// is not looked at: the time that it takes grows with the square of their number.
pub const MAX_SQUARED_CORNERS: usize = 2048;

/// Of a pixel, in which corners are placed.
const STEPS: f64 = 4096.0;
/// An area may change by one part in so many.
const AREA_PARTS: i128 = 10;

/// `[column, row]`, in pixels or in the frame of a direction.
type Vector = [f64; 2];
/// `[column, row]`, in steps.
type Fixed = [i64; 2];

/// The polygon with right angles, no farther from it than `shift_px`; `None` if it has to stay as it is.
pub fn square(polygon: &Polygon, shift_px: f64) -> Option<Outline> {
    if shift_px.is_nan() || shift_px <= 0.0 {
        return None;
    }
    let simple = simplify(polygon.clone(), shift_px / 2.0).polygon;
    let (traced, outer) = (polygon.rings.first()?, simple.rings.first()?);
    if simple.rings.iter().map(|ring| ring.corners().len()).sum::<usize>() > MAX_SQUARED_CORNERS {
        return None;
    }
    let direction = direction::dominant(&sides(&positions(outer)))?;
    let direction = direction::exact(&positions(traced), &kept(traced, outer), direction)?;
    let mut rings = Vec::with_capacity(simple.rings.len());
    for (number, (traced, simple)) in polygon.rings.iter().zip(&simple.rings).enumerate() {
        match squared(traced, simple, direction, shift_px) {
            Some(ring) => rings.push(ring),
            None if number == 0 => return None,
            // A hole of another shape.
            None => rings.push(from_first(positions(simple).into_iter().map(fixed).collect())),
        }
    }
    let outline = Outline { rings: rings.iter().map(|ring| in_px(ring)).collect(), area_px: polygon.area_px };
    valid::is_valid(&rings).then_some(outline)
}

fn squared(traced: &Ring, simple: &Ring, direction: Vector, shift_px: f64) -> Option<Vec<Fixed>> {
    let corners = positions(traced);
    let ring = right_angled(&corners, &kept(traced, simple), direction, shift_px)?;
    let (before, after) =
        (twice_area(&corners.into_iter().map(fixed).collect::<Vec<_>>()), twice_area(&ring));
    let is_as_large =
        before.signum() == after.signum() && (after - before).abs() * AREA_PARTS <= before.abs();
    is_as_large.then_some(ring)
}

/// Which of a ring's corners simplifying has left, in their order.
fn kept(traced: &Ring, simple: &Ring) -> Vec<usize> {
    let mut at = 0;
    let place = |corner| {
        at += traced.corners()[at..].iter().position(|other| other == corner)?;
        Some(at)
    };
    simple.corners().iter().map_while(place).collect()
}

/// A ring by its corners and those among them that simplifying kept.
fn right_angled(corners: &[Vector], kept: &[usize], direction: Vector, shift_px: f64) -> Option<Vec<Fixed>> {
    let frame = Frame { origin: *corners.first()?, along: direction };
    let traced: Vec<Vector> = corners.iter().map(|&at| frame.place(at)).collect();
    let corners = lines::right_angled(&traced, kept, shift_px)?;
    Some(from_first(corners.into_iter().map(|at| fixed(frame.place_back(at))).collect()))
}

fn positions(ring: &Ring) -> Vec<Vector> {
    ring.corners().iter().map(|corner| [f64::from(corner.col), f64::from(corner.row)]).collect()
}

/// The lines of a ring, as vectors.
fn sides(ring: &[Vector]) -> Vec<Vector> {
    let ends = ring.iter().zip(ring.iter().cycle().skip(1));
    ends.map(|(from, to)| [to[0] - from[0], to[1] - from[1]]).collect()
}

fn in_px(ring: &[Fixed]) -> Vec<Vector> {
    ring.iter().map(|&[col, row]| [col as f64 / STEPS, row as f64 / STEPS]).collect()
}

fn fixed([col, row]: Vector) -> Fixed {
    [(col * STEPS).round() as i64, (row * STEPS).round() as i64]
}

/// From the corner that comes first where one reads.
fn from_first(mut ring: Vec<Fixed>) -> Vec<Fixed> {
    let first = ring.iter().enumerate().min_by_key(|(_, [col, row])| (*row, *col)).map_or(0, |(i, _)| i);
    ring.rotate_left(first);
    ring
}

/// In steps, exactly; of the sign that [`Ring::twice_area_px`] has.
fn twice_area(ring: &[Fixed]) -> i128 {
    let product = |a: i64, b: i64| i128::from(a) * i128::from(b);
    let ends = ring.iter().zip(ring.iter().cycle().skip(1));
    ends.map(|(a, b)| product(a[1], b[0]) - product(a[0], b[1])).sum()
}

#[cfg(test)]
mod tests;
