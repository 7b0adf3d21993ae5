//! Rings as they are on the ground: how bent, how turned, how large.

use swath_geo::vector::Outline;

/// The lines of a ring, the one back to its first position included.
pub fn lines(ring: &[[f64; 2]]) -> impl Iterator<Item = ([f64; 2], [f64; 2])> {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1))
}

/// How far the middle of a line lies off the middle of its ends, in lengths of the line.
pub fn off(placed: &[[f64; 2]]) -> f64 {
    let [a, middle, b] = [placed[0], placed[1], placed[2]];
    let shrink = middle[1].to_radians().cos();
    let along = |from: [f64; 2], to: [f64; 2]| [turned(to[0] - from[0]) * shrink, to[1] - from[1]];
    let (to_middle, to_end) = (along(a, middle), along(a, b));
    let length = to_end[0].hypot(to_end[1]);
    if length == 0.0 {
        return 0.0;
    }
    (to_middle[0] - to_end[0] / 2.0).hypot(to_middle[1] - to_end[1] / 2.0) / length
}

/// The shorter way round the globe.
fn turned(degrees: f64) -> f64 {
    degrees - 360.0 * (degrees / 360.0).round()
}

/// Longitudes jump by a turn at the antimeridian; polygons don't.
pub fn unwrap_longitudes(rings: &mut [Vec<[f64; 2]>]) -> Result<(), &'static str> {
    let mut outer_from = None;
    for ring in rings {
        let Some(&[first, _]) = ring.first() else { continue };
        let mut before = first;
        for [lon, _] in ring.iter_mut() {
            // Exactly what came out of the transform, where there is no jump.
            let turns = ((before - *lon) / 360.0).round();
            *lon += 360.0 * turns;
            before = *lon;
        }
        if (before - first).abs() > 180.0 {
            return Err("it goes around a pole, which no polygon in longitude and latitude can; \
                        ask for the coordinates of the file");
        }
        let least = ring.iter().map(|at| at[0]).fold(f64::INFINITY, f64::min);
        let outer_from = *outer_from.get_or_insert(least);
        // A hole may begin where its outer ring does, give or take how far lines are off.
        let turns = ((outer_from - least) / 360.0 - 0.001).ceil();
        ring.iter_mut().for_each(|[lon, _]| *lon += 360.0 * turns);
    }
    Ok(())
}

/// As RFC 7946 wants them, whatever way the transform and the axes of the system run.
pub fn turn(rings: &mut [Vec<[f64; 2]>]) {
    for (i, ring) in rings.iter_mut().enumerate() {
        let area = twice_area(ring.iter().copied());
        if if i == 0 { area < 0.0 } else { area > 0.0 } {
            // The first position stays the first.
            ring[1..].reverse();
        }
    }
}

/// The ground that a polygon's pixels cover. Simplifying and squaring leave a polygon its pixels, though
/// its rings hold more or less than that: so they say how large a pixel is there, and no more.
pub fn area_m2(rings: &[Vec<[f64; 2]>], outline: &Outline) -> f64 {
    let twice_m2: f64 = rings.iter().map(|ring| twice_area(ring.iter().map(|&at| equal_area(at)))).sum();
    (twice_m2 / outline.twice_area_px()).abs() * outline.area_px as f64
}

/// The cylinder on which areas are those of the WGS 84 ellipsoid, in metres.
fn equal_area([lon, lat]: [f64; 2]) -> [f64; 2] {
    const MAJOR_M: f64 = 6_378_137.0;
    const FLATTENING: f64 = 1.0 / 298.257_223_563;
    let e2 = FLATTENING * (2.0 - FLATTENING);
    let (e, sine) = (e2.sqrt(), lat.to_radians().sin());
    let q = (1.0 - e2) * (sine / (1.0 - e2 * sine * sine) + (e * sine).atanh() / e);
    [MAJOR_M * lon.to_radians(), MAJOR_M * q / 2.0]
}

/// Positive where a ring runs counter-clockwise. Measured from its first position, since far from
/// the origin a small ring would drown in rounding.
fn twice_area(ring: impl Iterator<Item = [f64; 2]>) -> f64 {
    let mut ring = ring;
    let Some([x0, y0]) = ring.next() else { return 0.0 };
    let mut before = [0.0, 0.0];
    let mut sum = 0.0;
    for [x, y] in ring {
        let at = [x - x0, y - y0];
        sum += before[0] * at[1] - at[0] * before[1];
        before = at;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longitudes_go_on_across_the_antimeridian_and_holes_with_them() {
        let mut rings = vec![
            vec![[179.0, 0.0], [-178.0, 0.0], [-178.0, 3.0], [179.0, 3.0]],
            vec![[-179.0, 1.0], [-179.0, 2.0], [-178.5, 1.0]],
            vec![[179.0, 0.0], [179.5, 1.0], [-179.5, 0.5]],
        ];
        assert_eq!(unwrap_longitudes(&mut rings), Ok(()));
        assert_eq!(rings[0], [[179.0, 0.0], [182.0, 0.0], [182.0, 3.0], [179.0, 3.0]]);
        assert_eq!(rings[1], [[181.0, 1.0], [181.0, 2.0], [181.5, 1.0]]);
        assert_eq!(rings[2], [[179.0, 0.0], [179.5, 1.0], [180.5, 0.5]]);
    }

    #[test]
    fn longitudes_without_a_jump_stay_to_the_last_bit() {
        let ring = vec![[-0.1, 0.0], [13.000_000_1, 0.0], [170.0, 1.0], [7.3, 8.0]];
        // The hole begins a hair outside.
        let hole = vec![[-0.100_000_001, 0.5], [1.0, 0.7], [1.0, 0.5]];
        let mut rings = vec![ring, hole];
        let before = rings.clone();
        unwrap_longitudes(&mut rings).unwrap();
        assert_eq!(rings, before);
    }

    #[test]
    fn a_ring_around_a_pole_is_none() {
        let ring = [0.0, 90.0, 180.0, -90.0].map(|lon| [lon, 80.0]);
        assert!(unwrap_longitudes(&mut [ring.to_vec()]).is_err());
    }

    #[test]
    fn the_whole_ellipsoid_has_the_area_that_it_has() {
        let corners = [[-180.0, -90.0], [180.0, -90.0], [180.0, 90.0], [-180.0, 90.0]];
        let area_m2 = twice_area(corners.into_iter().map(equal_area)) / 2.0;
        assert!((area_m2 / 510_065_621_724_088.4 - 1.0).abs() < 1e-12, "{area_m2}");
    }
}
