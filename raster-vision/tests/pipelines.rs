//! Frozen configurations, as Raster Vision 0.31.1 has written them.

use serde_json::{Value, json};
use swath_proto::{
    item::{Architecture, Stage},
    pipeline::{ClassWeights, Group, Pipeline, SizeEntry, WindowKind},
};
use swath_raster_vision::{Imported, Note, pipeline};

const POLYGONS: &str = include_str!("../samples/polygons.json");
const COLORS: &str = include_str!("../samples/colors.json");

fn imported(json: &str, instead: Option<Architecture>) -> (Pipeline, Vec<Note>) {
    let Imported { text, notes } = pipeline(json.as_bytes(), instead).expect("it is read");
    let pipeline = Pipeline::parse(&text).unwrap_or_else(|bad| panic!("{bad}\n{text}"));
    (pipeline, notes)
}

fn told<'a>(notes: &'a [Note], key: &str) -> &'a str {
    let found = notes.iter().find(|note| note.key == key);
    found.map(|note| note.words.as_str()).unwrap_or_else(|| panic!("nothing is told of {key}: {notes:#?}"))
}

/// A sample in which something is another.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(POLYGONS).expect("JSON");
    change(&mut value);
    value.to_string()
}

fn wrong(json: &str) -> String {
    pipeline(json.as_bytes(), None).expect_err("it is no pipeline").to_string()
}

#[test]
fn polygons_and_their_scenes_become_a_pipeline() {
    let (pipeline, notes) = imported(POLYGONS, None);
    assert_eq!(pipeline.name, "buildings");
    let stages = [
        Stage::Survey,
        Stage::Analyze,
        Stage::Chip,
        Stage::Train,
        Stage::Predict,
        Stage::Assemble,
        Stage::Eval,
        Stage::Vectorize,
        Stage::Bundle,
    ];
    assert_eq!(pipeline.stages, stages);
    let scene = |at: usize| {
        let scene = &pipeline.scenes[at];
        let image = scene.image.as_ref().expect("an image").as_slice().to_vec();
        (scene.id.clone().expect("a name"), image, scene.labels.clone(), scene.group.expect("a group"))
    };
    let image = |name: &str| vec![format!("s3://imagery/{name}.tif")];
    assert_eq!(scene(0), ("a".into(), image("a"), Some("labels/a.geojson".into()), Group::Train));
    assert_eq!(scene(1), ("b".into(), image("b"), Some("labels/b.geojson".into()), Group::Validation));
    assert_eq!(scene(2), ("c".into(), image("c"), None, Group::Predict));
    // What no label covers is the null class, and the class that was added for it is gone.
    let classes: Vec<_> = pipeline
        .classes
        .iter()
        .map(|class| (class.name.as_str(), class.color.as_str(), class.null))
        .collect();
    assert_eq!(classes, [("building", "#ff0000", false), ("background", "#000000", true)]);
    assert!(told(&notes, "dataset.class_config.null_class").contains("left out"));
    assert_eq!(pipeline.model.architecture, Architecture::Deeplabv3Resnet101);
    assert_eq!(pipeline.data.bands, Some(vec![4, 1, 2]));
    assert_eq!(pipeline.labels.default_class.as_deref(), Some("building"));
    assert_eq!((pipeline.chips.size, pipeline.chips.windows), (SizeEntry::Edge(300), WindowKind::Sliding));
    assert_eq!((pipeline.train.epochs, pipeline.train.batch, pipeline.train.lr), (100, 8, 1e-4));
    assert!(pipeline.train.augment.is_empty());
    assert_eq!(
        (pipeline.predict.core_px, pipeline.predict.margin_px, pipeline.predict.seen_px),
        (256, 32, None)
    );
    assert!(told(&notes, "predict_options.chip_sz").contains("windows of 320 px"));
    assert_eq!(pipeline.vectorize.classes, Some(vec!["building".into()]));
    assert_eq!(pipeline.vectorize.denoise_px, 8);
    assert!(notes.iter().all(|note| !note.words.contains("not known here")), "{notes:#?}");
}

#[test]
fn rasters_of_colours_and_random_windows_become_a_pipeline() {
    let (pipeline, notes) = imported(COLORS, Some(Architecture::FpnResnet50));
    assert_eq!(pipeline.name, "potsdam-run");
    assert_eq!(pipeline.model.architecture, Architecture::FpnResnet50);
    assert!(told(&notes, "backend.model.external_def").contains("make_fpn_resnet"));
    assert_eq!(pipeline.classes.len(), 7);
    assert!(pipeline.classes[6].null);
    assert_eq!(pipeline.labels.kind, swath_proto::pipeline::LabelKind::Colors);
    assert_eq!(pipeline.labels.ignore, [6]);
    assert_eq!(pipeline.scenes[0].aoi.as_deref(), Some("aoi/2-10.geojson"));
    assert!(told(&notes, "dataset.train_scenes.0.raster_source.bbox").contains("no counterpart"));
    let chips = &pipeline.chips;
    assert_eq!((chips.windows, chips.size), (WindowKind::Random, SizeEntry::Edge(256)));
    assert_eq!((chips.sizes, chips.max_windows), (Some([200, 400]), 1000));
    let train = &pipeline.train;
    assert_eq!(train.milestones, [2, 4]);
    assert_eq!(train.class_weights, ClassWeights::List(vec![1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.0]));
    assert_eq!(train.backbone, None);
    assert!(told(&notes, "backend.data.augmentors").contains("RGBShift"));
    // The network has learnt on chips of 256 px, whatever they were cut from.
    let predict = &pipeline.predict;
    assert_eq!(
        (predict.core_px, predict.margin_px, predict.seen_px, predict.scores),
        (200, 50, Some(256), true)
    );
    assert_eq!(pipeline.vectorize.classes, Some(vec!["car".into(), "building".into()]));
}

#[test]
fn a_network_of_others_is_asked_for() {
    assert!(wrong(COLORS).contains("--architecture unet-resnet18"), "{}", wrong(COLORS));
}

#[test]
fn every_key_that_nobody_knows_is_told() {
    let json = changed(|value| {
        value["backend"]["solver"]["momentum"] = json!(0.9);
        value["dataset"]["validation_scenes"][0]["weight"] = json!([1, 2]);
        value["post_process"] = json!({ "closing": 3 });
        value["backend"]["data"]["base_transform"] = json!({ "transform": {} });
        value["dataset"]["validation_scenes"][0]["raster_source"]["channel_order"] = json!([0, 1, 2]);
    });
    let (_, notes) = imported(&json, None);
    for key in ["backend.solver.momentum", "dataset.validation_scenes.0.weight", "post_process"] {
        assert!(told(&notes, key).contains("is not known here"));
    }
    assert!(told(&notes, "backend.data.base_transform").contains("no counterpart"));
    assert!(told(&notes, "dataset.validation_scenes.0.raster_source").contains("otherwise than the first"));
}

#[test]
fn chips_that_are_resized_are_told_of() {
    let (pipeline, notes) = imported(&changed(|value| value["backend"]["data"]["img_sz"] = json!(256)), None);
    assert!(told(&notes, "chip_options.sampling.size").contains("img_sz = 256"));
    assert_eq!((pipeline.chips.size, pipeline.predict.seen_px), (SizeEntry::Edge(300), None));
}

#[test]
fn what_only_predicts_takes_windows_and_pixels_as_the_bundle_says() {
    let json = changed(|value| {
        value["dataset"]["train_scenes"] = json!([]);
        value["backend"]["data"]["img_sz"] = json!(256);
    });
    let (pipeline, notes) = imported(&json, None);
    assert!(!pipeline.stages.contains(&Stage::Train) && !pipeline.stages.contains(&Stage::Analyze));
    assert_eq!(pipeline.data, swath_proto::pipeline::DataEntry::default());
    let names: Vec<&str> = pipeline.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["building", "background", "null"]);
    let predict = &pipeline.predict;
    assert_eq!((predict.core_px, predict.margin_px, predict.seen_px), (300, 0, Some(256)));
    assert!(told(&notes, "backend.model").contains("import the bundle too"));
}

#[test]
fn what_is_no_pipeline_of_that_version_says_what_to_do() {
    for (json, wanted) in [
        ("{".to_owned(), "JSON"),
        ("[]".to_owned(), "must be an object"),
        ("{}".to_owned(), "pipeline-config.json"),
        (changed(|value| value["plugin_versions"]["rastervision.core"] = json!(10)), "load and save it"),
        (changed(|value| value["plugin_versions"]["rastervision.core"] = json!(99)), "0.31, which is read"),
        (
            changed(|value| value["type_hint"] = json!("object_detection")),
            "object_detection has no counterpart",
        ),
        (changed(|value| value["dataset"] = json!(3)), "dataset: must be an object, and is 3"),
        (
            changed(|value| value["dataset"]["train_scenes"] = json!("x")),
            "dataset.train_scenes: must be a list",
        ),
        (
            changed(|value| value["backend"]["solver"]["num_epochs"] = json!(-1)),
            "backend.solver.num_epochs: must be a whole number, and is -1",
        ),
        (
            changed(|value| value["dataset"]["class_config"]["colors"][0] = json!("reddish")),
            "dataset.class_config.colors.0: is no colour",
        ),
        (
            changed(|value| {
                value["dataset"]["test_scenes"][0]["raster_source"]["type_hint"] = json!("xarray_source")
            }),
            "xarray_source has no counterpart",
        ),
    ] {
        let words = wrong(&json);
        assert!(words.contains(wanted), "{wanted}: {words}");
    }
}
