//! From the pixels of a class to files that others open.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

use std::{fs::File, path::Path};

use gdal::{Dataset, vector::LayerAccess};
use rand::{Rng, SeedableRng, rngs::StdRng};
use swath_geo::vector::{Outline, Polygon, Tracing, polygons, simplify};
use swath_proto::{
    geometry::{RectPx, SizePx},
    scene::Georeference,
};
use swath_raster::place::{Coordinates, Placed, Placer, projjson};
use swath_vectors::{AreaUnit, Crs, Feature, GeoJson, GeoParquet};

const UTM: &str = "EPSG:32633";

fn utm(along: f64, down: f64) -> Georeference {
    Georeference { crs_wkt: UTM.into(), crs_from_pixel: [4e5, along, 0.0, 54e5, 0.0, down] }
}

/// Of blobs and specks, drawn at random.
fn drawn(edge_px: u32, n_blobs: u32, tolerance_px: f64) -> Vec<Polygon> {
    let mut rng = StdRng::seed_from_u64(3);
    let edge = edge_px as usize;
    let mut classes = vec![0u8; edge * edge];
    for i in 0..n_blobs {
        let (row, col) = (rng.random_range(0..edge), rng.random_range(0..edge));
        let (height, width) = (rng.random_range(1..40), rng.random_range(1..40));
        for r in row..(row + height).min(edge) {
            classes[r * edge + col..r * edge + (col + width).min(edge)].fill(u8::from(i % 3 != 0));
        }
    }
    let scores: Vec<u8> = (0..edge * edge).map(|_| rng.random()).collect();
    let scene = SizePx::new(edge_px, edge_px);
    let tracing = Tracing { scene, class: 1, denoise_px: 0 };
    let item = RectPx::new(0, 0, edge_px, edge_px);
    let fragment = tracing.fragment(item, &classes, Some(&scores)).unwrap();
    let traced = polygons(scene, 0, [fragment]).unwrap();
    traced.into_iter().map(|polygon| simplify(polygon, tolerance_px).polygon).collect()
}

fn features(polygons: &[Polygon], georeference: &Georeference, wanted: Coordinates) -> Vec<Feature> {
    let placer = Placer::new(Some(georeference), wanted).unwrap();
    let outlines: Vec<_> = polygons.iter().map(Outline::from).collect();
    let placed = placer.place(&outlines).unwrap();
    let feature = |(polygon, Placed { rings, area_m2 }): (&Polygon, Placed)| Feature {
        class_id: 1,
        class_name: "building".into(),
        score: polygon.mean_score(),
        area: area_m2.unwrap(),
        rings,
    };
    polygons.iter().zip(placed).map(feature).collect()
}

fn write_geojson(path: &Path, features: &[Feature]) {
    let mut file = GeoJson::new(File::create(path).unwrap(), AreaUnit::SquareMetres).unwrap();
    features.iter().for_each(|feature| file.add(feature).unwrap());
    file.finish().unwrap();
}

fn write_geoparquet(path: &Path, features: &[Feature], crs: Crs) {
    let mut file = GeoParquet::new(File::create(path).unwrap(), crs, AreaUnit::SquareMetres).unwrap();
    features.iter().for_each(|feature| file.add(feature).unwrap());
    file.finish().unwrap();
}

#[test]
fn gdal_opens_the_geojson() {
    for down in [-0.3, 0.3] {
        let polygons = drawn(200, 100, 0.0);
        let features = features(&polygons, &utm(0.3, down), Coordinates::LonLat);
        let name = format!("swath-vectorize-{}-{}.geojson", std::process::id(), down < 0.0);
        let path = std::env::temp_dir().join(name);
        write_geojson(&path, &features);
        let dataset = Dataset::open(&path).unwrap();
        let mut layer = dataset.layer(0).unwrap();
        assert_eq!(layer.feature_count(), features.len() as u64);
        assert_eq!(layer.spatial_ref().unwrap().auth_code().unwrap(), 4326);
        for (read, written) in layer.features().zip(&features) {
            assert_eq!(read.field_as_integer(read.field_index("class_id").unwrap()).unwrap(), Some(1));
            let name = read.field_as_string(read.field_index("class_name").unwrap()).unwrap();
            assert_eq!(name.as_deref(), Some("building"));
            let double = |name| {
                let index = read.field_index(name).unwrap();
                read.field_as_double(index).unwrap().unwrap()
            };
            assert!((double("score") - written.score).abs() < 1e-6);
            assert!((double("area_m2") - written.area).abs() < 1e-4);
            let geometry = read.geometry().unwrap();
            assert!(geometry.is_valid());
            assert_eq!(geometry.geometry_count(), written.rings.len());
            assert_eq!(geometry.get_geometry(0).point_count(), written.rings[0].len() + 1);
        }
        std::fs::remove_file(path).unwrap();
    }
}

/// `docs/vectors.md` says how they are opened.
#[test]
#[ignore = "writes files for geopandas and QGIS, into $SWATH_VECTORS"]
fn files_for_others() {
    let directory = std::env::var_os("SWATH_VECTORS").unwrap();
    let directory = Path::new(&directory);
    let cases = [
        ("traced", 20_000, 0.3, -0.3, 0.0),
        ("simple", 20_000, 0.3, -0.3, 1.5),
        ("south", 20_000, 10.0, 10.0, 1.5),
        ("dense", 150_000, 10.0, -10.0, 2.5),
    ];
    for (name, n_blobs, along, down, tolerance_px) in cases {
        let polygons = drawn(4000, n_blobs, tolerance_px);
        let georeference = utm(along, down);
        let started = std::time::Instant::now();
        let placed = features(&polygons, &georeference, Coordinates::LonLat);
        let positions: usize = placed.iter().flat_map(|feature| &feature.rings).map(Vec::len).sum();
        println!("{name}: {} polygons, {positions} positions: {:?}", placed.len(), started.elapsed());
        write_geojson(&directory.join(format!("{name}.geojson")), &placed);
        write_geoparquet(&directory.join(format!("{name}.parquet")), &placed, Crs::LonLat);
        let in_utm = features(&polygons, &georeference, Coordinates::OfFile);
        let crs = Crs::Named(projjson(&georeference).unwrap().unwrap());
        write_geoparquet(&directory.join(format!("{name}-utm.parquet")), &in_utm, crs);
    }
    write_geojson(&directory.join("empty.geojson"), &[]);
    write_geoparquet(&directory.join("empty.parquet"), &[], Crs::LonLat);
}
