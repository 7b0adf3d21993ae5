//! Outlines and boxes in longitude and latitude, as GeoJSON wants them: cut where longitudes begin anew.

use serde_json::{Value, json};
use swath_proto::footprint::Footprint;

const PER_DEGREE: f64 = 1e9;
/// Half a turn: where longitudes begin anew.
const HALF: f64 = 180.0;

type Position = [f64; 2];
/// West, south, east, north. A box across the antimeridian has its west east of its east.
pub type Box4 = [f64; 4];

/// A geometry and its box; none where the scene has no outline.
pub(crate) fn of(footprint: &Footprint) -> Option<(Value, Box4)> {
    let ring: Vec<Position> =
        footprint.ring.iter().map(|position| position.map(|n| n as f64 / PER_DEGREE)).collect();
    let sections = sections(&ring);
    let rings: Vec<Value> = sections.iter().map(|section| closed(section)).collect();
    let geometry = match rings.as_slice() {
        [] => return None,
        [ring] => json!({"type": "Polygon", "coordinates": [ring]}),
        rings => {
            let polygons: Vec<Value> = rings.iter().map(|ring| json!([ring])).collect();
            json!({"type": "MultiPolygon", "coordinates": polygons})
        }
    };
    // From the west of the first to the east of the last.
    let lons = |section: &[Position]| limits(section, 0);
    let lats: Vec<_> = sections.iter().map(|section| limits(section, 1)).collect();
    let west = sections.first().map(|section| lons(section).0)?;
    let east = sections.last().map(|section| lons(section).1)?;
    let south = lats.iter().map(|at| at.0).fold(f64::INFINITY, f64::min);
    let north = lats.iter().map(|at| at.1).fold(f64::NEG_INFINITY, f64::max);
    Some((geometry, [west, south, east, north]))
}

/// The parts of a ring that lie in one turn of the globe each, from west to east, brought to -180 to 180 degrees.
fn sections(ring: &[Position]) -> Vec<Vec<Position>> {
    if ring.len() < 3 {
        return Vec::new();
    }
    let (west, east) = limits(ring, 0);
    let turn_of = |lon: f64| ((lon + HALF) / (2.0 * HALF)).floor();
    let mut sections = Vec::new();
    let mut turn = turn_of(west);
    while turn <= turn_of(east) {
        let middle = turn * 2.0 * HALF;
        let cut = clip(&clip(ring, middle - HALF, 1.0), middle + HALF, -1.0);
        let (from, to) = limits(&cut, 0);
        // What only touches the meridian covers nothing there.
        if cut.len() >= 3 && from < to {
            sections.push(cut.into_iter().map(|[lon, lat]| [lon - middle, lat]).collect());
        }
        turn += 1.0;
    }
    sections
}

/// What of a ring lies on one side of a meridian: east of it where `side` is 1, west of it where it is -1.
fn clip(ring: &[Position], meridian: f64, side: f64) -> Vec<Position> {
    let is_in = |position: &Position| (position[0] - meridian) * side >= 0.0;
    let mut kept = Vec::with_capacity(ring.len() + 4);
    for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        if is_in(a) {
            kept.push(*a);
        }
        // A position on the meridian is kept by itself.
        if is_in(a) != is_in(b) && a[0] != meridian && b[0] != meridian {
            let along = (meridian - a[0]) / (b[0] - a[0]);
            kept.push([meridian, a[1] + (b[1] - a[1]) * along]);
        }
    }
    kept
}

fn limits(ring: &[Position], axis: usize) -> (f64, f64) {
    let along = ring.iter().map(|position| position[axis]);
    along.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), at| (least.min(at), most.max(at)))
}

fn closed(ring: &[Position]) -> Value {
    ring.iter().chain(ring.first()).map(|[lon, lat]| json!([rounded(*lon), rounded(*lat)])).collect()
}

/// A tenth of a millimetre, whatever subtraction has left behind it.
fn rounded(degrees: f64) -> f64 {
    (degrees * PER_DEGREE).round() / PER_DEGREE
}

/// The box around boxes; that of the whole globe where there is none.
pub(crate) fn around(boxes: impl Iterator<Item = Box4>) -> Box4 {
    let east_of = |west: f64, east: f64| if east < west { east + 2.0 * HALF } else { east };
    let joined = boxes.fold(None, |joined: Option<Box4>, [west, south, east, north]| {
        let east = east_of(west, east);
        Some(match joined {
            None => [west, south, east, north],
            Some([w, s, e, n]) => [w.min(west), s.min(south), e.max(east), n.max(north)],
        })
    });
    match joined {
        None => [-HALF, -90.0, HALF, 90.0],
        Some([west, south, east, north]) if east - west >= 2.0 * HALF => [-HALF, south, HALF, north],
        Some([west, south, east, north]) if east > HALF => [west, south, east - 2.0 * HALF, north],
        Some(joined) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(ring: &[[i64; 2]]) -> Footprint {
        let ring = ring.iter().map(|position| position.map(|degrees| degrees * 1_000_000_000)).collect();
        Footprint { ring, ..Footprint::default() }
    }

    #[test]
    fn an_outline_becomes_a_closed_polygon_and_its_box() {
        let (geometry, bbox) = of(&outline(&[[10, 50], [12, 50], [12, 51], [10, 51]])).unwrap();
        let ring = json!([[10.0, 50.0], [12.0, 50.0], [12.0, 51.0], [10.0, 51.0], [10.0, 50.0]]);
        assert_eq!(geometry, json!({"type": "Polygon", "coordinates": [ring]}));
        assert_eq!(bbox, [10.0, 50.0, 12.0, 51.0]);
    }

    #[test]
    fn an_outline_across_the_antimeridian_is_cut_in_two_whichever_side_it_begins_on() {
        for begin in [179, -181] {
            let (geometry, bbox) =
                of(&outline(&[[begin, 0], [begin + 3, 0], [begin + 3, 2], [begin, 2]])).unwrap();
            assert_eq!(geometry["type"], "MultiPolygon");
            let boxes = geometry["coordinates"].as_array().unwrap().iter().map(|polygon| {
                let lons = polygon[0].as_array().unwrap().iter().map(|at| at[0].as_f64().unwrap());
                (lons.clone().fold(f64::INFINITY, f64::min), lons.fold(f64::NEG_INFINITY, f64::max))
            });
            assert_eq!(boxes.collect::<Vec<_>>(), [(179.0, 180.0), (-180.0, -178.0)]);
            assert_eq!(bbox, [179.0, 0.0, -178.0, 2.0]);
        }
    }

    #[test]
    fn what_ends_at_the_antimeridian_is_not_cut() {
        let (geometry, bbox) = of(&outline(&[[178, 0], [180, 0], [180, 2], [178, 2]])).unwrap();
        assert_eq!((geometry["type"].as_str(), bbox), (Some("Polygon"), [178.0, 0.0, 180.0, 2.0]));
        let (geometry, bbox) = of(&outline(&[[180, 0], [182, 0], [182, 2], [180, 2]])).unwrap();
        assert_eq!((geometry["type"].as_str(), bbox), (Some("Polygon"), [-180.0, 0.0, -178.0, 2.0]));
    }

    #[test]
    fn a_scene_without_an_outline_has_neither() {
        assert_eq!(of(&Footprint::default()), None);
    }

    #[test]
    fn boxes_are_joined_across_the_antimeridian_too() {
        assert_eq!(around([].into_iter()), [-180.0, -90.0, 180.0, 90.0]);
        let joined = around([[10.0, 0.0, 11.0, 1.0], [12.0, -1.0, 13.0, 0.5]].into_iter());
        assert_eq!(joined, [10.0, -1.0, 13.0, 1.0]);
        let joined = around([[179.0, 0.0, -178.0, 1.0], [170.0, 0.0, 171.0, 1.0]].into_iter());
        assert_eq!(joined, [170.0, 0.0, -178.0, 1.0]);
        let joined = around([[179.0, 0.0, -178.0, 1.0], [-179.0, 0.0, 10.0, 1.0]].into_iter());
        assert_eq!(joined, [-180.0, 0.0, 180.0, 1.0]);
    }
}
