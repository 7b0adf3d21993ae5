//! From two catalogues to a submission; what is split for programs that need it; how many items there are.

use std::{collections::BTreeSet, io::Write as _, path::Path, process::Command, time::Instant};

use serde_json::{Value, json};
use swath_proto::{
    geometry::SizePx,
    scene::{Georeference, SceneHeader},
};
use swath_raster::{Layout, Writer};

use super::{counted, eval, example, files, header, in_bucket, look_alike, place, told, unpacked};
use crate::{
    same_bytes::run_name,
    site::{Kind, Site},
};

#[test]
fn open_cities_goes_from_its_catalogues_to_its_submission_in_a_folder_and_in_a_bucket() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let here = look_alike(&site, "open-cities");
        let data = if kind == Kind::Servers { in_bucket(&site, &here) } else { here.clone() };
        let file = example("open-cities/pipeline.toml");
        let (train, test) = (format!("{data}train_tier_1/catalog.json"), format!("{data}test/catalog.json"));
        // Whole scenes and chips; and a network that learns little, in no time.
        let run = site.swath(
            &[
                "run",
                &file,
                "--allow-steps",
                "--workers",
                "2",
                "-r",
                "-x",
                "-s",
                "10",
                "-a",
                "experiment_id",
                "benchmark",
                "-a",
                "train_stac_uri",
                &train,
                "-a",
                "test_stac_uri",
                &test,
                "-a",
                "test",
                "True",
                "--set",
                "test.crop_px=1400",
                "--set",
                "model.architecture=tiny",
            ],
            0,
        );
        assert!(told(&run.stderr).contains("--splits 10: nothing is to be split"), "{}", told(&run.stderr));
        let run = run_name(&run.stdout);
        assert!(run.starts_with("benchmark-test-"), "{run}");
        let eval = eval(&site, &run);
        assert_eq!(counted(&eval).0, ["No Building", "Building", "average"]);
        let evaluated: Vec<&String> = eval["per_scene"].as_object().expect("scenes").keys().collect();
        assert_eq!(evaluated.len(), 3, "{evaluated:?}");

        let maps = unpacked(&site, &run);
        assert_eq!(maps.len(), 5, "the maps of five chips, and of no scene that has labels: {maps:?}");
        for map in &maps {
            let chip = map.file_stem().and_then(|name| name.to_str()).expect("a name");
            let (map, chip) = (header(map), header(Path::new(&format!("{here}test/{chip}/{chip}.tif"))));
            assert_eq!((map.bands, map.data_type.as_str(), map.size), (1, "Byte", chip.size));
            assert_eq!(place(&map), place(&chip));
        }
        let score: Value =
            serde_json::from_slice(&site.object(&format!("steps/{run}/submission/score.json")))
                .expect("JSON");
        assert_eq!(score["jaccard"], eval["overall"][1]["metrics"]["iou"]);
        assert_eq!((&score["chips"], &score["validation_scenes"]), (&json!(5), &json!(3)));
        assert!(score["jaccard"].is_number(), "{score}");
        for key in [format!("bundle/{run}/bundle.zip"), format!("predict/{run}/{}.tif", evaluated[0])] {
            assert!(!site.object(&key).is_empty(), "{key}");
        }
    }
}

#[test]
fn an_image_is_split_into_squares_that_have_data_up_to_its_last_pixel() {
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("acc/1/1.tif");
    std::fs::create_dir_all(image.parent().expect("a folder")).expect("making folders");
    let place =
        Georeference { crs_wkt: "EPSG:32630".into(), crs_from_pixel: [5e5, 0.3, 0.0, 6e5, 0.0, -0.3] };
    let (width, height) = (1000, 700);
    let mut writer =
        Writer::with_alpha(&image, SizePx::new(width, height), 4, Some(&place), Layout::Tiled(256), true)
            .expect("a file");
    // The first 450 columns have no data.
    let mut pixels: Vec<u8> =
        (0..height * width).flat_map(|at| [90, 90, 90, if at % width < 450 { 0 } else { 255 }]).collect();
    writer.write_rows(0, &mut pixels).expect("pixels");
    writer.finish().expect("a whole file");
    let (list, split) = (folder.path().join("squares.csv"), folder.path().join("split"));
    let done = Command::new("python3")
        .arg(example("open-cities/preprocess.py"))
        .args(["--edge", "400", "--labels", "/l.geojson"])
        .arg("--image")
        .arg(&image)
        .arg("--split-dir")
        .arg(&split)
        .arg("--list")
        .arg(&list)
        .output()
        .expect("starting python3");
    assert!(done.status.success(), "{}", told(&done.stderr));
    let list = std::fs::read_to_string(&list).expect("a list");
    let squares: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    let found: Vec<(u32, u32, f64)> = squares
        .iter()
        .map(|path| {
            let SceneHeader { size, georeference, .. } = header(Path::new(path));
            (size.width, size.height, georeference.expect("a place").crs_from_pixel[0])
        })
        .collect();
    let (middle, right) = (5e5 + 400.0 * 0.3, 5e5 + 800.0 * 0.3);
    assert_eq!(found, [(400, 400, middle), (400, 300, middle), (200, 400, right), (200, 300, right)]);
    assert_eq!(files(&split).len(), 4, "what has no data is not there");
}

/// As many as the challenge has chips. How long it takes is told, and nothing hangs on it.
#[test]
fn eleven_thousand_items_of_a_catalogue_are_read() {
    const N: usize = 11_481;
    let site = Site::new(Kind::Embedded);
    let folder = site.path("test");
    let mut links = Vec::new();
    for nth in 0..N {
        let id = format!("{nth:06x}");
        let at = folder.join(&id);
        std::fs::create_dir_all(&at).expect("a folder");
        let item = json!({
            "type": "Feature", "stac_version": "0.8.1", "id": id, "properties": { "datetime": "2019-01-01T00:00:00Z" },
            "assets": { "image": { "href": format!("./{id}.tif"), "type": "image/tiff" } },
        });
        std::fs::write(at.join(format!("{id}.json")), item.to_string()).expect("writing an item");
        links.push(json!({ "rel": "item", "href": format!("./{id}/{id}.json") }));
    }
    let catalogue = folder.join("catalog.json");
    let document = json!({ "id": "test", "stac_version": "0.8.1", "description": "", "links": links });
    let mut file = std::fs::File::create(&catalogue).expect("a catalogue");
    file.write_all(document.to_string().as_bytes()).expect("writing the catalogue");
    let pipeline = site.path("chips.toml");
    let text = "name = \"chips\"\nscenes = [{ stac = \"test/catalog.json\" }]\nclasses = [{ name = \"a\", color = \"#000000\", \
                null = true }, { name = \"b\", color = \"#ffffff\" }]\nmodel = { architecture = \"tiny\", seed = 1 }\n";
    std::fs::write(&pipeline, text).expect("writing the pipeline");
    let pipeline = pipeline.to_str().expect("UTF-8");
    let began = Instant::now();
    let run = told(&site.swath(&["submit", pipeline, "-x"], 0).stdout).trim().to_owned();
    eprintln!("{N} items read and submitted in {:.1} s", began.elapsed().as_secs_f64());
    let record: Value = serde_json::from_slice(&site.object(&format!("runs/{run}/run.json"))).expect("JSON");
    let scenes = record["scenes"].as_array().expect("scenes");
    let ids: BTreeSet<&str> = scenes.iter().filter_map(|scene| scene["id"].as_str()).collect();
    assert_eq!((scenes.len(), ids.len()), (N, N));
    // The images are not there, which is told only where somebody looks.
    let refused = site.swath(&["submit", pipeline], 2);
    assert!(told(&refused.stderr).contains("there is no file"), "{}", told(&refused.stderr));
}
