//! A raster, or a part of it, in a small picture.

use swath_proto::geometry::{RectPx, SizePx};
use swath_raster::{Layout, Raster, Reduction, Writer};

/// Two bands of 64 x 32 pixels: the first says where a pixel lies, the second is black and white by turns.
fn written(folder: &std::path::Path) -> Raster {
    let (path, size) = (folder.join("image.tif"), SizePx::new(64, 32));
    let mut writer = Writer::create(&path, size, 2, None, Layout::Tiled(16)).expect("a file");
    let pixels = (0..32_u8).flat_map(|row| (0..64_u8).map(move |col| (row, col)));
    let mut rows: Vec<u8> =
        pixels.flat_map(|(row, col)| [row / 4 * 16 + col / 4, if col % 2 == 0 { 10 } else { 250 }]).collect();
    writer.write_rows(0, &mut rows).expect("rows");
    writer.finish().expect("a whole file");
    Raster::open(path.to_str().expect("UTF-8")).expect("an image")
}

#[test]
fn a_smaller_picture_shows_all_of_the_raster() {
    let folder = tempfile::tempdir().expect("a folder");
    let raster = written(folder.path());
    let small = raster.read_reduced(SizePx::new(16, 8), &[1], Reduction::Nearest).expect("pixels");
    let wanted: Vec<f32> =
        (0..8_u8).flat_map(|row| (0..16_u8).map(move |col| row * 16 + col)).map(f32::from).collect();
    assert_eq!(small, wanted);
}

#[test]
fn a_mean_is_of_all_pixels_that_it_stands_for_and_a_class_is_one_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let raster = written(folder.path());
    let read = |reduction| raster.read_reduced(SizePx::new(32, 16), &[2, 1], reduction).expect("pixels");
    assert!(read(Reduction::Mean).chunks(2).all(|pixel| pixel[0] == 130.0));
    assert!(read(Reduction::Nearest).chunks(2).all(|pixel| [10.0, 250.0].contains(&pixel[0])));
    // The last pixel's place, in the band that was asked for second.
    assert_eq!(read(Reduction::Mean).last(), Some(&127.0));
}

#[test]
fn a_part_of_it_is_what_the_whole_shows_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let raster = written(folder.path());
    let (part, size) = (RectPx::new(32, 16, 32, 16), SizePx::new(8, 4));
    for reduction in [Reduction::Nearest, Reduction::Mean] {
        let whole = raster.read_reduced(SizePx::new(16, 8), &[1], reduction).expect("pixels");
        let there = whole.chunks(16).skip(4).flat_map(|row| row[8..].to_vec());
        let seen = raster.read_part_reduced(part, size, &[1], reduction).expect("pixels");
        assert_eq!(seen, there.collect::<Vec<_>>(), "{reduction:?}");
    }
}

#[test]
fn more_than_a_raster_has_is_an_error_that_says_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let raster = written(folder.path());
    for (part, size) in [
        (RectPx::new(32, 16, 33, 16), SizePx::new(8, 4)),
        (RectPx::new(0, 17, 64, 16), SizePx::new(8, 4)),
        (RectPx::new(0, 0, 8, 8), SizePx::new(9, 8)),
        (RectPx::new(0, 0, 8, 8), SizePx::new(8, 0)),
    ] {
        let error = raster.read_part_reduced(part, size, &[1], Reduction::Nearest).expect_err("it was read");
        let told = error.to_string();
        assert!(told.contains("image.tif: ") && told.ends_with("it has 64x32"), "{told}");
    }
}

#[test]
fn what_a_small_picture_takes_is_as_little_as_the_overviews_allow() {
    let folder = tempfile::tempdir().expect("a folder");
    let takes = |raster: &Raster, part, size| raster.pixels_read(part, size).expect("a number");
    let (whole, part) = (RectPx::new(0, 0, 64, 32), RectPx::new(32, 16, 32, 16));
    assert_eq!(takes(&written(folder.path()), whole, SizePx::new(16, 8)), 64 * 32);
    let path = folder.path().join("image.tif");
    let mut image = gdal::Dataset::open(&path).expect("an image");
    image.build_overviews("NEAREST", &[2, 4], &[]).expect("overviews");
    drop(image);
    let raster = Raster::open(path.to_str().expect("UTF-8")).expect("an image");
    assert_eq!(takes(&raster, whole, SizePx::new(16, 8)), 16 * 8);
    assert_eq!(takes(&raster, whole, SizePx::new(17, 8)), 32 * 16);
    assert_eq!(takes(&raster, part, SizePx::new(8, 4)), 8 * 4);
}
