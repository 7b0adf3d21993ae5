//! Maps on disk, in blocks of a few pixels.

use std::path::Path;

use swath_proto::{
    geometry::SizePx,
    ids::Digest,
    item::{ClassStyle, Stage},
    scene::Georeference,
    vectors::VectorPlan,
};
use swath_raster::{Layout, Writer};

use super::*;

const TILE: SizePx = SizePx::new(8, 8);
/// Tiles along a side of the mosaic.
const SIDE: u32 = 12;

/// At a column and row of the mosaic: a staircase from tile to tile, and specks.
fn class_at(col: u32, row: u32) -> u8 {
    u8::from((col * 7 + row * 5) % 11 < 7)
}

fn score_at(col: u32, row: u32) -> u8 {
    (col * 3 + row) as u8
}

fn pixels(rect: RectPx) -> impl Iterator<Item = (u32, u32)> {
    (rect.row..rect.bottom()).flat_map(move |row| (rect.col..rect.right()).map(move |col| (col, row)))
}

fn written(path: &Path, bands: usize, mut pixels: Vec<u8>) -> String {
    let mut writer = Writer::create(path, TILE, bands, None, Layout::Striped).unwrap();
    writer.write_rows(0, &mut pixels).unwrap();
    writer.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

/// A scene whose first pixel lies there in the mosaic.
fn scene(col: u32, row: u32, producer: u32) -> MergeScene {
    let (x, y) = (500_000.0 + f64::from(col) * 0.5, 5_400_000.0 - f64::from(row) * 0.5);
    let georeference =
        Georeference { crs_wkt: "EPSG:32633".into(), crs_from_pixel: [x, 0.5, 0.0, y, 0.0, -0.5] };
    MergeScene {
        id: format!("at-{col}-{row}").parse().unwrap(),
        size: TILE,
        georeference: Some(georeference),
        prediction: String::new(),
        scores: None,
        producer: Place::new(Stage::Assemble, 0, producer),
    }
}

/// Tiles along two sides of a square, four wide; the rest of it is empty.
fn flown(folder: &Path) -> (Vec<MergeScene>, Vec<Uris>) {
    let tiles = (0..SIDE).flat_map(|row| (0..SIDE).map(move |col| (col, row)));
    let made = tiles.filter(|&(col, row)| col < 4 || row < 4).map(|(col, row)| {
        let rect = RectPx::new(col * TILE.width, row * TILE.height, TILE.width, TILE.height);
        let file = |kind: &str| folder.join(format!("{kind}-{col}-{row}.tif"));
        let classes = pixels(rect).map(|(col, row)| class_at(col, row)).collect();
        let scores = pixels(rect).flat_map(|(col, row)| [0, score_at(col, row)]).collect();
        let uris = Uris {
            classes: written(&file("map"), 1, classes),
            scores: Some(written(&file("scores"), 2, scores)),
        };
        (scene(rect.col, rect.row, row), uris)
    });
    made.unzip()
}

fn work(classes: &[u8], nodata: Option<u8>) -> Merge {
    let plan = VectorPlan {
        classes: classes.to_vec(),
        denoise_px: 0,
        min_area_m2: 0.0,
        tolerance_px: 0.0,
        square_px: 0.0,
        formats: vec![VectorFormat::GeoJson],
    };
    let class = |name: &str| ClassStyle { name: name.into(), rgb: [0; 3] };
    Merge {
        inputs: Digest::of(b""),
        classes: vec![class("background"), class("building")],
        plan,
        nodata,
        output: "merged".into(),
    }
}

#[test]
fn blocks_leave_no_trace_whatever_their_size_and_many_are_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (scenes, uris) = flown(folder.path());
    let traced = |block_px| trace(&work(&[0, 1], None), &scenes, &uris, block_px).unwrap();
    let (whole, blocks) = (traced(1024), traced(16));
    assert_eq!(whole.mosaics, [scenes.iter().map(|scene| scene.id.clone()).collect::<Vec<_>>()]);
    assert!(whole.polygons > 10, "{}", whole.polygons);
    assert_eq!(blocks.polygons, whole.polygons);
    assert!(blocks.files == whole.files, "the polygons depend on the blocks");
}

#[test]
fn few_of_many_maps_are_held_open_and_any_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (scenes, uris) = flown(folder.path());
    assert!(scenes.len() > OPEN);
    let sizes: Vec<_> = scenes.iter().map(|scene| (scene.size, scene.georeference.as_ref())).collect();
    let found = mosaics(&sizes);
    let [mosaic] = &found[..] else { panic!("{found:?}") };
    let mut tiles = Tiles { mosaic, scenes: &scenes, uris: &uris, nodata: None, open: Vec::new() };
    for round in 0..2 {
        for (n, tile) in mosaic.tiles().iter().enumerate() {
            let Layers { classes, scores } = tiles.read(1, tile.rect).unwrap();
            let wanted = |of: fn(u32, u32) -> u8| -> Vec<u8> {
                pixels(tile.rect).map(|(col, row)| of(col, row)).collect()
            };
            assert_eq!((classes, scores), (wanted(class_at), Some(wanted(score_at))), "{tile:?}");
            assert_eq!(tiles.open.len(), if round == 0 { OPEN.min(n + 1) } else { OPEN });
        }
    }
    let corner = RectPx::new(mosaic.size.width - TILE.width, mosaic.size.height - TILE.height, 8, 8);
    assert!(tiles.is_empty_in(corner) && !tiles.is_empty_in(mosaic.tiles()[0].rect));
}

#[test]
fn what_does_not_count_in_one_scene_is_traced_as_the_next_says() {
    let folder = tempfile::tempdir().unwrap();
    let uris = [0, 1].map(|class| {
        let path = folder.path().join(format!("{class}.tif"));
        Uris { classes: written(&path, 1, vec![class; TILE.pixels() as usize]), scores: None }
    });
    let scenes = [scene(0, 0, 0), scene(0, 0, 1)];
    let n_polygons = |nodata| trace(&work(&[1], nodata), &scenes, &uris, 1024).unwrap().polygons;
    assert_eq!((n_polygons(Some(0)), n_polygons(None)), (1, 0));
}

#[test]
fn whatever_is_gone_is_named_at_once_and_a_producer_once() {
    let scenes = [scene(0, 0, 3), scene(8, 0, 3), scene(16, 0, 1), scene(24, 0, 2)];
    assert!(none_gone(&scenes, &[true; 4]).is_ok());
    let Err(JobError::MissingInputs { places, message }) = none_gone(&scenes, &[false, false, false, true])
    else {
        panic!("three are gone")
    };
    assert_eq!(places, [1, 3].map(|index| Place::new(Stage::Assemble, 0, index)));
    assert_eq!(message, "the predictions of 3 of 4 scenes are gone");
}
