//! The bundle that is frozen as `samples/bundle-v1.zip`, and its parts.

use std::{collections::BTreeMap, path::PathBuf};

use swath_bundle::{Model, Summary};
use swath_geo::{confusion::Confusion, evaluation::Evaluation};
use swath_proto::{
    item::{Architecture, ClassStyle, WindowShape},
    source::SourceSpec,
};
use swath_weights::{Dtype, TensorInfo, write_safetensors};
use swath_zip::{Source, ZipWriter};

pub const PROGRAM: &str = "0.1.0";

fn evaluation() -> Evaluation {
    let classes = ["ground", "building"].map(String::from);
    let table = Confusion::from_counts(2, vec![90, 2, 1, 7], 3).unwrap();
    Evaluation::new(&classes, [("tile".to_owned(), table)]).unwrap()
}

pub fn eval() -> Vec<u8> {
    serde_json::to_vec(&evaluation()).unwrap()
}

pub fn model() -> Model {
    let class = |name: &str, rgb| ClassStyle { name: name.into(), rgb };
    Model {
        architecture: Architecture::UnetResnet18,
        bands: 3,
        classes: vec![class("ground", [0, 0, 0]), class("building", [255, 64, 0])],
        null_class: 0,
        window: WindowShape { core_px: 256, margin_px: 32 },
        seen_px: None,
        batch: 8,
        pixels: SourceSpec { bands: vec![0, 1, 2], ..SourceSpec::default() },
        metrics: Some(Summary::of_eval(&eval()).unwrap().unwrap()),
        int8: None,
    }
}

/// A safetensors file that the test's folder holds.
pub struct Weights {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

/// Of one tensor of some values, and one of none.
pub fn weights(values: &[f32]) -> Weights {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let info = |shape: &[u64]| TensorInfo { dtype: Dtype::F32, shape: shape.to_vec() };
    let tensors = BTreeMap::from([
        ("head.bias".to_owned(), info(&[0])),
        ("head.weight".to_owned(), info(&[values.len() as u64])),
    ]);
    write_safetensors(&path, &tensors, &BTreeMap::new(), |name, into| {
        let values = if name == "head.weight" { values } else { &[] };
        values.iter().for_each(|value| into.write_all(&value.to_le_bytes()).unwrap());
        Ok(())
    })
    .unwrap();
    Weights { _folder: folder, path }
}

pub fn bundle() -> Vec<u8> {
    let weights = weights(&[0.5, -1.25, 3.0]);
    swath_bundle::write(Vec::new(), PROGRAM, &model(), &weights.path, Some(&eval())).unwrap()
}

/// The members of the bundle, in order.
pub fn members() -> Vec<(String, Vec<u8>)> {
    let source = Source::from(bundle());
    let zip = swath_zip::Zip::open(&source, swath_zip::Limits { members: 3, directory_len: 1000 }).unwrap();
    let body = |name: &str| source.read(zip.range(name).unwrap()).unwrap();
    ["bundle.json", "eval.json", "weights.safetensors"].map(|name| (name.to_owned(), body(name))).into()
}

pub fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Vec::new());
    for (name, body) in members {
        zip.member(name, &Source::from(body.clone())).unwrap();
    }
    zip.finish().unwrap()
}
