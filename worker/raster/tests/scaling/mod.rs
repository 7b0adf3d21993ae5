//! Pixels as networks take them, and the statistics by which they are scaled.

use gdal::Dataset;
use rand::{Rng, SeedableRng, rngs::StdRng};
use swath_geo::stats::PartialStats;
use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    scene::FileRef,
    source::{Scaling, SourceSpec},
};
use swath_raster::{Kind, Source, analyze, statistics};

use crate::{
    error,
    files::{Folder, Tif},
    noise, open,
};

#[test]
fn scaling_gives_what_networks_take() {
    let folder = Folder::new();
    let bytes = Tif::new(256, 1, 1).write(&folder.path("u8.tif"), |_, col, _| col as u8, |_| {});
    let words =
        Tif::new(256, 256, 1).write(&folder.path("u16.tif"), |_, col, row| (row * 256 + col) as u16, |_| {});
    let signed = Tif::new(256, 256, 1).write(
        &folder.path("i16.tif"),
        |_, col, row| (row * 256 + col) as u16 as i16,
        |_| {},
    );
    let scaled = |file: &FileRef, scaling| {
        let source = Source::open(&SourceSpec { scaling, ..SourceSpec::new(vec![file.clone()]) }).unwrap();
        let SizePx { width, height } = source.size();
        source.read_scaled(WindowPx::new(0, 0, width, height)).unwrap().values
    };
    for (file, n) in [(&bytes, 256), (&words, 65536)] {
        for (i, value) in scaled(file, Scaling::Cast).into_iter().enumerate() {
            assert!((f64::from(value) - i as f64 / (n - 1) as f64).abs() < 1e-7);
        }
    }
    let cast = scaled(&signed, Scaling::Cast);
    assert_eq!((cast[32767], cast[32769], cast[0]), (1.0, -1.0, 0.0));
    assert_eq!(scaled(&signed, Scaling::None)[32768], -32768.0);
    let min_max = Scaling::MinMax { min: vec![100.0], max: vec![200.0] };
    for file in [&bytes, &words] {
        let values = scaled(file, min_max.clone());
        assert_eq!(
            (values[0], values[100], values[150], values[200], values[255]),
            (0.0, 0.0, 0.5, 1.0, 1.0)
        );
    }
    // In Raster Vision's words, in double precision as numpy computes it.
    let stats = |value: f64, mean: f64, std: f64| {
        let mut chip = (value - mean) / std;
        chip = chip.clamp(-3.0, 3.0);
        chip += 3.0;
        chip /= 6.0;
        chip *= 255.0;
        if value == 0.0 { 0 } else { chip as u8 }
    };
    for (file, mean, std) in [(&words, 20_000.0, 7_000.5), (&bytes, 99.25, 31.5)] {
        for (i, value) in
            scaled(file, Scaling::Stats { means: vec![mean], stds: vec![std] }).iter().enumerate()
        {
            assert_eq!(*value, f32::from(stats(i as f64, mean, std)) * (1.0 / 255.0), "{i}");
        }
    }
    let (means, stds) = (vec![20_000.0], vec![7_000.5]);
    let usual = Scaling::Stats { means: means.clone(), stds: stds.clone() };
    let wide = Scaling::WideStats { means, stds };
    assert_eq!(scaled(&words, wide.clone()), scaled(&words, usual));
    assert_eq!(scaled(&bytes, wide), scaled(&bytes, Scaling::Cast));
    let spec = |scaling| SourceSpec { scaling, ..SourceSpec::new(vec![bytes.clone()]) };
    for (bad, says) in [
        (Scaling::Stats { means: vec![1.0, 2.0], stds: vec![1.0] }, "scaling.means has 2 values for 1 bands"),
        (Scaling::Stats { means: vec![1.0], stds: vec![-1.0] }, "less than 0"),
        (Scaling::MinMax { min: vec![2.0], max: vec![2.0] }, "less than scaling.max"),
        (Scaling::MinMax { min: vec![2.0], max: vec![f64::NAN] }, "NaN"),
    ] {
        assert!(error(&spec(bad)).1.contains(says));
    }
}

#[test]
fn a_part_of_a_block_is_scaled_as_the_whole_and_what_is_missing_is_zero() {
    let folder = Folder::new();
    let file = Tif::new(20, 10, 3).write(
        &folder.path("a.tif"),
        |band, col, row| noise(band, col, row) as u8,
        |_| {},
    );
    let min_max = Scaling::MinMax { min: vec![-50.0; 3], max: vec![255.0; 3] };
    let cast = |value: u8| f32::from(value) * (1.0 / 255.0);
    parts_are_scaled(&file, Scaling::Cast, cast);
    parts_are_scaled(&file, min_max, |value| ((f64::from(value) + 50.0) * (1.0 / 305.0)) as f32);
}

/// Of 20 x 10 px of noise in three bands.
fn parts_are_scaled(file: &FileRef, scaling: Scaling, of: impl Fn(u8) -> f32) {
    let source = Source::open(&SourceSpec { scaling, ..SourceSpec::new(vec![file.clone()]) }).unwrap();
    let mut rng = StdRng::seed_from_u64(2);
    let mut some = |from: i64, below: i64| rng.random_range(from..below);
    for _ in 0..100 {
        let window = WindowPx::new(some(-30, 30), some(-20, 20), some(1, 50) as u32, some(1, 30) as u32);
        let block = source.read(window).unwrap();
        let (left, top) = (some(0, window.width.into()), some(0, window.height.into()));
        let (width, height) =
            (some(1, i64::from(window.width) - left + 1), some(1, i64::from(window.height) - top + 1));
        let part = WindowPx::new(window.col + left, window.row + top, width as u32, height as u32);
        let mut out = vec![9.0; (width * height * 3) as usize];
        source.scaler().scale(&block, part, &mut out);
        for (i, got) in out.iter().enumerate() {
            let (band, col, row) = (i % 3, part.col + i as i64 / 3 % width, part.row + i as i64 / 3 / width);
            let inside = (0..20).contains(&col) && (0..10).contains(&row);
            let wanted = if inside { of(noise(band, col as usize, row as usize) as u8) } else { 0.0 };
            assert_eq!(*got, wanted, "{part} of {window}: column {col}, row {row}");
        }
    }
}

#[test]
fn statistics_are_gdals_own_and_the_same_however_a_scene_is_cut() {
    let folder = Folder::new();
    let file = Tif::new(700, 400, 3).options(&["TILED=YES", "BLOCKXSIZE=128", "BLOCKYSIZE=128"]).write(
        &folder.path("a.tif"),
        |band, col, row| (noise(band, col, row) % 3000) as u16 + 40 * band as u16,
        |dataset| {
            dataset.rasterband(1).unwrap().set_no_data_value(Some(77.0)).unwrap();
        },
    );
    let source = open(std::slice::from_ref(&file));
    let whole = analyze(&source, RectPx::new(0, 0, 700, 400)).unwrap();
    let found = statistics(&source, &whole).unwrap();
    let dataset = Dataset::open(&file.uri).unwrap();
    for (i, band) in found.bands.iter().enumerate() {
        let wanted = dataset.rasterband(i + 1).unwrap().get_statistics(true, false).unwrap().unwrap();
        assert_eq!((band.min, band.max), (wanted.min, wanted.max));
        assert!(
            (band.mean - wanted.mean).abs() < 1e-9 && (band.std - wanted.std_dev).abs() < 1e-9,
            "{wanted:?}"
        );
    }
    let mut merged = PartialStats::new(whole.kind(), 3);
    for (row, height) in [(0, 1), (1, 250), (251, 149)] {
        for (col, width) in [(333, 367), (0, 333)] {
            merged.merge(&analyze(&source, RectPx::new(col, row, width, height)).unwrap()).unwrap();
        }
    }
    assert_eq!(merged, whole);
}

#[test]
fn floating_point_statistics_are_gdals_own() {
    let folder = Folder::new();
    let file = Tif::new(300, 200, 1).write(
        &folder.path("a.tif"),
        |band, col, row| {
            if (col + row) % 7 == 0 { f32::NAN } else { noise(band, col, row) as u16 as f32 / 7.0 }
        },
        |dataset| {
            dataset.rasterband(1).unwrap().set_no_data_value(Some(f64::NAN)).unwrap();
        },
    );
    let source = open(std::slice::from_ref(&file));
    let band = analyze(&source, RectPx::new(0, 0, 300, 200)).unwrap().statistics().unwrap().bands[0];
    let dataset = Dataset::open(&file.uri).unwrap();
    let wanted = dataset.rasterband(1).unwrap().get_statistics(true, false).unwrap().unwrap();
    assert_eq!((band.min, band.max), (wanted.min, wanted.max));
    assert!((band.mean - wanted.mean).abs() < 1e-8 && (band.std - wanted.std_dev).abs() < 1e-8, "{wanted:?}");
}

#[test]
fn a_scene_without_a_valid_pixel_has_no_statistics() {
    let folder = Folder::new();
    let file = Tif::new(30, 20, 3).write(
        &folder.path("empty.tif"),
        |_, _, _| 0u8,
        |dataset| {
            dataset.rasterband(1).unwrap().set_no_data_value(Some(0.0)).unwrap();
        },
    );
    let source = open(&[file]);
    let parts = analyze(&source, RectPx::new(0, 0, 30, 20)).unwrap();
    let error = statistics(&source, &parts).unwrap_err();
    assert_eq!(error.kind, Kind::Unreadable);
    let message = error.to_string();
    assert!(
        message.contains("empty.tif") && message.contains("no valid pixel") && message.contains("30 x 20"),
        "{message}"
    );
}
