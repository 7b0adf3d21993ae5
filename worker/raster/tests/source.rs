//! Pixels against what GDAL itself says of the same files.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use gdal::Dataset;
use rand::{Rng, SeedableRng, rngs::StdRng};
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    scene::FileRef,
    source::{Nodata, Reclass, SourceSpec},
};
use swath_raster::{Block, Kind, Pixels, Settings, Source, Valid, analyze, configure};

mod files;
mod scaling;
use files::{Folder, Tif, UTM33, half_metres};

fn noise(band: usize, col: usize, row: usize) -> u64 {
    let mut x = (band as u64) << 40 | (col as u64) << 20 | row as u64;
    x = (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 32)
}

fn open(files: &[FileRef]) -> Source {
    Source::open(&SourceSpec::new(files.to_vec())).unwrap()
}

fn whole(source: &Source) -> Block {
    let SizePx { width, height } = source.size();
    source.read(WindowPx::new(0, 0, width, height)).unwrap()
}

fn error(spec: &SourceSpec) -> (Kind, String) {
    match Source::open(spec) {
        Ok(_) => panic!("{spec:?} opens"),
        Err(error) => (error.kind, error.to_string()),
    }
}

#[test]
fn pixels_of_every_type_are_what_gdal_reads_band_by_band() {
    let folder = Folder::new();
    let tif = Tif::new(70, 50, 3);
    macro_rules! check {
        ($type:ty, $variant:ident) => {{
            let path = folder.path(concat!(stringify!($type), ".tif"));
            let value = |band, col, row| (noise(band, col, row) as i64 >> 3) as $type;
            let file = tif.write::<$type>(&path, value, |_| {});
            let Pixels::$variant(got) = whole(&open(&[file])).pixels else { panic!("type of the pixels") };
            let dataset = Dataset::open(&path).unwrap();
            for band in 0..3 {
                let wanted = dataset.rasterband(band + 1).unwrap().read_band_as::<$type>().unwrap();
                let got: Vec<_> = got.iter().skip(band).step_by(3).copied().collect();
                assert_eq!(got, wanted.data(), "{}", stringify!($type));
            }
        }};
    }
    check!(u8, U8);
    check!(u16, U16);
    check!(i16, I16);
    check!(u32, U32);
    check!(i32, I32);
    check!(f32, F32);
    check!(f64, F64);
}

#[test]
fn windows_may_overhang_and_channels_come_in_any_order() {
    let folder = Folder::new();
    let (width, height) = (40i64, 30i64);
    let value = |band, col, row| noise(band, col, row) as u8;
    let file = Tif::new(40, 30, 4).options(&["ALPHA=NO"]).write(&folder.path("a.tif"), value, |_| {});
    let source = Source::open(&SourceSpec { bands: vec![3, 0], ..SourceSpec::new(vec![file]) }).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..200 {
        let window = WindowPx::new(
            rng.random_range(-60..60),
            rng.random_range(-50..50),
            rng.random_range(1..80),
            rng.random_range(1..60),
        );
        let block = source.read(window).unwrap();
        let Pixels::U8(pixels) = &block.pixels else { panic!("bytes") };
        let mask = block.mask();
        let mut n_valid = 0;
        for row in 0..i64::from(window.height) {
            for col in 0..i64::from(window.width) {
                let (x, y) = (window.col + col, window.row + row);
                let inside = (0..width).contains(&x) && (0..height).contains(&y);
                let at = (row * i64::from(window.width) + col) as usize;
                let wanted =
                    if inside { [3, 0].map(|band| value(band, x as usize, y as usize)) } else { [0, 0] };
                assert_eq!(pixels[2 * at..2 * at + 2], wanted, "{window}: column {col}, row {row}");
                assert!(mask.as_ref().is_none_or(|mask| mask.pixels[at] == u8::from(inside)));
                n_valid += u64::from(inside);
            }
        }
        let blank = pixels.chunks_exact(2).filter(|pixel| pixel == &[0, 0]).count();
        assert_eq!(block.n_blank(), blank as u64);
        assert_eq!(block.valid == Valid::All, n_valid == window.size().pixels());
    }
}

#[test]
fn nodata_is_missing_band_by_band_and_a_pixel_only_if_all_bands_are() {
    let folder = Folder::new();
    // Columns: nothing missing, one band missing, all missing.
    let value = |band: usize, col: usize, _| [[5u16, 6], [8, 99], [7, 99]][col][band];
    let nodata = |dataset: &mut Dataset| {
        dataset.rasterband(1).unwrap().set_no_data_value(Some(7.0)).unwrap();
    };
    let file =
        Tif::new(3, 1, 2).options(&["PROFILE=GDALGeoTIFF"]).write(&folder.path("a.tif"), value, nodata);
    // A GeoTIFF has one nodata value for all bands: the specification can say more.
    let spec =
        SourceSpec { nodata: Some(Nodata::OfEach(vec![7.0, 99.0])), ..SourceSpec::new(vec![file.clone()]) };
    let block = whole(&Source::open(&spec).unwrap());
    assert_eq!(block.pixels, Pixels::U16(vec![5, 6, 8, 0, 0, 0]));
    let mask = block.mask().unwrap().into_owned();
    assert_eq!((mask.pixels, mask.samples), (vec![1, 1, 0], Some(vec![1, 1, 1, 0, 0, 0])));
    let own = whole(&open(std::slice::from_ref(&file)));
    assert_eq!(own.pixels, Pixels::U16(vec![5, 6, 8, 99, 0, 99]));
    let none = SourceSpec { nodata: Some(Nodata::OfEach(Vec::new())), ..SourceSpec::new(vec![file.clone()]) };
    let block = whole(&Source::open(&none).unwrap());
    assert_eq!((block.pixels, block.valid), (Pixels::U16(vec![5, 6, 8, 99, 7, 99]), Valid::All));
    // Statistics know the bands apart.
    let source = Source::open(&spec).unwrap();
    let found = analyze(&source, RectPx::new(0, 0, 3, 1)).unwrap().statistics().unwrap();
    assert_eq!((found.bands[0].count, found.bands[1].count, found.bands[0].mean), (2, 1, 6.5));
    for (bad, says) in [
        (Nodata::OfAll(-1.0), "nodata = -1 can't stand in pixels of type u16"),
        (Nodata::OfEach(vec![1.0]), "1 values for 2 bands"),
    ] {
        let spec = SourceSpec { nodata: Some(bad), ..SourceSpec::new(vec![file.clone()]) };
        assert!(error(&spec).1.contains(says), "{}", error(&spec).1);
    }
}

#[test]
fn masks_and_alpha_bands_blank_pixels_out_and_alpha_is_no_channel() {
    let folder = Folder::new();
    let value = |band, col, row| noise(band, col, row) as u8 | 1;
    let hole = |col: usize, row: usize| col > 5 && row.is_multiple_of(3);
    let alpha = Tif::new(20, 10, 4).options(&["PHOTOMETRIC=RGB", "ALPHA=YES"]).write(
        &folder.path("alpha.tif"),
        |band, col, row| if band == 3 { if hole(col, row) { 0 } else { 200 } } else { value(band, col, row) },
        |_| {},
    );
    let masked = Tif::new(20, 10, 3).write(&folder.path("masked.tif"), value, |dataset| {
        let mut band = dataset.rasterband(1).unwrap();
        band.create_mask_band(true).unwrap();
        let pixels = (0..200).map(|i| if hole(i % 20, i / 20) { 0u8 } else { 255 }).collect();
        let mut buffer = gdal::raster::Buffer::new((20, 10), pixels);
        band.open_mask_band().unwrap().write((0, 0), (20, 10), &mut buffer).unwrap();
    });
    for file in [&alpha, &masked] {
        let source = open(std::slice::from_ref(file));
        assert_eq!(source.n_bands(), 3);
        let block = source.read(WindowPx::new(-2, -1, 25, 12)).unwrap();
        let (Pixels::U8(pixels), Some(mask)) = (&block.pixels, block.mask()) else {
            panic!("bytes and a mask")
        };
        for i in 0..300 {
            let (col, row) = ((i % 25) as i64 - 2, (i / 25) as i64 - 1);
            let inside = (0..20).contains(&col) && (0..10).contains(&row);
            let valid = inside && !hole(col as usize, row as usize);
            assert_eq!(mask.pixels[i], u8::from(valid), "{}: column {col}, row {row}", file.uri);
            let wanted = |band| if valid { value(band, col as usize, row as usize) } else { 0 };
            assert_eq!(pixels[3 * i..3 * i + 3], [wanted(0), wanted(1), wanted(2)]);
        }
        let spec = SourceSpec { use_mask: false, ..SourceSpec::new(vec![file.clone()]) };
        let block = whole(&Source::open(&spec).unwrap());
        assert_eq!(block.valid, Valid::All);
    }
}

#[test]
fn what_lies_beside_a_file_of_this_machine_is_seen() {
    configure(&Settings { cache_mib: 64 });
    let folder = Folder::new();
    let path = folder.path("image.tif");
    let file = Tif::new(20, 10, 1).nowhere().write(
        &path,
        |_, _, _| 7_u8,
        |dataset| {
            gdal::config::set_thread_local_config_option("GDAL_TIFF_INTERNAL_MASK", "NO").unwrap();
            let mut band = dataset.rasterband(1).unwrap();
            band.create_mask_band(true).unwrap();
            let plane = (0..200).map(|i| if i < 20 { 0u8 } else { 255 }).collect();
            let mut buffer = gdal::raster::Buffer::new((20, 10), plane);
            band.open_mask_band().unwrap().write((0, 0), (20, 10), &mut buffer).unwrap();
        },
    );
    folder.write("image.tfw", "0.5\n0\n0\n-0.5\n1000.25\n1999.75\n");
    assert!(folder.path("image.tif.msk").exists(), "the mask lies beside");
    let source = open(&[file]);
    let georeference = source.layout().georeference.unwrap();
    assert_eq!(georeference.crs_from_pixel, [1000.0, 0.5, 0.0, 2000.0, 0.0, -0.5]);
    let mask = whole(&source).mask().unwrap().into_owned();
    assert_eq!(mask.pixels, [[0; 20].as_slice(), &[1; 180]].concat());
}

#[test]
fn what_is_no_number_is_missing_or_replaced() {
    let folder = Folder::new();
    let values = [1.5f32, f32::NAN, f32::INFINITY, -2.0, -9999.0, 4.0];
    let file = Tif::new(3, 2, 1).write(
        &folder.path("a.tif"),
        |_, col, row| values[row * 3 + col],
        |dataset| {
            dataset.rasterband(1).unwrap().set_no_data_value(Some(-9999.0)).unwrap();
        },
    );
    let block = whole(&open(std::slice::from_ref(&file)));
    assert_eq!(block.pixels, Pixels::F32(vec![1.5, 0.0, 0.0, -2.0, 0.0, 4.0]));
    assert_eq!(block.mask().unwrap().pixels, [1, 0, 0, 1, 0, 1]);
    let reclass = vec![Reclass { from: -3.0, to: 0.0, into: 9.0 }, Reclass { from: 8.0, to: 8.0, into: 3.0 }];
    let spec = SourceSpec { nan: Some(8.0), reclass, ..SourceSpec::new(vec![file]) };
    let block = whole(&Source::open(&spec).unwrap());
    assert_eq!(block.pixels, Pixels::F32(vec![1.5, 3.0, 3.0, 9.0, 0.0, 4.0]));
    assert_eq!(block.mask().unwrap().pixels, [1, 1, 1, 1, 0, 1]);
}

#[test]
fn files_of_a_mosaic_lie_over_each_other_where_they_have_data() {
    let folder = Folder::new();
    let (x, y) = (500_000.0, 5_400_000.0);
    let nodata = |dataset: &mut Dataset| {
        dataset.rasterband(1).unwrap().set_no_data_value(Some(0.0)).unwrap();
    };
    let lower = Tif::new(30, 20, 2).write(&folder.path("a.tif"), |band, _, _| 10 + band as u8, |_| {});
    // 10 px to the left and 5 px above the first; holes in every other column.
    let upper = Tif::new(20, 15, 2).at(UTM33, half_metres(x - 5.0, y + 2.5)).write(
        &folder.path("b.tif"),
        |band, col, _| if col % 2 == 0 { 0 } else { 20 + band as u8 },
        nodata,
    );
    let source = open(&[lower, upper]);
    assert_eq!(source.size(), SizePx::new(40, 25));
    assert_eq!(source.georeference().unwrap().crs_from_pixel, half_metres(x - 5.0, y + 2.5));
    let block = whole(&source);
    let (Pixels::U8(pixels), Some(mask)) = (&block.pixels, block.mask()) else { panic!("bytes and a mask") };
    for i in 0..40 * 25 {
        let (col, row) = (i % 40, i / 40);
        let wanted = if col < 20 && row < 15 && col % 2 == 1 {
            20
        } else if col >= 10 && row >= 5 {
            10
        } else {
            0
        };
        let second = if wanted == 0 { 0 } else { wanted + 1 };
        assert_eq!(pixels[2 * i..2 * i + 2], [wanted, second], "column {col}, row {row}");
        assert_eq!(mask.pixels[i], u8::from(wanted > 0));
    }
    // Who knows how the files lie opens the scene without looking, and reads the same.
    let spec = source.spec();
    let layout = serde_json::to_string(&source.layout()).unwrap();
    let again = Source::open_at(spec, &serde_json::from_str(&layout).unwrap()).unwrap();
    assert_eq!(whole(&again), block);
    assert_eq!(again.georeference(), source.georeference());
    let mut wrong = source.layout();
    wrong.files[1].width += 1;
    let wrong = Source::open_at(spec, &wrong).unwrap();
    assert!(wrong.read(WindowPx::new(30, 20, 5, 5)).is_ok(), "the second file is not opened for this");
    let message = wrong.read(WindowPx::new(0, 0, 5, 5)).unwrap_err().to_string();
    assert!(message.contains("b.tif") && message.contains("20 x 15 px now, and had 21 x 15"), "{message}");
    // A window gives the same as the whole.
    let part = source.read(WindowPx::new(5, 2, 20, 18)).unwrap();
    let Pixels::U8(got) = part.pixels else { panic!("bytes") };
    for row in 0..18 {
        assert_eq!(got[row * 40..(row + 1) * 40], pixels[((row + 2) * 40 + 5) * 2..][..40]);
    }
}

#[test]
fn more_files_than_are_kept_open_make_one_scene() {
    let folder = Folder::new();
    let files: Vec<FileRef> = (0..40usize)
        .map(|i| {
            Tif::new(4, 4, 1).at(UTM33, half_metres(500_000.0 + 2.0 * i as f64, 0.0)).write(
                &folder.path(&format!("{i}.tif")),
                |_, _, _| i as u8 + 1,
                |_| {},
            )
        })
        .collect();
    let source = open(&files);
    for _ in 0..2 {
        let Pixels::U8(pixels) = whole(&source).pixels else { panic!("bytes") };
        let wanted: Vec<u8> = (0..160 * 4).map(|i| (i % 160 / 4) as u8 + 1).collect();
        assert_eq!(pixels, wanted);
    }
}

#[test]
fn a_file_that_does_not_fit_its_mosaic_is_named() {
    let folder = Folder::new();
    let (x, y) = (500_000.0, 5_400_000.0);
    let first = Tif::new(8, 8, 3).write(&folder.path("a.tif"), |_, _, _| 1u8, |_| {});
    let odd = [
        (Tif::new(8, 8, 4), "number of bands: it has 4"),
        (Tif::new(8, 8, 3).at("EPSG:32634", half_metres(x, y)), "coordinate system"),
        (Tif::new(8, 8, 3).at(UTM33, [x, 0.6, 0.0, y, 0.0, -0.6]), "resolution"),
        (Tif::new(8, 8, 3).at(UTM33, half_metres(x + 0.2, y)), "between those of"),
        (Tif::new(8, 8, 3).nowhere(), "where it lies"),
    ];
    for (i, (tif, says)) in odd.iter().enumerate() {
        let name = format!("odd{i}.tif");
        let other = tif.write(&folder.path(&name), |_, _, _| 1u8, |_| {});
        let (kind, message) = error(&SourceSpec::new(vec![first.clone(), other]));
        assert_eq!(kind, Kind::Unsupported);
        assert!(message.contains(says) && message.contains(&name), "{message}");
    }
    let other = Tif::new(8, 8, 3).write(&folder.path("u16.tif"), |_, _, _| 1u16, |_| {});
    assert!(error(&SourceSpec::new(vec![first, other])).1.contains("type of pixels: it has U16"));
}

#[test]
fn bad_files_are_told_apart_and_named() {
    let folder = Folder::new();
    let file = Tif::new(400, 400, 4).write(
        &folder.path("image.tif"),
        |band, col, row| noise(band, col, row) as u8,
        |_| {},
    );
    let spec = SourceSpec { bands: vec![0, 1, 7], ..SourceSpec::new(vec![file.clone()]) };
    let (kind, message) = error(&spec);
    assert_eq!(kind, Kind::BandMissing);
    assert!(
        message.contains("image.tif") && message.contains("band 8 is asked for, and it has 4 bands"),
        "{message}"
    );

    let bytes = std::fs::read(&file.uri).unwrap();
    std::fs::write(folder.path("short.tif"), &bytes[..bytes.len() / 2]).unwrap();
    let source = open(&[files::file(&folder.path("short.tif"))]);
    let error_of_reading = source.read(WindowPx::new(0, 0, 400, 400)).unwrap_err();
    assert_eq!(error_of_reading.kind, Kind::Unreadable);
    let message = error_of_reading.to_string();
    assert!(message.contains("short.tif (400x400 px at column 0, row 0)"), "{message}");
    std::fs::write(folder.path("shorter.tif"), &bytes[..4]).unwrap();
    let text = folder.write("notes.tif", "This is no image.");
    for file in [files::file(&folder.path("shorter.tif")), text] {
        let (kind, message) = error(&SourceSpec::new(vec![file.clone()]));
        assert_eq!(kind, Kind::Unreadable, "{message}");
        assert!(message.contains(&file.uri));
    }
    let (kind, _) = error(&SourceSpec::new(vec![files::file(&folder.path("nowhere.tif"))]));
    assert_eq!(kind, Kind::Missing);
    let (_, message) = error(&SourceSpec::new(Vec::new()));
    assert!(message.contains("`files` is empty"));
}
