//! The direction that most of an outline follows, or crosses at a right angle.
//!
//! A histogram of directions modulo a right angle, by length, finds its neighbourhood; the lines in
//! it then settle it among themselves, long ones by the square of their length: ends lie within a
//! pixel whatever the length, so a line twice as long says it four times as exactly (by variance).
//! The last word have the sides of pixels that those lines stand for, around whose middles the ends may lie:
//! the direction in which all of them together are spread the most.

use super::Vector;

/// Of a right angle; not of one size, for what is cheap to compute is not the angle itself.
const BINS: usize = 64;
/// Bins to each side of one that are looked at with it, with less and less weight.
const SPREAD: usize = 2;
/// Tangent of the angle within which lines take part: 10 degrees.
const NEAR: f64 = 0.1763;
const ROUNDS: usize = 3;

/// A vector of length 1; `None` if no line has a length.
pub(super) fn dominant(lines: &[Vector]) -> Option<Vector> {
    let mut weights = [0.0; BINS];
    for &line in lines {
        if let Some([x, y]) = in_first_quadrant(line) {
            // From 0 to 1 as the angle goes from 0 to 90 degrees.
            let bin = (y / (x + y) * BINS as f64) as usize;
            weights[bin.min(BINS - 1)] += length([x, y]);
        }
    }
    let around = |bin: usize| -> f64 {
        let near = (0..=2 * SPREAD).map(|i| (SPREAD + 1 - i.abs_diff(SPREAD), bin + BINS + i - SPREAD));
        near.map(|(weight, bin)| weight as f64 * weights[bin % BINS]).sum()
    };
    let scores = (0..BINS).map(|bin| (bin, around(bin)));
    let (peak, _) = scores.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    let part = (peak as f64 + 0.5) / BINS as f64;
    let mut direction = unit([1.0 - part, part])?;
    for _ in 0..ROUNDS {
        let mut sum = [0.0; 2];
        for &line in lines {
            let [x, y] = turned_towards(line, direction);
            let (along, across) = in_frame([x, y], direction);
            if across.abs() <= NEAR * along {
                let weight = length([x, y]);
                sum = [sum[0] + weight * x, sum[1] + weight * y];
            }
        }
        direction = unit(sum)?;
    }
    Some(direction)
}

/// A direction, by the sides of pixels between those corners of a ring that simplifying has kept.
pub(super) fn exact(ring: &[Vector], kept: &[usize], direction: Vector) -> Option<Vector> {
    let mut direction = direction;
    for _ in 0..ROUNDS {
        let mut spread = Spread::default();
        let ends = kept.iter().copied().zip(kept.iter().copied().skip(1).chain([ring.len()]));
        for (first, last) in ends {
            let at = |i: usize| ring[i % ring.len()];
            let line = [at(last)[0] - at(first)[0], at(last)[1] - at(first)[1]];
            let turned = turned_towards(line, direction);
            let (along, across) = in_frame(turned, direction);
            if across.abs() <= NEAR * along {
                let of_line = Spread::of((first..last).map(|i| (at(i), at(i + 1))));
                // Turned as the line was.
                let is_turned = (turned[0] * line[0] + turned[1] * line[1]).abs() < length(line);
                spread.add(if is_turned { of_line.quarter_turned() } else { of_line });
            }
        }
        direction = spread.main(direction)?;
    }
    Some(direction)
}

/// Moments of lines about their middle, by length.
#[derive(Clone, Copy, Default)]
struct Spread {
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Spread {
    fn of(sides: impl Iterator<Item = (Vector, Vector)> + Clone) -> Self {
        let long = |(a, b): (Vector, Vector)| (length([b[0] - a[0], b[1] - a[1]]), a, b);
        let (mut weight, mut sum) = (0.0, [0.0; 2]);
        for (length, a, b) in sides.clone().map(long) {
            weight += length;
            sum = [sum[0] + length * a[0].midpoint(b[0]), sum[1] + length * a[1].midpoint(b[1])];
        }
        let mut spread = Self::default();
        if weight == 0.0 {
            return spread;
        }
        let middle = [sum[0] / weight, sum[1] / weight];
        for (length, a, b) in sides.map(long) {
            let (x, y) = (a[0].midpoint(b[0]) - middle[0], a[1].midpoint(b[1]) - middle[1]);
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            spread.add(Self {
                xx: length * (x * x + dx * dx / 12.0),
                xy: length * (x * y + dx * dy / 12.0),
                yy: length * (y * y + dy * dy / 12.0),
            });
        }
        spread
    }

    fn add(&mut self, other: Self) {
        self.xx += other.xx;
        self.xy += other.xy;
        self.yy += other.yy;
    }

    const fn quarter_turned(self) -> Self {
        Self { xx: self.yy, xy: -self.xy, yy: self.xx }
    }

    /// The direction of the most spread, turned by right angles towards another.
    fn main(self, near: Vector) -> Option<Vector> {
        // Of twice its angle.
        let [cosine, sine] = unit([self.xx - self.yy, 2.0 * self.xy])?;
        let along = [(0.5 + cosine / 2.0).max(0.0).sqrt(), (0.5 - cosine / 2.0).max(0.0).sqrt()];
        let along = if sine < 0.0 { [along[0], -along[1]] } else { along };
        Some(turned_towards(along, near))
    }
}

/// Along a direction, and across it.
pub(super) fn in_frame([x, y]: Vector, [dx, dy]: Vector) -> (f64, f64) {
    (x * dx + y * dy, y * dx - x * dy)
}

fn quarter_turn([x, y]: Vector) -> Vector {
    [y, -x]
}

fn in_first_quadrant(mut vector: Vector) -> Option<Vector> {
    for _ in 0..4 {
        if vector[0] > 0.0 && vector[1] >= 0.0 {
            return Some(vector);
        }
        vector = quarter_turn(vector);
    }
    None
}

/// The vector, turned by right angles until none is nearer to the direction.
fn turned_towards(mut vector: Vector, direction: Vector) -> Vector {
    for _ in 0..4 {
        let (along, across) = in_frame(vector, direction);
        if along >= across.abs() {
            break;
        }
        vector = quarter_turn(vector);
    }
    vector
}

fn length([x, y]: Vector) -> f64 {
    (x * x + y * y).sqrt()
}

fn unit(vector: Vector) -> Option<Vector> {
    let length = length(vector);
    (length > 0.0).then(|| [vector[0] / length, vector[1] / length])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Degrees from the dominant direction of the lines, modulo a right angle.
    fn off(lines: &[Vector], degrees: f64) -> f64 {
        let [x, y] = dominant(lines).unwrap();
        let off = y.atan2(x).to_degrees() - degrees;
        off - 90.0 * (off / 90.0).round()
    }

    fn line(degrees: f64, length: f64) -> Vector {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        [length * cosine, length * sine]
    }

    #[test]
    fn lines_along_and_across_agree_whatever_their_direction() {
        for tenths in 0..3600 {
            let degrees = f64::from(tenths) / 10.0;
            let lines = [0.0, 90.0, 180.0, 270.0].map(|more| line(degrees + more, 20.0 + more));
            assert!(off(&lines, degrees).abs() < 1e-9, "{degrees}");
        }
    }

    #[test]
    fn long_lines_have_the_last_word() {
        let lines = [line(30.0, 40.0), line(122.0, 10.0), line(75.0, 20.0), line(72.0, 15.0)];
        assert!(off(&lines, 30.0).abs() < 0.3);
    }

    #[test]
    fn nothing_has_no_direction() {
        assert_eq!(dominant(&[]), None);
        assert_eq!(dominant(&[[0.0, 0.0]]), None);
    }
}
