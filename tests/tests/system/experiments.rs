//! The three experiments of `examples/`, each by its one file and one command on look-alike data, and what they leave.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use swath_proto::{
    geometry::SizePx,
    scene::{FileRef, Georeference, SceneHeader},
    source::SourceSpec,
    status::RunState,
};
use swath_raster::{Layout, Writer};

use crate::{
    heals::block_on,
    same_bytes::run_name,
    shared_servers::shared,
    site::{Kind, Site},
};

const PATIENCE: Duration = Duration::from_secs(180);

fn example(path: &str) -> String {
    format!("{}/../examples/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// Look-alike data in a folder; with a `/` at its end, as arguments name it.
fn look_alike(site: &Site, name: &str) -> String {
    let folder = site.path("data");
    site.swath(&["synth", folder.to_str().expect("UTF-8"), "--like", name], 0);
    format!("{}/", folder.display())
}

fn told(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn eval(site: &Site, run: &str) -> Value {
    serde_json::from_slice(&site.object(&format!("eval/{run}/eval.json"))).expect("JSON")
}

/// Names of classes in eval.json, and how many pixels are labelled in all.
fn counted(eval: &Value) -> (Vec<String>, f64) {
    let classes = eval["overall"].as_array().expect("classes");
    let names = classes.iter().filter_map(|class| class["class_name"].as_str()).map(str::to_owned).collect();
    let own = classes.iter().filter(|class| class["class_name"] != "average");
    (names, own.filter_map(|class| class["gt_count"].as_f64()).sum())
}

#[test]
fn potsdam_tells_six_classes_apart_and_has_a_run_for_each_variant() {
    let site = Site::new(Kind::Embedded);
    let data = look_alike(&site, "potsdam");
    let file = example("potsdam/pipeline.toml");
    let options = ["--test", "-a", "raw_uri", data.as_str()];
    let plan = site.swath(&[&["plan", &file, "-m", "*resnet18*"][..], &options].concat(), 0);
    let runs: Vec<String> = told(&plan.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("run     ").map(str::to_owned))
        .collect();
    let variants = ["better-resnet18", "resnet18", "resnet18-5k", "resnet18-half", "resnet18-oversample"];
    for (run, variant) in runs.iter().zip(variants) {
        assert!(run.starts_with(&format!("potsdam-{variant}-test-")), "{runs:?}");
    }
    assert_eq!(runs.len(), variants.len(), "{runs:?}");

    let command = ["run", &file, "-m", "resnet18", "--workers", "1", "--threads", "2"];
    let run = run_name(&site.swath(&[&command[..], &options].concat(), 0).stdout);
    assert_eq!(run, runs[1]);
    let eval = eval(&site, &run);
    let names = ["Car", "Building", "Low Vegetation", "Tree", "Impervious", "Clutter", "average"];
    let (found, pixels) = counted(&eval);
    assert_eq!(found, names);
    assert_eq!(pixels, 600.0 * 600.0, "a trial takes 600 px of one scene, with the labels of that square");
    let average = &eval["overall"][6]["metrics"]["f1"];
    assert!(average.is_number(), "what the plugin reports is the average F1: {average}");
    assert_eq!(eval["per_scene"].as_object().expect("scenes").keys().collect::<Vec<_>>(), ["2_12"]);
    for key in [format!("predict/{run}/2_12.tif"), format!("bundle/{run}/bundle.zip")] {
        assert!(!site.object(&key).is_empty(), "{key}");
    }
    let bad = site.swath(&["plan", &file, "-m", "resnet34"], 2);
    assert!(told(&bad.stderr).contains("no variant"), "{}", told(&bad.stderr));
}

#[test]
fn building_detection_draws_and_merges_what_it_finds_and_trains_on_no_tile_that_judges_it() {
    let site = Site::new(Kind::Embedded);
    let data = look_alike(&site, "building-detection");
    let file = example("building-detection/pipeline.toml");
    let root = site.path("elsewhere").display().to_string();
    let arguments = [
        "-a",
        "raw_uri",
        &data,
        "-a",
        "processed_uri",
        "unused/",
        "-a",
        "root_uri",
        &root,
        "-a",
        "test",
        "True",
    ];
    let command = ["run", &file, "-m", "nir-r-g", "--workers", "1", "--threads", "2"];
    let run = run_name(&site.swath(&[&command[..], &arguments].concat(), 0).stdout);
    assert!(run.starts_with("building-detection-nir-r-g-test-"), "{run}");
    let made = |key: &str| {
        let path = Path::new(&root).join(key.replace("RUN", &run));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let eval: Value = serde_json::from_slice(&made("eval/RUN/eval.json")).expect("JSON");
    let (names, pixels) = counted(&eval);
    assert_eq!((names, pixels), (["building", "background", "average"].map(String::from).into(), 360_000.0));
    assert!(eval["overall"][0]["gt_count"].as_f64() > Some(0.0), "there are buildings in the square");
    made("predict/RUN/BG32_5K_0807_VAL.tif");
    made("bundle/RUN/bundle.zip");
    for polygons in ["vectors/RUN/BG32_5K_0807_VAL.geojson", "merged/RUN/polygons.geojson"] {
        let polygons: Value = serde_json::from_slice(&made(polygons)).expect("GeoJSON");
        assert_eq!(polygons["type"], "FeatureCollection");
    }

    let many = ["run", &file, "-m", "nir-r-g", "--workers", "1", "--set", "test.min_labels=100000"];
    let none = site.swath(&[&many[..], &arguments].concat(), 1);
    let said = told(&none.stdout) + &told(&none.stderr);
    assert!(said.contains("no square of 600 px has 100000 labels"), "{said}");

    let both = format!("scenes.1.images={data}images/*_TRAIN.tif");
    let refused = site.swath(&["plan", &file, "-m", "nir-r-g", "-a", "raw_uri", &data, "--set", &both], 2);
    assert!(told(&refused.stderr).contains("in validation"), "{}", told(&refused.stderr));
}

/// A process of the test's own.
struct Standing(Child);

impl Drop for Standing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn labels_come_page_by_page_from_a_service_that_falters_and_its_key_is_kept_nowhere() {
    let script = format!("{}/tests/system/experiments/wfs.py", env!("CARGO_MANIFEST_DIR"));
    let mut service = Command::new("python3");
    service.arg(script).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut service = Standing(service.spawn().expect("starting python3"));
    let mut port = String::new();
    let mut said = BufReader::new(service.0.stdout.take().expect("its output"));
    said.read_line(&mut port).expect("its port");
    // What it says is to leave it running.
    let _reader = std::thread::spawn(move || said.lines().map_while(Result::ok).count());

    let site = Site::new(Kind::Embedded);
    let data = look_alike(&site, "building-detection");
    let url = format!("http://127.0.0.1:{}", port.trim());
    let arguments = [
        ("raw_uri", data.as_str()),
        ("url", url.as_str()),
        ("tile_layer", "1"),
        ("outline_layer", "2"),
        ("source", "It's 2017"),
        ("pause", "0.01"),
    ];
    let file = example("building-detection/labels.toml");
    let mut command = vec!["run", file.as_str(), "--allow-steps", "--workers", "1"];
    command.extend(arguments.iter().flat_map(|(name, value)| ["-a", *name, *value]));
    let output = site.command(&command).env("LDS_API_KEY", "a key/of mine").output().expect("starting swath");
    assert!(output.status.success(), "{}\n{}", told(&output.stderr), site.worker_logs());
    let run = run_name(&output.stdout);
    for tile in ["BG32_5K_0707_TRAIN", "BG32_5K_0708_TRAIN", "BG32_5K_0807_VAL", "BG32_5K_0808_VAL"] {
        let labels = site.object(&format!("steps/{run}/outlines/{tile}/labels.geojson"));
        let labels: Value = serde_json::from_slice(&labels).expect("GeoJSON");
        assert_eq!(labels["features"].as_array().expect("features").len(), 7, "{tile}");
    }
    for file in files(Path::new(&site.root)) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!told(&bytes).contains("key/of"), "{} holds the key", file.display());
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found
}

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

        let archive = site.path("submission.tgz");
        std::fs::write(&archive, site.object(&format!("steps/{run}/submission/submission.tgz")))
            .expect("writing");
        let unpacked = site.path("unpacked");
        std::fs::create_dir(&unpacked).expect("a folder");
        let tar = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).status();
        assert!(tar.expect("starting tar").success());
        let maps = files(&unpacked);
        assert_eq!(maps.len(), 5, "the maps of five chips, and of no scene that has labels: {maps:?}");
        for map in &maps {
            let chip = map.file_stem().and_then(|name| name.to_str()).expect("a name");
            let (map, chip) = (header(map), header(Path::new(&format!("{here}test/{chip}/{chip}.tif"))));
            assert_eq!((map.bands, map.data_type.as_str(), map.size), (1, "Byte", chip.size));
            let place = |header: &SceneHeader| header.georeference.as_ref().expect("a place").crs_from_pixel;
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

/// With a network that learns little, in no time: what is shown is the way, over both brokers.
#[test]
fn experiments_go_on_where_a_worker_was_killed_while_it_trained() {
    let sqs = || Site::on_sqs(|name| shared().s3.sqs_url(name));
    let sites: [(&str, &str, &dyn Fn() -> Site); 2] =
        [("potsdam", "resnet50", &sqs), ("building-detection", "nir-r-g", &|| Site::new(Kind::Servers))];
    for (name, variant, site) in sites {
        let site = site();
        let data = in_bucket(&site, &look_alike(&site, name));
        let file = example(&format!("{name}/pipeline.toml"));
        let options = ["--test", "--set", "model.architecture=tiny", "-a", "raw_uri", &data];
        let submitted = site.swath(&[&["submit", &file, "-m", variant][..], &options].concat(), 0);
        let run = told(&submitted.stdout).trim().to_owned();
        let _coordinator = site.start(&["coordinator"]);
        let mut first = site.start(&["worker", "--lease", "2"]);
        let began = Instant::now();
        // The training is next, or under way.
        while site
            .status(&run)
            .is_none_or(|status| status.stages.get("chip").is_none_or(|chips| chips.done == 0))
        {
            assert!(began.elapsed() < PATIENCE, "{name}: no chip is cut\n{}", site.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        first.kill();
        let _second = site.start(&["worker", "--lease", "2"]);
        let status = site.wait(&run, PATIENCE);
        assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{name}: {status:?}");
        assert_eq!(counted(&eval(&site, &run)).1, 360_000.0, "{name}");
    }
}

/// Puts a folder under the site's root; where it lies there.
fn in_bucket(site: &Site, folder: &str) -> String {
    block_on(async {
        let blobs = site.doors().await.blobs;
        for file in files(Path::new(folder)) {
            let key = file.strip_prefix(folder).expect("a file of the folder").to_str().expect("UTF-8");
            let bytes = std::fs::read(&file).expect("a file");
            blobs.put(&format!("data/{key}"), bytes.into()).await.expect("putting");
        }
    });
    format!("{}/data/", site.root)
}

fn header(path: &Path) -> SceneHeader {
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let file = FileRef { uri: path.display().to_string(), tag: String::new() };
    let source = swath_raster::Source::open(&SourceSpec::new(vec![file])).expect("a raster");
    source.header("it".parse().expect("a name")).expect("a header")
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
