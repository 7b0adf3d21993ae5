//! What is written of a polygon, and what must hold of it.

use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    pub class_id: u8,
    pub class_name: Arc<str>,
    /// The mean score of its pixels, from 0 to 1.
    pub score: f64,
    /// In the unit that the file was begun with.
    pub area: f64,
    /// The outer ring, counter-clockwise where x is to the right and y is up, then holes, clockwise.
    /// The first position is not repeated at the end.
    pub rings: Vec<Vec<[f64; 2]>>,
}

/// The unit of all areas in a file; its columns and properties are named by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaUnit {
    SquareMetres,
    Pixels,
}

impl AreaUnit {
    pub const fn column(self) -> &'static str {
        match self {
            Self::SquareMetres => "area_m2",
            Self::Pixels => "area_px",
        }
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadFeature {
    #[error("a polygon of class {class:?} has no ring")]
    NoRing { class: Arc<str> },
    #[error("ring {ring} of a polygon of class {class:?} has {positions} positions; 3 are the fewest")]
    Short { class: Arc<str>, ring: usize, positions: usize },
    #[error("ring {ring} of a polygon of class {class:?} has a position at {x}, {y}")]
    NotFinite { class: Arc<str>, ring: usize, x: f64, y: f64 },
    #[error(
        "ring {ring} of a polygon of class {class:?} has a position at {x}, {y}: \
         that is no longitude and latitude"
    )]
    OffTheGlobe { class: Arc<str>, ring: usize, x: f64, y: f64 },
    #[error("ring {ring} of a polygon of class {class:?} runs the wrong way round")]
    Turned { class: Arc<str>, ring: usize },
    #[error("a polygon of class {class:?} is too large: {positions} positions")]
    TooLarge { class: Arc<str>, positions: usize },
    #[error("the {what} of a polygon of class {class:?} is {value}")]
    Number { class: Arc<str>, what: &'static str, value: f64 },
}

/// The box around positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub min: [f64; 2],
    pub max: [f64; 2],
}

impl Bounds {
    const NOTHING: Self = Self { min: [f64::INFINITY; 2], max: [f64::NEG_INFINITY; 2] };

    pub fn around(self, other: Self) -> Self {
        let pick = |by: fn(f64, f64) -> f64, a: [f64; 2], b: [f64; 2]| [by(a[0], b[0]), by(a[1], b[1])];
        Self { min: pick(f64::min, self.min, other.min), max: pick(f64::max, self.max, other.max) }
    }

    pub fn corners(&self) -> [f64; 4] {
        [self.min[0], self.min[1], self.max[0], self.max[1]]
    }
}

/// What takes 31 bits to count in well-known binary, with room for counts of rings.
const MAX_POSITIONS: usize = 100_000_000;
/// A polygon across the antimeridian goes on beyond 180 degrees, by a turn at most.
const MAX_LONGITUDE: f64 = 180.0 + 360.0;

impl Feature {
    /// Its bounds, if every reader will understand it.
    pub(crate) fn check(&self, is_lon_lat: bool) -> Result<Bounds, BadFeature> {
        let class = || Arc::clone(&self.class_name);
        for (what, value, max) in [("score", self.score, 1.0), ("area", self.area, f64::MAX)] {
            if !(0.0..=max).contains(&value) {
                return Err(BadFeature::Number { class: class(), what, value });
            }
        }
        if self.rings.is_empty() {
            return Err(BadFeature::NoRing { class: class() });
        }
        let positions = self.rings.iter().map(Vec::len).sum();
        if positions > MAX_POSITIONS {
            return Err(BadFeature::TooLarge { class: class(), positions });
        }
        let mut bounds = Bounds::NOTHING;
        for (ring, positions) in self.rings.iter().enumerate() {
            if positions.len() < 3 {
                return Err(BadFeature::Short { class: class(), ring, positions: positions.len() });
            }
            for &[x, y] in positions {
                if !x.is_finite() || !y.is_finite() {
                    return Err(BadFeature::NotFinite { class: class(), ring, x, y });
                }
                if is_lon_lat && (x.abs() > MAX_LONGITUDE || y.abs() > 90.0) {
                    return Err(BadFeature::OffTheGlobe { class: class(), ring, x, y });
                }
                bounds = bounds.around(Bounds { min: [x, y], max: [x, y] });
            }
            let area = twice_area(positions);
            if if ring == 0 { area < 0.0 } else { area > 0.0 } {
                return Err(BadFeature::Turned { class: class(), ring });
            }
        }
        Ok(bounds)
    }
}

/// Positive where a ring runs counter-clockwise. Measured from its first position, since far from
/// the origin a small ring would drown in rounding.
fn twice_area(ring: &[[f64; 2]]) -> f64 {
    let [x0, y0] = ring.first().copied().unwrap_or_default();
    let cross = |pair: &[[f64; 2]]| {
        let [[ax, ay], [bx, by]] = [pair[0], pair[1]];
        (ax - x0) * (by - y0) - (bx - x0) * (ay - y0)
    };
    ring.windows(2).map(cross).sum()
}

/// A ring as files have it: back at its first position.
pub(crate) fn closed(ring: &[[f64; 2]]) -> impl Iterator<Item = &[f64; 2]> {
    ring.iter().chain(ring.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(rings: &[&[[f64; 2]]]) -> Feature {
        let rings = rings.iter().map(|ring| ring.to_vec()).collect();
        Feature { class_id: 1, class_name: "house".into(), score: 0.5, area: 1.0, rings }
    }

    const SQUARE: [[f64; 2]; 4] = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]];
    const HOLE: [[f64; 2]; 4] = [[1.0, 1.0], [1.0, 2.0], [2.0, 2.0], [2.0, 1.0]];

    #[test]
    fn the_bounds_of_a_polygon_are_those_of_its_positions() {
        let bounds = feature(&[&SQUARE, &HOLE]).check(true).unwrap();
        assert_eq!(bounds.corners(), [0.0, 0.0, 4.0, 4.0]);
    }

    #[test]
    fn what_no_reader_would_understand_is_refused_in_words() {
        let told = |feature: &Feature| feature.check(true).unwrap_err().to_string();
        let turned: Vec<_> = SQUARE.into_iter().rev().collect();
        for (rings, words) in [
            (&[][..], "has no ring"),
            (&[&SQUARE[..2]], "2 positions"),
            (&[&SQUARE, &[]], "ring 1"),
            (&[&[[0.0, 0.0], [f64::NAN, 0.0], [1.0, 1.0]]], "NaN, 0"),
            (&[&[[0.0, 0.0], [1.0, f64::INFINITY], [1.0, 1.0]]], "1, inf"),
            (&[&[[0.0, 0.0], [500_000.0, 0.0], [1.0, 1.0]]], "no longitude"),
            (&[&turned], "wrong way"),
            (&[&SQUARE, &SQUARE], "ring 1"),
        ] {
            let told = told(&feature(rings));
            assert!(told.contains(words), "{told}");
        }
        for score in [f64::NAN, -0.1, 1.1] {
            assert!(told(&Feature { score, ..feature(&[&SQUARE]) }).contains("the score"));
        }
        for area in [f64::NAN, -1.0, f64::INFINITY] {
            assert!(told(&Feature { area, ..feature(&[&SQUARE]) }).contains("the area"));
        }
    }

    #[test]
    fn metres_are_no_degrees_but_fine_elsewhere() {
        let [x, y] = [500_000.0, 5_400_000.0];
        let square: Vec<_> = SQUARE.iter().map(|at| [x + at[0], y + at[1]]).collect();
        assert!(feature(&[&square]).check(true).is_err());
        assert!(feature(&[&square]).check(false).is_ok());
    }
}
