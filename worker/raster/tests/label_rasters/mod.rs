//! Labels that are rasters themselves: of classes, or of colours.

use gdal::raster::{ColorEntry, ColorTable, PaletteInterpretation};
use serde_json::{Value, json};
use swath_proto::{
    geometry::RectPx,
    scene::FileRef,
    source::{IGNORED, LabelSpec},
};
use swath_raster::{Kind, Labels};

use crate::{
    CORNER, HEIGHT, WIDTH, classes,
    files::{Folder, Tif, UTM33, half_metres},
    refused, scene, whole,
};

fn class_raster(file: &FileRef, more: Value) -> LabelSpec {
    let mut spec = json!({"kind": "class_raster", "file": file});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

#[test]
fn class_rasters_map_values_to_classes() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let names = ["null", "house", "road"];
    let value = |col: usize, row: usize| ((col / 10 + row / 10) % 4) as i16;
    let file = Tif::new(WIDTH, HEIGHT, 1).write(
        &folder.path("labels.tif"),
        |_, c, r| value(c, r),
        |dataset| {
            dataset.rasterband(1).unwrap().set_no_data_value(Some(3.0)).unwrap();
        },
    );
    let seen =
        |more: Value| whole(&Labels::open(&class_raster(&file, more), &scene, &classes(&names)).unwrap());
    let wanted = |table: [u8; 4]| -> Vec<u8> {
        (0..WIDTH * HEIGHT).map(|i| table[value(i % WIDTH, i / WIDTH) as usize]).collect()
    };
    assert_eq!(seen(json!({})), wanted([0, 1, 2, 0]));
    assert_eq!(seen(json!({"nodata": "ignored"})), wanted([0, 1, 2, IGNORED]));
    let map = json!({"map": [
        {"value": 0, "class": "road"}, {"value": 1, "class": 0}, {"value": 2}, {"value": 3, "class": "house"},
    ]});
    assert_eq!(seen(map), wanted([2, 0, IGNORED, 1]));
    // A part of the scene has the labels of the part.
    let part = RectPx::new(70, 30, 40, 50);
    for grid in ["georeference", "size"] {
        let spec = class_raster(&file, json!({"grid": grid}));
        let labels = Labels::open(&spec, &scene.cropped(part), &classes(&names)).unwrap();
        let mut seen = vec![9; 20 * 10];
        labels.burn(RectPx::new(5, 35, 20, 10), &mut seen).unwrap();
        let all = wanted([0, 1, 2, 0]);
        let there = (65..75).flat_map(|row| all[row * WIDTH + 75..][..20].to_vec());
        assert_eq!(seen, there.collect::<Vec<_>>(), "{grid}");
    }
    let few = class_raster(&file, json!({"map": [{"value": 0, "class": 1}, {"value": 1, "class": 1}]}));
    let labels = Labels::open(&few, &scene, &classes(&names)).unwrap();
    let error = labels.burn(RectPx::new(15, 5, 20, 10), &mut [0; 200]).unwrap_err();
    assert_eq!(error.kind, Kind::BadLabels);
    let message = error.to_string();
    assert!(
        message.contains("value 2 at column 20, row 5 is of no class; values [0, 1] are known"),
        "{message}"
    );
    let bad = class_raster(&file, json!({"map": [{"value": 0, "class": "lake"}]}));
    assert!(refused(&bad, &scene, &names).contains("map: 'lake' is no class"));
}

#[test]
fn label_rasters_lie_on_the_scenes_own_pixels_or_are_refused() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let names = ["null", "house"];
    let [x, y] = CORNER;
    let on_scene = || Tif::new(WIDTH, HEIGHT, 1);
    for (i, (tif, says)) in [
        (on_scene().nowhere(), "does not say where it lies"),
        (on_scene().at("EPSG:32634", half_metres(x, y)), "UTM zone 34N"),
        (
            on_scene().at(UTM33, half_metres(x + 300.0, y)),
            "it spans x 500300.0 to 500400.0, y 5399925.0 to 5400000.0, the scene x 500000.0 to 500100.0",
        ),
        (on_scene().at(UTM33, [x, 0.6, 0.0, y, 0.0, -0.6]), "does not lie on the scene"),
        (Tif::new(WIDTH - 1, HEIGHT, 1), "it has 199 x 150 px, and the scene 200 x 150"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = tif.write(&folder.path(&format!("{i}.tif")), |_, _, _| 1u8, |_| {});
        let message = refused(&class_raster(&file, json!({})), &scene, &names);
        assert!(message.contains(says), "{message}");
        if i < 4 {
            let spec = class_raster(&file, json!({"grid": "size"}));
            assert_eq!(whole(&Labels::open(&spec, &scene, &classes(&names)).unwrap()), [1; WIDTH * HEIGHT]);
        }
    }
}

#[test]
fn colours_are_classes_and_an_unknown_one_is_told_with_its_place() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let names = ["null", "house", "road"];
    let colors = [[0u8, 0, 0], [255, 136, 0], [16, 32, 48]];
    let index = |col: usize, row: usize| (col / 7 + row / 5) % 3;
    let rgb =
        Tif::new(WIDTH, HEIGHT, 3).write(&folder.path("rgb.tif"), |b, c, r| colors[index(c, r)][b], |_| {});
    let palette = Tif::new(WIDTH, HEIGHT, 1).write(
        &folder.path("palette.tif"),
        |_, c, r| index(c, r) as u8,
        |dataset| {
            let mut table = ColorTable::new(PaletteInterpretation::Rgba);
            for (i, [r, g, b]) in colors.iter().enumerate() {
                let color = ColorEntry::rgba((*r).into(), (*g).into(), (*b).into(), 255);
                table.set_color_entry(i as u16, &color);
            }
            dataset.rasterband(1).unwrap().set_color_table(&table);
        },
    );
    let spec = |file: &FileRef, colors: Value| -> LabelSpec {
        serde_json::from_value(json!({"kind": "color_raster", "file": file, "colors": colors})).unwrap()
    };
    let all = json!([
        {"color": "#000000", "class": "null"}, {"color": "#ff8800", "class": "road"}, {"color": "#102030"},
    ]);
    let wanted: Vec<u8> = (0..WIDTH * HEIGHT).map(|i| [0, 2, IGNORED][index(i % WIDTH, i / WIDTH)]).collect();
    for file in [&rgb, &palette] {
        assert_eq!(whole(&Labels::open(&spec(file, all.clone()), &scene, &classes(&names)).unwrap()), wanted);
        let few = json!([{"color": "#000000", "class": 0}, {"color": "#ff8800", "class": 1}]);
        let labels = Labels::open(&spec(file, few), &scene, &classes(&names)).unwrap();
        let error = labels.burn(RectPx::new(0, 0, WIDTH as u32, 1), &mut [0; WIDTH]).unwrap_err().to_string();
        assert!(
            error.contains("colour #102030 at column 14, row 0 is of no class; known are #000000, #ff8800"),
            "{error}"
        );
    }
    for (colors, says) in [
        (json!([]), "empty"),
        (json!([{"color": "ff8800", "class": 1}]), "must look like"),
        (json!([{"color": "#ff8800", "class": 7}]), "number 7 is no class"),
        (json!([{"color": "#ff8800", "class": 1}, {"color": "#FF8800", "class": 2}]), "twice"),
    ] {
        assert!(refused(&spec(&rgb, colors), &scene, &names).contains(says));
    }
    let grey = Tif::new(WIDTH, HEIGHT, 1).write(&folder.path("grey.tif"), |_, _, _| 0u8, |_| {});
    assert!(refused(&spec(&grey, all), &scene, &names).contains("three 8-bit bands, or one with a palette"));
}
