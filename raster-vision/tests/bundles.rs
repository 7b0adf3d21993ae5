//! Bundles of a frozen configuration and of tensors that are there for their shapes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use swath_proto::{
    item::{Architecture, WindowShape},
    source::Scaling,
};
use swath_raster_vision::{Bundle, bundle};
use swath_weights::{Dtype, TensorFile, TensorInfo, WeightsError};
use swath_zip::{Source, ZipWriter};

const CONFIG: &str = include_str!("../samples/polygons.json");
const STATISTICS: &str = r#"{"means": [10.0, 20.0, 30.0], "stds": [1.0, 2.0, 3.0], "counts": [9, 9, 9]}"#;

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Vec::new());
    for (name, body) in members {
        zip.member(name, &Source::from(body.to_vec())).expect("a member");
    }
    zip.finish().expect("a zip file")
}

/// Readers tell formats by their content.
fn tensors(classes: u64, extra: &[&str]) -> Vec<u8> {
    let shapes = [
        ("backbone.conv1.weight", vec![64, 3, 7, 7]),
        ("backbone.bn1.num_batches_tracked", vec![1]),
        ("classifier.4.weight", vec![classes, 256, 1, 1]),
    ];
    let extra = extra.iter().map(|name| (*name, vec![2]));
    let infos: BTreeMap<String, TensorInfo> = shapes
        .into_iter()
        .chain(extra)
        .map(|(name, shape)| (name.to_owned(), TensorInfo { dtype: Dtype::F32, shape }))
        .collect();
    swath_weights::safetensors_bytes::<WeightsError>("model.pth", &infos, &BTreeMap::new(), |name, into| {
        let n = infos[name].n_bytes().expect("a length") as usize / 4;
        into.write_all(&0.5_f32.to_le_bytes().repeat(n)).expect("written");
        Ok(())
    })
    .expect("tensors")
}

const DEEP: [&str; 2] = ["backbone.layer3.22.conv1.weight", "aux_classifier.4.bias"];

fn of(change: impl FnOnce(&mut Value), weights: &[u8]) -> Result<Bundle, String> {
    let mut config: Value = serde_json::from_str(CONFIG).expect("JSON");
    change(&mut config);
    let inner = zip(&[("model.pth", weights), ("learner-config.json", b"{}")]);
    let outer = zip(&[
        ("pipeline-config.json", config.to_string().as_bytes()),
        ("model-bundle.zip", &inner),
        ("analyze/stats/train_scenes/stats.json", STATISTICS.as_bytes()),
    ]);
    bundle(&Source::from(outer), None).map_err(|error| error.to_string())
}

#[test]
fn a_bundle_says_how_its_network_is_used_there() {
    let Bundle { model, weights, notes } =
        of(|config| config["backend"]["data"]["img_sz"] = json!(256), &tensors(3, &DEEP)).unwrap();
    assert_eq!((model.architecture, model.bands), (Architecture::Deeplabv3Resnet101, 3));
    let names: Vec<&str> = model.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!((names, model.null_class), (vec!["building", "background", "null"], 2));
    assert_eq!((model.window, model.seen_px), (WindowShape { core_px: 300, margin_px: 0 }, Some(256)));
    assert_eq!(model.pixels.bands, [3, 0, 1]);
    let (means, stds) = (vec![10.0, 20.0, 30.0], vec![1.0, 2.0, 3.0]);
    assert_eq!(model.pixels.scaling, Scaling::WideStats { means, stds });
    let weights = TensorFile::from_bytes("weights", weights).unwrap();
    let names: Vec<&str> = weights.names().collect();
    assert_eq!(names, ["backbone.conv1.weight", "backbone.layer3.22.conv1.weight", "classifier.4.weight"]);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].to_string().contains("aux_classifier"), "{notes:?}");
}

#[test]
fn it_is_one_that_swath_reads() {
    let folder = tempfile::tempdir().unwrap();
    let made = of(|_| (), &tensors(3, &DEEP)).unwrap();
    assert_eq!(made.model.seen_px, None);
    let weights = folder.path().join("weights.safetensors");
    std::fs::write(&weights, &made.weights).unwrap();
    let bytes = swath_bundle::write(Vec::new(), "0.1.0", &made.model, &weights, None).unwrap();
    let bundle = swath_bundle::Bundle::from_bytes("bundle.zip", bytes).unwrap();
    assert_eq!(*bundle.model(), made.model);
}

#[test]
fn what_does_not_fit_or_would_predict_otherwise_is_refused() {
    let transformers = |with: Value| {
        move |config: &mut Value| {
            config["dataset"]["train_scenes"][0]["raster_source"]["transformers"] = json!([with]);
        }
    };
    let good = tensors(3, &DEEP);
    for (told, wanted) in [
        (of(|_| (), &tensors(2, &DEEP)), "is for 2 classes, and pipeline-config.json names 3"),
        (of(|_| (), &tensors(3, &[])), "is of ResNet-50"),
        (of(|config| config["backend"]["data"]["img_channels"] = json!(4), &good), "is for 3 bands"),
        (of(transformers(json!({"type_hint": "min_max_transformer"})), &good), "predictions would be others"),
        (of(transformers(json!({"type_hint": "of_mine"})), &good), "of_mine has no counterpart"),
        (
            of(|config| config["backend"]["data"]["base_transform"] = json!({"transform": 1}), &good),
            "base_transform: its chips pass",
        ),
        (of(|_| (), b"PK no weights"), "model.pth"),
    ] {
        let words = told.expect_err(wanted);
        assert!(words.contains(wanted), "{wanted}: {words}");
    }
}

#[test]
fn another_zip_file_says_what_to_give() {
    let told = |members: &[(&str, &[u8])]| {
        bundle(&Source::from(zip(members)), None).expect_err("it is no bundle").to_string()
    };
    assert!(told(&[("model.pth", b"")]).contains("give that of bundle/"));
    assert!(told(&[("bundle.json", b"{}")]).contains("no bundle of Raster Vision"));
    assert!(told(&[("pipeline-config.json", b"{}")]).starts_with("model-bundle.zip: "));
    assert!(bundle(&Source::from(b"PK".to_vec()), None).is_err());
}
