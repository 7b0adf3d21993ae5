//! The files, read back by other code than wrote them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

use std::io::{self, Write};

use parquet::{
    basic::ColumnOrder,
    data_type::{ByteArrayType, DataType, DoubleType, Int32Type},
    file::{
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
    },
};
use serde_json::{Value, json};
use swath_vectors::{AreaUnit, Crs, Feature, GeoJson, GeoParquet, WriteError};

fn square(class: (u8, &str), [x, y]: [f64; 2], edge: f64) -> Feature {
    let rings = vec![vec![[x, y], [x + edge, y], [x + edge, y + edge], [x, y + edge]]];
    Feature { class_id: class.0, class_name: class.1.into(), score: 0.75, area: 1.25, rings }
}

fn two() -> [Feature; 2] {
    let mut holed = square((1, "house \"A\"\n"), [13.25, 52.5], 0.5);
    holed.rings.push(vec![[13.375, 52.625], [13.375, 52.75], [13.5, 52.625]]);
    [holed, Feature { score: 1.0 / 3.0, area: 1e7, ..square((7, "straße"), [-0.1234567891, -45.0], 1e-9) }]
}

fn geojson(features: &[Feature]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = GeoJson::new(&mut bytes, AreaUnit::SquareMetres).unwrap();
    features.iter().for_each(|feature| file.add(feature).unwrap());
    file.finish().unwrap();
    bytes
}

fn geoparquet(features: &[Feature], crs: Crs) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = GeoParquet::new(&mut bytes, crs, AreaUnit::SquareMetres).unwrap();
    features.iter().for_each(|feature| file.add(feature).unwrap());
    file.finish().unwrap();
    bytes
}

fn opened(bytes: Vec<u8>) -> SerializedFileReader<bytes::Bytes> {
    SerializedFileReader::new(bytes.into()).unwrap()
}

fn geo(bytes: Vec<u8>) -> Value {
    let file = opened(bytes);
    let words = file.metadata().file_metadata().key_value_metadata().unwrap();
    let geo = words.iter().find(|word| word.key == "geo").unwrap();
    serde_json::from_str(geo.value.as_ref().unwrap()).unwrap()
}

fn column<T: DataType>(file: &dyn FileReader, number: usize) -> Vec<T::T> {
    let mut values = Vec::new();
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).unwrap();
        let reader = group.get_column_reader(number).unwrap();
        let mut reader = parquet::column::reader::get_typed_column_reader::<T>(reader);
        reader.read_records(usize::MAX, None, None, &mut values).unwrap();
    }
    values
}

#[test]
fn geojson_says_all_of_a_feature_on_a_line() {
    let text = String::from_utf8(geojson(&two())).unwrap();
    assert_eq!(text.lines().count(), 4);
    let read: Value = serde_json::from_str(&text).unwrap();
    let wanted = json!({
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"class_id": 1, "class_name": "house \"A\"\n", "score": 0.75, "area_m2": 1.25},
                "geometry": {"type": "Polygon", "coordinates": [
                    [[13.25, 52.5], [13.75, 52.5], [13.75, 53], [13.25, 53], [13.25, 52.5]],
                    [[13.375, 52.625], [13.375, 52.75], [13.5, 52.625], [13.375, 52.625]],
                ]},
            },
            {
                "type": "Feature",
                "properties":
                    {"class_id": 7, "class_name": "straße", "score": 0.333333, "area_m2": 10_000_000},
                "geometry": {"type": "Polygon", "coordinates": [[
                    [-0.123456789, -45], [-0.123456788, -45], [-0.123456788, -44.999999999],
                    [-0.123456789, -44.999999999], [-0.123456789, -45],
                ]]},
            },
        ],
        "bbox": [-0.123456789, -45, 13.75, 53],
    });
    assert_eq!(read, wanted);
}

#[test]
fn geoparquet_describes_itself() {
    let path = |edge: &str| json!(["bbox", edge]);
    let wanted = json!({
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {
            "encoding": "WKB",
            "geometry_types": ["Polygon"],
            "edges": "planar",
            "orientation": "counterclockwise",
            "bbox": [-0.1234567891, -45.0, 13.75, 53.0],
            "covering": {"bbox": {
                "xmin": path("xmin"), "ymin": path("ymin"), "xmax": path("xmax"), "ymax": path("ymax"),
            }},
        }},
    });
    assert_eq!(geo(geoparquet(&two(), Crs::LonLat)), wanted);
    let unknown = geo(geoparquet(&two(), Crs::Unknown));
    assert_eq!(unknown["columns"]["geometry"].get("crs"), Some(&Value::Null));
    let named = geo(geoparquet(&two(), Crs::Named(json!({"type": "ProjectedCRS"}))));
    assert_eq!(named["columns"]["geometry"]["crs"], json!({"type": "ProjectedCRS"}));
}

#[test]
fn geoparquet_has_its_columns_to_the_byte() {
    let file = opened(geoparquet(&two(), Crs::LonLat));
    let schema = file.metadata().file_metadata().schema_descr();
    let columns: Vec<_> = schema.columns().iter().map(|column| column.path().string()).collect();
    let wanted = ["class_id", "class_name", "score", "area_m2", "geometry"];
    assert_eq!(columns[..5], wanted);
    assert_eq!(columns[5..], ["bbox.xmin", "bbox.ymin", "bbox.xmax", "bbox.ymax"]);
    assert_eq!(column::<Int32Type>(&file, 0), [1, 7]);
    let names = column::<ByteArrayType>(&file, 1);
    assert_eq!(names.iter().map(|n| n.as_utf8().unwrap()).collect::<Vec<_>>(), ["house \"A\"\n", "straße"]);
    assert_eq!(column::<DoubleType>(&file, 2), [0.75, 1.0 / 3.0]);
    assert_eq!(column::<DoubleType>(&file, 3), [1.25, 1e7]);
    let east = -0.1234567891 + 1e-9;
    for (number, wanted) in
        [[13.25, -0.1234567891], [52.5, -45.0], [13.75, east], [53.0, -45.0 + 1e-9]].iter().enumerate()
    {
        assert_eq!(column::<DoubleType>(&file, 5 + number), wanted);
    }
    let wkb = column::<ByteArrayType>(&file, 4);
    let mut wanted = vec![1, 3, 0, 0, 0, 2, 0, 0, 0];
    wanted.extend([5, 0, 0, 0]);
    for at in [[13.25, 52.5], [13.75, 52.5], [13.75, 53.0], [13.25, 53.0], [13.25, 52.5]] {
        wanted.extend(at.iter().flat_map(|value: &f64| value.to_le_bytes()));
    }
    wanted.extend([4, 0, 0, 0]);
    for at in [[13.375, 52.625], [13.375, 52.75], [13.5, 52.625], [13.375, 52.625]] {
        wanted.extend(at.iter().flat_map(|value: &f64| value.to_le_bytes()));
    }
    assert_eq!(wkb[0].data(), wanted);
    assert_eq!(wkb[1].len(), 9 + 4 + 5 * 16);
}

/// Readers skip a row group by the least and greatest of its covering. They believe only numbers that
/// are ordered in a way they know.
#[test]
fn the_covering_of_a_row_group_can_be_believed() {
    let file = opened(geoparquet(&two(), Crs::LonLat));
    let orders = file.metadata().file_metadata().column_orders().unwrap();
    assert!(orders.iter().all(|order| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))), "{orders:?}");
    let Some(Statistics::Double(xmin)) = file.metadata().row_group(0).column(5).statistics() else {
        panic!()
    };
    assert_eq!((xmin.min_opt(), xmin.max_opt()), (Some(&-0.1234567891), Some(&13.25)));
}

#[test]
fn files_without_features_are_whole() {
    let read: Value = serde_json::from_slice(&geojson(&[])).unwrap();
    assert_eq!(read, json!({"type": "FeatureCollection", "features": []}));
    let bytes = geoparquet(&[], Crs::LonLat);
    assert_eq!(geo(bytes.clone())["columns"]["geometry"].get("bbox"), None);
    assert_eq!(opened(bytes).metadata().file_metadata().num_rows(), 0);
}

#[test]
fn the_same_features_give_the_same_bytes() {
    assert_eq!(geojson(&two()), geojson(&two()));
    assert_eq!(geoparquet(&two(), Crs::LonLat), geoparquet(&two(), Crs::LonLat));
}

#[test]
fn a_refused_feature_leaves_no_trace() {
    let mut bad = square((1, "house"), [f64::NAN, 0.0], 1.0);
    let good = two();
    let (mut json_bytes, mut parquet_bytes) = (Vec::new(), Vec::new());
    let mut json = GeoJson::new(&mut json_bytes, AreaUnit::SquareMetres).unwrap();
    let mut parquet = GeoParquet::new(&mut parquet_bytes, Crs::LonLat, AreaUnit::SquareMetres).unwrap();
    for feature in &good {
        json.add(feature).unwrap();
        parquet.add(feature).unwrap();
        for x in [f64::NAN, f64::INFINITY, 5e5] {
            bad.rings[0][2][0] = x;
            assert!(matches!(json.add(&bad), Err(WriteError::Feature(_))));
            assert!(matches!(parquet.add(&bad), Err(WriteError::Feature(_))));
        }
    }
    json.finish().unwrap();
    parquet.finish().unwrap();
    assert_eq!(json_bytes, geojson(&good));
    assert_eq!(parquet_bytes, geoparquet(&good, Crs::LonLat));
}

#[test]
fn row_groups_are_bounded_in_rows_and_in_bytes() {
    let rows = |features: &mut dyn Iterator<Item = Feature>| {
        let mut bytes = Vec::new();
        let mut file = GeoParquet::new(&mut bytes, Crs::LonLat, AreaUnit::Pixels).unwrap();
        features.for_each(|feature| file.add(&feature).unwrap());
        file.finish().unwrap();
        let file = opened(bytes);
        assert_eq!(column::<Int32Type>(&file, 0).len(), file.metadata().file_metadata().num_rows() as usize);
        file.metadata().row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>()
    };
    let small = || square((1, "house"), [0.0, 0.0], 1.0);
    assert_eq!(rows(&mut (0..150_000).map(|_| small())), [65_536, 65_536, 18_928]);
    let round = |n: u32| (0..n).map(move |i| f64::from(i) / f64::from(n) * std::f64::consts::TAU);
    let large = || Feature { rings: vec![round(1 << 18).map(|a| [a.cos(), a.sin()]).collect()], ..small() };
    assert_eq!(rows(&mut (0..9).map(|_| large())), [4, 4, 1]);
}

/// Has room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_as_one() {
    let is_full = |outcome: Result<(), WriteError>| match outcome {
        Err(WriteError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
        Err(other) => panic!("{other:?}"),
        Ok(()) => panic!("it had room"),
    };
    let features = two();
    for room in [0, 3, 100, 700] {
        let json = || {
            let mut file = GeoJson::new(Disk(room.min(400)), AreaUnit::SquareMetres)?;
            features.iter().try_for_each(|feature| file.add(feature))?;
            file.finish()
        };
        is_full(json());
        let parquet = || {
            let mut file = GeoParquet::new(Disk(room), Crs::LonLat, AreaUnit::SquareMetres)?;
            features.iter().try_for_each(|feature| file.add(feature))?;
            file.finish()
        };
        is_full(parquet());
    }
}

/// For a person: `/usr/bin/time -v`, with `SWATH_MANY` set to 10,000 and to 1,000,000.
#[test]
#[ignore = "writes hundreds of megabytes, to see how much memory it takes"]
fn a_million_features_take_no_more_memory_than_some() {
    let n: u32 = std::env::var("SWATH_MANY").map_or(1_000_000, |n| n.parse().unwrap());
    let peak_kib = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned()
    };
    let directory = std::env::temp_dir();
    let created = |name: &str| std::fs::File::create(directory.join(name)).unwrap();
    let started = std::time::Instant::now();
    let mut json = GeoJson::new(created("swath-many.geojson"), AreaUnit::SquareMetres).unwrap();
    for i in 0..n {
        json.add(&small(i)).unwrap();
    }
    json.finish().unwrap();
    println!("{n} as GeoJSON: {:?}, {}", started.elapsed(), peak_kib());
    let started = std::time::Instant::now();
    let parquet = created("swath-many.parquet");
    let mut parquet = GeoParquet::new(parquet, Crs::LonLat, AreaUnit::SquareMetres).unwrap();
    for i in 0..n {
        parquet.add(&small(i)).unwrap();
    }
    parquet.finish().unwrap();
    println!("{n} as GeoParquet: {:?}, {}", started.elapsed(), peak_kib());
}

/// Houses in streets.
fn small(i: u32) -> Feature {
    let at = [f64::from(i % 1000) * 1.7e-4 + 13.0, f64::from(i / 1000) * 1.3e-4 + 52.0];
    square(if i.is_multiple_of(3) { (1, "house") } else { (2, "shed") }, at, 1e-4)
}
