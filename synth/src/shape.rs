//! Footprints: what is inside, and the outline that becomes a label.

/// A footprint in its own frame, in pixels; the origin is its centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Footprint {
    pub(crate) kind: Kind,
    pub(crate) half_width: f32,
    pub(crate) half_height: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rectangle,
    L,
    T,
    U,
    /// A block around a yard.
    Courtyard,
    Round,
}

/// Sides of the polygon that stands for a circle: label and picture use the same.
const ROUND_SIDES: usize = 20;

impl Footprint {
    pub(crate) const fn rectangle(width: f32, height: f32) -> Self {
        Self { kind: Kind::Rectangle, half_width: width / 2.0, half_height: height / 2.0 }
    }

    /// Outline and holes.
    pub(crate) fn rings(&self) -> Vec<Vec<[f32; 2]>> {
        let (w, h) = (self.half_width, self.half_height);
        match self.kind {
            Kind::Rectangle => vec![rectangle(-w, -h, w, h)],
            Kind::L => vec![vec![[-w, -h], [w, -h], [w, 0.0], [-0.1 * w, 0.0], [-0.1 * w, h], [-w, h]]],
            Kind::T => vec![vec![
                [-w, -h],
                [w, -h],
                [w, -0.1 * h],
                [0.35 * w, -0.1 * h],
                [0.35 * w, h],
                [-0.35 * w, h],
                [-0.35 * w, -0.1 * h],
                [-w, -0.1 * h],
            ]],
            Kind::U => vec![vec![
                [-w, -h],
                [w, -h],
                [w, h],
                [0.45 * w, h],
                [0.45 * w, -0.2 * h],
                [-0.45 * w, -0.2 * h],
                [-0.45 * w, h],
                [-w, h],
            ]],
            Kind::Courtyard => {
                vec![rectangle(-w, -h, w, h), rectangle(-0.45 * w, -0.45 * h, 0.45 * w, 0.45 * h)]
            }
            Kind::Round => {
                let corner = |at: usize| {
                    let angle = at as f32 * std::f32::consts::TAU / ROUND_SIDES as f32;
                    [w * angle.cos(), w * angle.sin()]
                };
                vec![(0..ROUND_SIDES).map(corner).collect()]
            }
        }
    }

    pub(crate) fn holds(&self, u: f32, v: f32) -> bool {
        let (w, h) = (self.half_width, self.half_height);
        if u.abs() >= w || v.abs() >= if self.kind == Kind::Round { w } else { h } {
            return false;
        }
        match self.kind {
            Kind::Rectangle => true,
            Kind::L => v < 0.0 || u < -0.1 * w,
            Kind::T => v < -0.1 * h || u.abs() < 0.35 * w,
            Kind::U => v < -0.2 * h || u.abs() > 0.45 * w,
            Kind::Courtyard => u.abs() > 0.45 * w || v.abs() > 0.45 * h,
            Kind::Round => {
                // Inside the polygon, not the circle: the distance to the nearest side.
                let side = std::f32::consts::TAU / ROUND_SIDES as f32;
                let off = v.atan2(u).rem_euclid(side) - side / 2.0;
                (u * u + v * v).sqrt() * off.cos() < w * (side / 2.0).cos()
            }
        }
    }

    /// Radius of a circle around all of it.
    pub(crate) fn reach(&self) -> f32 {
        (self.half_width * self.half_width + self.half_height * self.half_height).sqrt()
    }
}

fn rectangle(left: f32, top: f32, right: f32, bottom: f32) -> Vec<[f32; 2]> {
    vec![[left, top], [right, top], [right, bottom], [left, bottom]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even-odd over all rings.
    fn inside(rings: &[Vec<[f32; 2]>], u: f32, v: f32) -> bool {
        let crosses = |a: [f32; 2], b: [f32; 2]| {
            (a[1] > v) != (b[1] > v) && u < (b[0] - a[0]) * (v - a[1]) / (b[1] - a[1]) + a[0]
        };
        let crossings =
            rings.iter().flat_map(|ring| (0..ring.len()).map(|at| (ring[at], ring[(at + 1) % ring.len()])));
        crossings.filter(|(a, b)| crosses(*a, *b)).count() % 2 == 1
    }

    #[test]
    fn outline_and_picture_agree() {
        for kind in [Kind::Rectangle, Kind::L, Kind::T, Kind::U, Kind::Courtyard, Kind::Round] {
            let footprint = Footprint { kind, half_width: 20.0, half_height: 14.0 };
            let rings = footprint.rings();
            for at in 0..2500 {
                let (u, v) = ((at % 50) as f32 - 24.7, (at / 50) as f32 - 24.3);
                assert_eq!(footprint.holds(u, v), inside(&rings, u, v), "{kind:?} at {u}, {v}");
            }
        }
    }
}
