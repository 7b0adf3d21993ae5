//! What Raster Vision has written: a pipeline that is planned, a bundle that predicts. Whether it says the same as there
//! is seen by `bench/raster-vision`.

use crate::{
    shape::python,
    site::{Kind, Site},
    windows::{SAME, made, pipeline, run, text},
};

/// A bundle as Raster Vision packs it, compressed, around the weights of a small network, which a program defines there.
const BUNDLE: &str = r#"
import io, json, sys, zipfile
config, weights, out = sys.argv[1:]
config = json.load(open(config))
classes = config['dataset']['class_config']
classes.update(names=['background', 'building'], colors=['#202020', '#ff8800'], null_class='background')
for group in 'train_scenes', 'validation_scenes', 'test_scenes':
    for scene in config['dataset'][group]:
        scene['raster_source'].update(channel_order=[0, 1, 2], transformers=[])
config['backend']['data'].update(img_sz=96, img_channels=3)
config['backend']['model']['external_def'] = dict(uri='model', entrypoint='tiny')
config['predict_options'].update(chip_sz=120, stride=120)
def packed(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as bundle:
        for name, body in members.items():
            bundle.writestr(name, body)
    return file.getvalue()
learnt = packed({'model.pth': open(weights, 'rb').read(), 'learner-config.json': '{}'})
open(out, 'wb').write(packed({'pipeline-config.json': json.dumps(config), 'model-bundle.zip': learnt}))
print('packed')
"#;

/// A pipeline of one scene that is there.
const CONFIG: &str = r#"
import json, sys
config, image, labels, out = sys.argv[1:]
config = json.load(open(config))
dataset = config['dataset']
for name, group in ('t', 'train_scenes'), ('v', 'validation_scenes'):
    scene = dataset[group][0]
    scene.update(id=name)
    scene['raster_source'].update(uris=[image if name == 't' else image.replace('s.tif', 'v.tif')], channel_order=[0, 1, 2])
    scene['label_source']['raster_source']['vector_source'].update(uris=[labels])
dataset['test_scenes'] = []
config['backend']['model'].update(pretrained=False)
json.dump(config, open(out, 'w'))
print('written')
"#;

fn sample(name: &str) -> String {
    format!("{}/../raster-vision/samples/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

fn told(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_imported_pipeline_is_planned() {
    let site = Site::new(Kind::Embedded);
    made(&site);
    std::fs::copy(site.path("s.tif"), site.path("v.tif")).expect("another scene");
    let [image, labels, json, toml] =
        ["s.tif", "aoi.geojson", "pipeline-config.json", "ours.toml"].map(|name| text(&site.path(name)));
    assert_eq!(python(CONFIG, &[&sample("polygons"), &image, &labels, &json]), "written");
    let output = site.swath(&["import", "raster-vision", &json, &toml], 0);
    assert_eq!(told(&output.stdout), format!("{toml}\n"));
    let notes = told(&output.stderr);
    assert!(notes.contains("note: predict_options.chip_sz: 300: of windows of 320 px"), "{notes}");
    assert!(!notes.contains("to be mended"), "{notes}");
    let plan = told(&site.swath(&["plan", &toml], 0).stdout);
    assert!(plan.contains("deeplabv3-resnet101") && plan.contains("100 epochs"), "{plan}");

    let again = told(&site.swath(&["import", "raster-vision", &json, &toml], 2).stderr);
    assert!(again.contains("is there already; --force replaces it"), "{again}");
    site.swath(&["import", "raster-vision", &json, &toml, "--force"], 0);
    // One file in the place of another.
    let wrong = told(&site.swath(&["import", "raster-vision", &toml], 2).stderr);
    assert!(wrong.contains("is neither JSON nor a zip"), "{wrong}");
    let wrong = told(&site.swath(&["plan", &json], 2).stderr);
    assert!(wrong.contains("swath import raster-vision FILE"), "{wrong}");
    let wrong = told(&site.swath(&["plan", &image], 2).stderr);
    assert!(wrong.contains("it is no text in UTF-8, and must be a pipeline file (TOML)"), "{wrong}");
    let wrong = told(&site.swath(&["plan", &toml, "--stages", "chips"], 2).stderr);
    assert!(wrong.contains("did you mean chip?"), "{wrong}");
}

#[test]
fn an_imported_bundle_predicts_the_same_for_every_size_of_items() {
    let site = Site::new(Kind::Embedded);
    made(&site);
    let [theirs, ours, weights, image, map] =
        ["theirs.zip", "ours.zip", "tiny.safetensors", "s.tif", "map.tif"].map(|name| text(&site.path(name)));
    assert_eq!(python(BUNDLE, &[&sample("polygons"), &weights, &theirs]), "packed");
    let told_why = told(&site.swath(&["import", "raster-vision", &theirs, &ours], 2).stderr);
    assert!(told_why.contains("--architecture"), "{told_why}");
    site.swath(&["import", "raster-vision", &theirs, &ours, "--architecture", "tiny"], 0);
    site.swath(&["predict", &ours, &image, &map, "--scores", "--confidence"], 0);

    let file = pipeline(&site, "image = \"s.tif\"", "", "");
    let written = std::fs::read_to_string(&file).expect("the pipeline");
    let with = |predict: &str| {
        let changed = written
            .replace("tiny.safetensors", "ours.zip")
            .replace("[data]\nnodata = 0\n", "")
            .replace("batch = 5\n", "")
            .replace("core_px = 64\nblock_px = 64\nmargin_px = 8\n", predict);
        std::fs::write(&file, changed).expect("writing the pipeline");
    };
    for item_px in [128, 256, 1024] {
        with(&format!("core_px = 120\nmargin_px = 0\nseen_px = 96\nblock_px = 64\nitem_px = {item_px}\n"));
        let run = run(&site, &file, "2");
        let found = format!("{}/predict/{run}/s", site.root);
        assert_eq!(python(SAME, &[&found, &map.replace(".tif", "")]), "the same", "items of {item_px} px");
    }
    with("core_px = 128\nblock_px = 64\nmargin_px = 0\n");
    let wrong = told(&site.swath(&["run", &file], 2).stderr);
    assert!(wrong.contains("predict with core_px = 120, margin_px = 0 and seen_px = 96"), "{wrong}");
}

/// Features of one class, and what is told of them.
const CLASS: &str = r#"
import json, sys
features = json.load(open(sys.argv[1]))['features']
assert features and all(feature['properties']['class_name'] == 'building' for feature in features), len(features)
print('polygons')
"#;

#[test]
fn what_a_run_has_made_is_laid_out_as_there() {
    let site = Site::new(Kind::Embedded);
    made(&site);
    let file =
        pipeline(&site, "image = \"s.tif\"", ", \"vectorize\", \"bundle\"", "[vectorize]\ndenoise_px = 0\n");
    let run = run(&site, &file, "1");
    let folder = site.path("theirs");
    let output = site.swath(&["export", &run, &text(&folder), "--like", "raster-vision"], 0);
    assert_eq!(told(&output.stdout), format!("{}\n", folder.display()));
    assert!(told(&output.stderr).contains("Raster Vision does not read it"), "{}", told(&output.stderr));
    let read =
        |name: &str| std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (name, key) in [
        ("predict/s/labels.tif", format!("predict/{run}/s.tif")),
        ("predict/s/scores.tif", format!("predict/{run}/s.scores.tif")),
        ("bundle/bundle.zip", format!("bundle/{run}/bundle.zip")),
    ] {
        assert!(read(name) == site.object(&key), "{name}");
    }
    let polygons = folder.join("predict/s/vector_output/class-1-building.json");
    assert_eq!(python(CLASS, &[&text(&polygons)]), "polygons");
    let none = told(
        &site.swath(&["export", "of-nobody-00000000", &text(&folder), "--like", "raster-vision"], 2).stderr,
    );
    assert!(none.contains("there is no run"), "{none}");
}
