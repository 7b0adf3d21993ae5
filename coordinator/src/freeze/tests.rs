//! Scenes by pattern, folder and list, from files of this machine.

use std::{fs, path::Path, sync::Arc};

use swath_backends::blobs::{SharedBlobs, folder::Folder};
use swath_proto::{
    ids::Digest,
    item::Weights,
    pipeline::Group,
    run::ScalePlan,
    source::{ClassRef, LabelSpec, Nodata, Reclass, Scaling, SourceSpec},
    steps::{StepFile, StepInput},
    train::Checkpoint,
};
use tempfile::TempDir;

use super::*;

struct Site {
    folder: TempDir,
    root: SharedBlobs,
}

impl Site {
    fn with(files: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        for file in files {
            let path = folder.path().join("in").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let root = Arc::new(Folder::open(&folder.path().join("root")).unwrap());
        Self { folder, root }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn freeze(&self, scenes: &str) -> Result<Frozen, String> {
        let text = format!(
            "name = \"t\"\n{scenes}\n[[classes]]\nname = \"a\"\ncolor = \"#000000\"\nnull = true\n\
             [[classes]]\nname = \"b\"\ncolor = \"#ffffff\"\n[model]\narchitecture = \"tiny\"\nseed = 1\n"
        );
        let source = Source { text, folder: self.path().join("in"), rerun: None };
        freeze(&source, &self.root).await.map_err(|error| format!("{error:#}"))
    }
}

fn ids(frozen: &Frozen) -> Vec<&str> {
    frozen.scenes.iter().map(|scene| scene.id.as_str()).collect()
}

#[tokio::test]
async fn a_pattern_names_scenes_in_the_order_of_their_names() {
    let site = Site::with(&[
        "t/b.tif",
        "t/a.tif",
        "t/deep/c.tif",
        "t/x.txt",
        "l/a.geojson",
        "l/b.geojson",
        "t/.h.tif",
    ]);
    let flat = "[[scenes]]\nimages = \"t/*.tif\"\nlabels = \"l/{id}.geojson\"";
    let frozen = site.freeze(flat).await.unwrap();
    assert_eq!(ids(&frozen), ["a", "b"]);
    assert_eq!(frozen.scenes[1].group, Group::Validation);
    assert!(frozen.scenes[1].labels.as_ref().unwrap().uri.ends_with("/in/l/b.geojson"));
    assert_eq!(frozen.record.run, site.freeze(flat).await.unwrap().record.run, "the same run again");
    assert_eq!(ids(&site.freeze("[[scenes]]\nimages = \"t/**/*.tif\"").await.unwrap()), ["a", "b", "c"]);
    assert_eq!(ids(&site.freeze("[[scenes]]\nimages = \"t/\"").await.unwrap()), ["a", "b", "c"]);
    let named = site.freeze("[[scenes]]\nimages = \"t/\"\nid = \"{folder}-{name}\"").await.unwrap();
    assert_eq!(ids(&named), ["t-a", "t-b", "deep-c"]);
    let nothing = site.freeze("[[scenes]]\nimages = \"t/*.jp2\"").await.err().unwrap();
    assert!(nothing.contains("scenes[0].images = \"t/*.jp2\": no file fits"), "{nothing}");
}

#[tokio::test]
async fn a_csv_file_names_scenes_relative_to_itself() {
    let site = Site::with(&["d/a.tif", "d/b.tif", "d/a.geojson", "d/c.tif", "d/c.geojson"]);
    let csv = "image,labels,group,id\na.tif,a.geojson,,\nb.tif,,,second\nc.tif,c.geojson,train,\n";
    fs::write(site.path().join("in/d/scenes.csv"), csv).unwrap();
    let frozen = site.freeze("[[scenes]]\ncsv = \"d/scenes.csv\"").await.unwrap();
    assert_eq!(ids(&frozen), ["a", "second", "c"]);
    let groups: Vec<Group> = frozen.scenes.iter().map(|scene| scene.group).collect();
    assert_eq!(groups, [Group::Validation, Group::Predict, Group::Train]);
    assert_eq!(frozen.record.scenes.len(), 2, "what trains is not predicted");

    let csv = "image,labels,group\na.tif,,trian\nb.tif,,train\n,,\n";
    fs::write(site.path().join("in/d/bad.csv"), csv).unwrap();
    let told = site.freeze("[[scenes]]\ncsv = \"d/bad.csv\"").await.err().unwrap();
    assert_eq!(
        told,
        "d/bad.csv:2: group = 'trian': must be train, validation or predict\n\
         d/bad.csv:3: a scene of the group train needs labels\n\
         d/bad.csv:4: image is empty"
    );
    fs::write(site.path().join("in/d/head.csv"), "picture\na.tif\n").unwrap();
    let told = site.freeze("[[scenes]]\ncsv = \"d/head.csv\"").await.err().unwrap();
    assert_eq!(
        told,
        "d/head.csv:1: no column can be called 'picture'; there are id, image, labels, aoi, group"
    );
}

#[tokio::test]
async fn missing_files_are_told_together_and_left_out_only_if_asked_to() {
    let site = Site::with(&["0.tif"]);
    let rows: String = (0..31).map(|n| format!("{n}.tif\n")).collect();
    fs::write(site.path().join("in/s.csv"), format!("image\n{rows}")).unwrap();
    let told = site.freeze("[[scenes]]\ncsv = \"s.csv\"").await.err().unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "30 of 31 scenes lack a file");
    assert!(lines[1].starts_with("s.csv:3.image of '1': there is no file /"), "{told}");
    assert_eq!(lines[11..], ["and 20 more", "(run.skip_missing = true leaves such scenes out)"]);
    let frozen = site.freeze("[[scenes]]\ncsv = \"s.csv\"\n[run]\nskip_missing = true").await.unwrap();
    assert_eq!((ids(&frozen), frozen.left_out), (vec!["0"], 30));
}

#[tokio::test]
async fn a_scene_is_not_in_training_and_validation_and_names_are_unique() {
    let site = Site::with(&["t/a.tif", "u/a.tif", "a.geojson"]);
    let scenes = "[[scenes]]\nid = \"one\"\nimage = \"t/../t/a.tif\"\nlabels = \"a.geojson\"\ngroup = \"train\"\n\
                  [[scenes]]\nimages = \"t/*.tif\"\nlabels = \"a.geojson\"";
    let told = site.freeze(&scenes.replace("t/../t", "t")).await.err().unwrap();
    assert!(
        told.contains("/t/a.tif is in the group train (scenes[0]) and in validation (scenes[1])"),
        "{told}"
    );
    let told = site.freeze("[[scenes]]\nimages = \"**/*.tif\"").await.err().unwrap();
    assert_eq!(
        told,
        "scenes: two are called 'a' (scenes[0], scenes[0]); id = \"{folder}-{name}\" tells them apart"
    );
}

#[tokio::test]
async fn eleven_thousand_scenes_are_frozen_in_seconds() {
    let site = Site::with(&[]);
    let tiles = site.path().join("in/t");
    fs::create_dir_all(&tiles).unwrap();
    (0..11_000).for_each(|n| fs::write(tiles.join(format!("{n:05}.tif")), "").unwrap());
    let begun = std::time::Instant::now();
    let frozen = site.freeze("[[scenes]]\nimages = \"t/*.tif\"").await.unwrap();
    assert_eq!(frozen.record.scenes.len(), 11_000);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert_eq!((frozen.record.lot_scenes, frozen.record.lots()), (256, 43));
}

#[tokio::test]
async fn lots_are_smaller_where_names_are_long() {
    let site = Site::with(&["l.geojson"]);
    let deep = ["a", "b", "c"].map(|letter| letter.repeat(230)).join("/");
    fs::create_dir_all(site.path().join("in").join(&deep)).unwrap();
    (0..600)
        .for_each(|n| fs::write(site.path().join("in").join(&deep).join(format!("{n}.tif")), "").unwrap());
    let record = site.freeze(&format!("[[scenes]]\nimages = \"{deep}/*.tif\"")).await.unwrap().record;
    assert_eq!(record.lot_scenes, 128);
    let told = site
        .freeze(&format!("[[scenes]]\nimages = \"{deep}/*.tif\"\n[run]\nlot_scenes = 512"))
        .await
        .err()
        .unwrap();
    assert!(told.contains("run.lot_scenes = 512: lot 0 does not fit a message; make it smaller"), "{told}");
}

#[tokio::test]
async fn what_a_pipeline_says_of_pixels_and_labels_is_frozen() {
    let site = Site::with(&["a.tif", "b.tif", "a.geojson", "aoi.geojson", "c.tif", "l.tif"]);
    let scenes = "[[scenes]]\nid = \"m\"\nimage = [\"a.tif\", \"b.tif\"]\naoi = \"aoi.geojson\"\nlabels = \"a.geojson\"\n\
                  [[scenes]]\nimage = \"c.tif\"\nlabels = \"l.tif\"\n\
                  [data]\nbands = [4, 1, 2]\nnodata = 7\nmask = \"ignore\"\nnan = 1\nreclass = [{ from = [1, 2], to = 3 }]\n\
                  scale = { min = 0, max = [1, 2, 3] }\n\
                  [labels]\nproperty = \"kind\"\nbuffer_px = 3\nignore = [9]\nvalues = { 5 = \"b\" }";
    let record = site.freeze(scenes).await.unwrap().record;
    let [mosaic, raster] = record.scenes.as_slice() else { panic!("{:?}", record.scenes) };
    let source = &mosaic.source;
    assert_eq!((source.files.len(), source.bands.as_slice()), (2, [3, 0, 1].as_slice()));
    assert_eq!(
        (source.nodata.clone(), source.use_mask, source.nan),
        (Some(Nodata::OfAll(7.0)), false, Some(1.0))
    );
    assert_eq!(source.reclass, [Reclass { from: 1.0, to: 2.0, into: 3.0 }]);
    assert_eq!(source.scaling, Scaling::MinMax { min: vec![0.0; 3], max: vec![1.0, 2.0, 3.0] });
    assert!(mosaic.aoi.as_ref().unwrap().files[0].uri.ends_with("aoi.geojson"));
    let Some(LabelSpec::GeoJson(labels)) = &mosaic.labels else { panic!("{:?}", mosaic.labels) };
    assert_eq!((labels.property.as_deref(), labels.buffers.len()), (Some("kind"), 2));
    assert_eq!(labels.values.get("5"), Some(&ClassRef::Name("b".into())));
    let Some(LabelSpec::ClassRaster(labels)) = &raster.labels else { panic!("{:?}", raster.labels) };
    let class_of = |value| labels.map.iter().find(|one| one.value == value).map(|one| one.class.clone());
    assert_eq!(class_of(0), Some(Some(ClassRef::Id(0))));
    assert_eq!((class_of(5), class_of(9)), (Some(Some(ClassRef::Name("b".into()))), Some(None)));
    assert_eq!(record.scale, ScalePlan::Given);
}

#[tokio::test]
async fn a_step_takes_its_script_along_and_knows_its_inputs() {
    let site = Site::with(&["a.tif", "tools/draw.py"]);
    let text = "stages = [\"survey\", \"predict\", \"assemble\"]\n[[scenes]]\nimage = \"a.tif\"\n\
                [[steps]]\nname = \"draw\"\nfor = \"scene\"\ncommand = [\"python3\", \"tools/draw.py\", \"{in:prediction}\", \"{out:x.png}\"]\n\
                inputs = [\"prediction\"]\noutputs = [\"x.png\"]\n\
                [[steps]]\nname = \"pack\"\nfor = \"run\"\ncommand = [\"tar\"]\ninputs = [\"draw/x.png\"]\noutputs = [\"x.tar\"]";
    let frozen = site.freeze(text).await.unwrap();
    let [draw, pack] = frozen.record.steps.as_slice() else { panic!("{:?}", frozen.record.steps) };
    assert_eq!(draw.inputs, [StepInput::Prediction]);
    assert_eq!(
        draw.command.files,
        [StepFile { name: "tools/draw.py".into(), sha256: Digest::of(b"tools/draw.py") }]
    );
    assert_eq!(pack.inputs, [StepInput::Output { step: 0, name: "x.png".into() }]);
    let before = frozen.record.run;
    fs::write(site.path().join("in/tools/draw.py"), "changed").unwrap();
    assert_ne!(site.freeze(text).await.unwrap().record.run, before, "another script is another run");
}

#[tokio::test]
async fn a_list_of_names_fills_the_patterns_of_its_files() {
    let site = Site::with(&["i/a.tif", "i/b.tif", "l/a.geojson", "l/b.geojson"]);
    let entry = "[[scenes]]\nids = [\"b\", \"a\"]\nimage = \"i/{id}.tif\"\nlabels = \"l/{id}.geojson\"";
    let frozen = site.freeze(entry).await.unwrap();
    assert_eq!(ids(&frozen), ["b", "a"]);
    assert!(frozen.scenes[1].labels.as_ref().unwrap().uri.ends_with("in/l/a.geojson"));
    let told = site.freeze(&entry.replace("i/{id}", "i/a")).await.err().unwrap();
    assert!(told.contains("scenes[0].ids") && told.contains("the same file"), "{told}");
}

#[tokio::test]
async fn a_catalogue_names_images_and_their_labels_and_where_nobody_looks_nothing_has_to_be_there() {
    let site = Site::with(&["t/acc/1/1.tif", "t/acc/1-labels/1.geojson", "t/mon/2/2.tif"]);
    let write = |path: &str, document: serde_json::Value| {
        fs::write(site.path().join("in/t").join(path), document.to_string()).unwrap();
    };
    let link = |rel: &str, href: &str| serde_json::json!({ "rel": rel, "href": href });
    let folder = |id: &str, links: &[serde_json::Value]| serde_json::json!({ "id": id, "stac_version": "0.8.1", "links": links });
    let item = |id: &str, links: &[serde_json::Value], file: &str, label: serde_json::Value| {
        serde_json::json!({
            "type": "Feature", "id": id, "links": links, "properties": label, "assets": { "it": { "href": file } },
        })
    };
    let none = serde_json::json!({});
    write("catalog.json", folder("t", &[link("child", "./acc/c.json"), link("child", "mon/c.json")]));
    // The second link leads back.
    let acc = [link("item", "./1/1.json"), link("child", "../catalog.json"), link("item", "1-labels/l.json")];
    write("acc/c.json", folder("acc", &acc));
    write("mon/c.json", folder("mon", &[link("item", "./2/2.json")]));
    write("acc/1/1.json", item("1", &[], "./1.tif", none.clone()));
    let is_label = serde_json::json!({ "label:type": "vector" });
    write("acc/1-labels/l.json", item("1-labels", &[link("source", "../1/1.json")], "1.geojson", is_label));
    write("mon/2/2.json", item("2", &[], "2.tif", none.clone()));

    let entry = "[[scenes]]\nstac = \"t/catalog.json\"\nid = \"{folder}-{name}\"\n";
    let frozen = site.freeze(entry).await.unwrap();
    assert_eq!(ids(&frozen), ["acc-1", "mon-2"]);
    let [acc, mon] = frozen.scenes.as_slice() else { panic!("{:?}", frozen.scenes) };
    assert!(acc.labels.as_ref().unwrap().uri.ends_with("t/acc/1-labels/1.geojson"));
    assert_eq!((acc.group, mon.group), (Group::Validation, Group::Predict));
    assert_eq!(ids(&site.freeze(&format!("{entry}items = [\"mon/*\"]")).await.unwrap()), ["mon-2"]);
    let told = site.freeze(&format!("{entry}items = [\"x\"]")).await.err().unwrap();
    assert!(told.contains("scenes[0].stac") && told.contains("none of its 3 items"), "{told}");
    let told = site.freeze(&format!("{entry}items = [\"2\"]\ngroup = \"validation\"")).await.err().unwrap();
    assert!(told.contains("needs labels, and 2 has none"), "{told}");

    fs::remove_file(site.path().join("in/t/mon/2/2.tif")).unwrap();
    let told = site.freeze(entry).await.err().unwrap();
    assert!(told.contains("2.tif"), "{told}");
    let unseen = site.freeze(&format!("{entry}[run]\ncheck_files = false")).await.unwrap();
    assert_eq!(unseen.scenes[1].images[0].tag, "");
}

#[tokio::test]
async fn a_trial_takes_few_scenes_and_squares_of_them() {
    let site = Site::with(&["t/0.tif", "t/1.tif", "t/2.tif", "t/3.tif"]);
    let frozen = site.freeze("[[scenes]]\nimages = \"t/*.tif\"\n[run]\ntest = true").await.unwrap();
    assert_eq!(ids(&frozen), ["0", "1"]);
    assert!(frozen.record.run.to_string().starts_with("t-test-"), "{}", frozen.record.run);
    assert_eq!((frozen.record.scenes[0].crop_px, frozen.record.scenes[0].crop_labels), (Some(1024), None));
    let said = "[run]\ntest = true\n[test]\nscenes = { predict = 3 }\ncrop_px = 600\nmin_labels = 10";
    let frozen = site.freeze(&format!("[[scenes]]\nimages = \"t/*.tif\"\n{said}")).await.unwrap();
    assert_eq!(ids(&frozen), ["0", "1", "2"]);
    assert_eq!((frozen.record.scenes[0].crop_px, frozen.record.scenes[0].crop_labels), (Some(600), Some(10)));
}

/// A safetensors file of one number.
fn one_number() -> Vec<u8> {
    let header = br#"{"head.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
    [&(header.len() as u64).to_le_bytes(), &header[..], &1.0_f32.to_le_bytes()].concat()
}

#[tokio::test]
async fn a_training_begins_with_the_weights_of_a_bundle() {
    let site = Site::with(&["a.tif", "a.geojson"]);
    let (weights, plain) = (one_number(), site.path().join("in/plain.safetensors"));
    fs::write(&plain, &weights).unwrap();
    let class = |name: &str| ClassStyle { name: name.into(), rgb: [0, 0, 0] };
    let model = swath_bundle::Model {
        architecture: swath_proto::item::Architecture::Tiny,
        bands: 3,
        classes: vec![class("x"), class("y")],
        null_class: 0,
        window: WindowShape { core_px: 64, margin_px: 0 },
        seen_px: None,
        batch: 1,
        pixels: SourceSpec { bands: vec![0, 1, 2], ..SourceSpec::default() },
        metrics: None,
        int8: None,
    };
    let bundle = |name: &str, model: &swath_bundle::Model| {
        let bytes = swath_bundle::write(Vec::new(), "0.1.0", model, &plain, None).unwrap();
        fs::write(site.path().join("in").join(name), bytes).unwrap();
    };
    bundle("two.zip", &model);
    bundle("three.zip", &swath_bundle::Model { classes: ["x", "y", "z"].map(class).to_vec(), ..model });
    let freeze = async |architecture: &str, train: &str| {
        let text = format!(
            "name = \"t\"\nstages = [\"survey\", \"chip\", \"train\"]\n[[scenes]]\nimage = \"a.tif\"\n\
             labels = \"a.geojson\"\ngroup = \"train\"\n[[classes]]\nname = \"a\"\ncolor = \"#000000\"\nnull = true\n\
             [[classes]]\nname = \"b\"\ncolor = \"#ffffff\"\n[model]\narchitecture = \"{architecture}\"\n\
             [train]\n{train}"
        );
        let source = Source { text, folder: site.path().join("in"), rerun: None };
        freeze(&source, &site.root).await.map_err(|error| format!("{error:#}"))
    };
    let spec = |frozen: Frozen| frozen.record.learn.unwrap().train;
    let named = Some(Weights::File { sha256: Digest::of(&weights), extension: "safetensors".into() });
    for file in ["plain.safetensors", "two.zip"] {
        let frozen = freeze("tiny", &format!("init = \"{file}\"")).await.unwrap();
        assert!(frozen.blobs.iter().any(|(key, bytes)| key.starts_with("models/") && **bytes == weights));
        assert_eq!(spec(frozen).weights, named, "{file}");
    }
    let text = freeze("unet-resnet18", "init = \"two.zip\"").await.err().unwrap();
    assert!(text.contains("the bundle two.zip holds a network of the architecture \"tiny\""), "{text}");
    let text = freeze("tiny", "init = \"three.zip\"").await.err().unwrap();
    assert!(text.starts_with("train.init: ") && text.contains("tells 3 classes apart, and not 2"), "{text}");
    let fresh = freeze("tiny", "init = \"three.zip\"\nfresh_head = true").await.unwrap();
    assert!(spec(fresh).weights == named);
    let text = freeze("tiny", "init = \"a.tif\"").await.err().unwrap();
    assert!(text.contains("must be a file of weights, or a bundle: .safetensors, .pth, .pt, .zip"), "{text}");
    let kept = freeze("tiny", "checkpoint = { steps = 500, minutes = 10, keep = 3 }").await.unwrap();
    let wanted = Checkpoint { epochs: 1, steps: Some(500), minutes: Some(10), keep: 3 };
    assert_eq!(spec(kept).checkpoint, wanted);
    assert_eq!(spec(freeze("tiny", "").await.unwrap()).checkpoint, Checkpoint::default());
}
