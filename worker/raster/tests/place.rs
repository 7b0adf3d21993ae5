//! Polygons on the ground, against PROJ's own numbers.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

use swath_geo::vector::{Outline, Tracing, polygons};
use swath_proto::{
    geometry::{RectPx, SizePx},
    scene::Georeference,
};
use swath_raster::place::{Coordinates, Placed, Placer, projjson};

/// The polygons of what is `#`.
fn traced(rows: &[&str]) -> Vec<Outline> {
    let scene = SizePx::new(rows[0].len() as u32, rows.len() as u32);
    let classes: Vec<_> = rows.concat().bytes().map(|c| u8::from(c == b'#')).collect();
    let tracing = Tracing { scene, class: 1, denoise_px: 0 };
    let item = RectPx::new(0, 0, scene.width, scene.height);
    let fragment = tracing.fragment(item, &classes, None).unwrap();
    polygons(scene, 0, [fragment]).unwrap().iter().map(Outline::from).collect()
}

/// Columns 2 to 5, rows 1 to 3.
const BOX: &[&str] = &["......", "..####", "..####", "..####"];

fn georeference(crs: &str, crs_from_pixel: [f64; 6]) -> Georeference {
    Georeference { crs_wkt: crs.into(), crs_from_pixel }
}

fn placed(rows: &[&str], crs: &str, transform: [f64; 6], wanted: Coordinates) -> Vec<Placed> {
    Placer::new(Some(&georeference(crs, transform)), wanted).unwrap().place(&traced(rows)).unwrap()
}

fn told(georeference: Option<&Georeference>, wanted: Coordinates) -> String {
    match Placer::new(georeference, wanted).and_then(|placer| placer.place(&traced(BOX))) {
        Ok(placed) => panic!("{placed:?}"),
        Err(error) => error.to_string(),
    }
}

fn twice_area(ring: &[[f64; 2]]) -> f64 {
    let [x0, y0] = ring[0];
    let at = |i: usize| [ring[i % ring.len()][0] - x0, ring[i % ring.len()][1] - y0];
    (0..ring.len()).map(|i| (at(i), at(i + 1))).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum()
}

fn is_inside(ring: &[[f64; 2]], [x, y]: [f64; 2]) -> bool {
    let ends = ring.iter().zip(ring.iter().cycle().skip(1));
    let crossed = ends
        .filter(|(a, b)| (a[1] > y) != (b[1] > y) && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
    crossed.count() % 2 == 1
}

struct Known {
    crs: &'static str,
    transform: [f64; 6],
    /// Corners (2, 1), (2, 4), (6, 4), (6, 1) by column and row.
    corners: [[f64; 2]; 4],
    area_m2: f64,
}

/// By pyproj 3.7.2: `Transformer.from_crs(crs, "EPSG:4326", always_xy=True)` and, for areas,
/// `Geod(ellps="WGS84").polygon_area_perimeter`.
const KNOWN: &[Known] = &[
    Known {
        crs: "EPSG:32633",
        transform: [500_000.0, 0.3, 0.0, 5_400_000.0, 0.0, -0.3],
        corners: [
            [15.00000816287636, 48.753010305520746],
            [15.000008162875046, 48.75300220911726],
            [15.00002448862518, 48.753002209114946],
            [15.000024488629114, 48.75301030551843],
        ],
        area_m2: 1.0808645186,
    },
    // Rows to the north.
    Known {
        crs: "EPSG:32633",
        transform: [500_000.0, 0.3, 0.0, 5_400_000.0, 0.0, 0.3],
        corners: [
            [15.000008162877235, 48.753015703123054],
            [15.000008162878546, 48.75302379952653],
            [15.000024488635672, 48.753023799524215],
            [15.000024488631738, 48.753015703120745],
        ],
        area_m2: 1.0808645190,
    },
    // Turned; a system whose squares are far from square metres.
    Known {
        crs: "EPSG:3857",
        transform: [1_500_000.0, 0.5, 0.1, 6_000_000.0, 0.1, -0.5],
        corners: [
            [13.474739143260948, 47.353702876686704],
            [13.474741838206798, 47.35369374795378],
            [13.47475980451248, 47.353696182282704],
            [13.474757109566628, 47.35370531101522],
        ],
        area_m2: 1.4327440671,
    },
    // Another datum.
    Known {
        crs: "EPSG:2056",
        transform: [2_600_000.0, 0.1, 0.0, 1_200_000.0, 0.0, -0.1],
        corners: [
            [7.438635048111776, 46.95108187237573],
            [7.438635048159439, 46.951079173824304],
            [7.43864030260723, 46.95107917386767],
            [7.438640302559832, 46.95108187241913],
        ],
        area_m2: 0.1199982363,
    },
    Known {
        crs: "EPSG:3413",
        transform: [-100_000.0, 10.0, 0.0, -2_000_000.0, 0.0, -10.0],
        corners: [
            [-47.86181941154434, 71.66602414412687],
            [-47.86177655647029, 71.66575429918164],
            [-47.86063351899179, 71.66577228129232],
            [-47.86067635700581, 71.66604212651974],
        ],
        area_m2: 1211.8315229,
    },
    // Latitude comes first in the definition.
    Known {
        crs: "EPSG:4326",
        transform: [13.0, 1e-6, 0.0, 52.0, 0.0, -1e-6],
        corners: [
            [13.000002, 51.999999],
            [13.000002, 51.999996],
            [13.000006, 51.999996],
            [13.000006, 51.999999],
        ],
        area_m2: 0.0916994577,
    },
];

#[test]
fn corners_lie_where_proj_says_and_run_counter_clockwise() {
    for Known { crs, transform, corners, area_m2 } in KNOWN {
        let placed = placed(BOX, crs, *transform, Coordinates::LonLat);
        let [Placed { rings, area_m2: Some(got_m2) }] = &placed[..] else { panic!("{placed:?}") };
        let [ring] = &rings[..] else { panic!("{rings:?}") };
        assert_eq!(ring.len(), 4, "{crs}");
        assert!(twice_area(ring) > 0.0, "{crs}");
        // The first corner stays the first.
        assert!((ring[0][0] - corners[0][0]).abs() < 1e-10 && (ring[0][1] - corners[0][1]).abs() < 1e-10);
        for [lon, lat] in corners {
            let near = |at: &[f64; 2]| (at[0] - lon).abs() < 1e-10 && (at[1] - lat).abs() < 1e-10;
            assert!(ring.iter().any(near), "{crs}: {lon}, {lat} is not in {ring:?}");
        }
        // PROJ's own are good to some square millimetres.
        assert!((got_m2 - area_m2).abs() < 1e-5 * area_m2.max(1.0), "{crs}: {got_m2} m2 are not {area_m2}");
    }
}

#[test]
fn holes_run_clockwise_whatever_the_transform() {
    let rows = &["#####", "#.#.#", "#####"];
    for down in [-0.3, 0.3] {
        for along in [-0.3, 0.3] {
            for wanted in [Coordinates::LonLat, Coordinates::OfFile] {
                let placed = placed(rows, "EPSG:32633", [5e5, along, 0.0, 54e5, 0.0, down], wanted);
                let signs: Vec<_> =
                    placed[0].rings.iter().map(|ring| twice_area(ring).signum() as i32).collect();
                assert_eq!(signs, [1, -1, -1]);
            }
        }
    }
}

#[test]
fn a_long_line_follows_the_true_one_so_that_a_hole_stays_inside() {
    // 20 km along the parallel, 1 m from a hole of almost that length.
    let n = 20_000;
    let full = "#".repeat(n);
    let holed = format!("#{}#", ".".repeat(n - 2));
    let speck = format!("{}.{}", "#".repeat(n / 2), "#".repeat(n / 2 - 1));
    for rows in [[&*full, &*holed, &*full], [&*full, &*speck, &*full]] {
        let placed = placed(&rows, "EPSG:32633", [3e5, 1.0, 0.0, 54e5, 0.0, -1.0], Coordinates::LonLat);
        let [outer, hole] = &placed[0].rings[..] else { panic!("{} rings", placed[0].rings.len()) };
        assert!((10..200).contains(&outer.len()), "{} positions", outer.len());
        assert!(hole.iter().all(|&at| is_inside(outer, at)));
        assert!(outer.iter().all(|&at| !is_inside(hole, at)));
    }
}

#[test]
fn areas_are_those_on_the_ellipsoid() {
    let placed = placed(&["#"], "EPSG:32633", [3e5, 2e4, 0.0, 54e5, 0.0, -2e4], Coordinates::OfFile);
    // By pyproj, with 2,000 positions along each of the four lines; here four corners have to do.
    let wanted_m2 = 399_964_846.859_856_2;
    let got_m2 = placed[0].area_m2.unwrap();
    assert!((got_m2 / wanted_m2 - 1.0).abs() < 1e-5, "{got_m2} m2");
    assert_eq!(placed[0].rings, [[[3e5, 54e5], [3e5, 53.8e5], [3.2e5, 53.8e5], [3.2e5, 54e5]]]);
}

#[test]
fn a_polygon_across_the_antimeridian_stays_whole() {
    let rows = &["######", "#....#", "####.#", "######"];
    let placed =
        placed(rows, "EPSG:32660", [833_950.0, 10.0, 0.0, 10_000.0, 0.0, -10.0], Coordinates::LonLat);
    for ring in &placed[0].rings {
        let lons: Vec<_> = ring.iter().map(|at| at[0]).collect();
        assert!(lons.iter().all(|lon| (179.99..180.01).contains(lon)), "{lons:?}");
        assert!(lons.iter().any(|&lon| lon > 180.0));
    }
    assert!((placed[0].area_m2.unwrap() / 1900.0 - 1.0).abs() < 0.01, "{:?}", placed[0].area_m2);
}

#[test]
fn what_has_no_place_is_told_in_words() {
    let utm = [5e5, 0.3, 0.0, 54e5, 0.0, -0.3];
    let around_the_pole = [-100.0, 25.0, 0.0, 50.0, 0.0, -25.0];
    for (georeference, words) in [
        (None, "needs a georeference"),
        (Some(georeference("", utm)), "names no coordinate reference system"),
        (Some(georeference("EPSG:1", utm)), "placing"),
        (Some(georeference("LOCAL_CS[\"plan\",UNIT[\"metre\",1]]", utm)), "placing"),
        (Some(georeference("EPSG:32633", [5e5, 0.3, 0.3, 54e5, 0.3, 0.3])), "no place"),
        (Some(georeference("EPSG:32633", [f64::NAN, 0.3, 0.0, 54e5, 0.0, -0.3])), "no place"),
        (Some(georeference("EPSG:32633", [1e12, 0.3, 0.0, 54e5, 0.0, -0.3])), "row 1, column 2"),
        (Some(georeference("EPSG:4326", [0.0, 1.0, 0.0, 100.0, 0.0, -1.0])), "no longitude"),
        (Some(georeference("EPSG:3413", around_the_pole)), "pole"),
    ] {
        let told = told(georeference.as_ref(), Coordinates::LonLat);
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn without_a_system_polygons_are_placed_in_the_coordinates_of_the_file_if_asked() {
    let placed = placed(BOX, "", [100.0, 0.5, 0.0, 50.0, 0.0, -0.5], Coordinates::OfFile);
    assert_eq!(placed[0].rings, [[[101.0, 49.5], [101.0, 48.0], [103.0, 48.0], [103.0, 49.5]]]);
    assert_eq!(placed[0].area_m2, None);
    assert!(told(None, Coordinates::OfFile).contains("needs a georeference"));
}

#[test]
fn a_system_is_described_in_projjson() {
    let described = projjson(&georeference("EPSG:32633", [0.0; 6])).unwrap().unwrap();
    assert_eq!(described["id"]["code"], 32633);
    assert_eq!(projjson(&georeference("", [0.0; 6])).unwrap(), None);
}

#[test]
fn no_polygons_are_no_polygons() {
    assert_eq!(placed(&["..."], "EPSG:32633", [5e5, 1.0, 0.0, 54e5, 0.0, -1.0], Coordinates::LonLat), []);
}
