//! Held against what PyTorch's eager mode computes from the same weights, in its usual memory order:
//! `testdata/reference.py` wrote the numbers, with torchvision's and segmentation-models-pytorch's own networks.

use std::collections::{BTreeMap, HashMap};

use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use swath_proto::item::{Architecture, EngineName, Precision, WindowShape};
use swath_weights::TensorFile;
use tch::Tensor;

use crate::{
    Files,
    determinism::network,
    engine::{Engine as _, Shape},
    error::Result,
    load,
    network::{Home, Layers, Learnt, Network, Pass, build},
    onnx,
    openvino::Openvino,
    weights::{File, FreshHead, Seeded, Stream, Weights},
};

const WINDOW: WindowShape = WindowShape { core_px: 64, margin_px: 16 };
const BANDS: i64 = 4;

fn window() -> Vec<f32> {
    let mut stream = Stream::new(1, "reference");
    (0..WINDOW.edge_px().pow(2) * 4).map(|_| stream.uniform()).collect()
}

fn check(name: &str, logits: &[f32], wanted: &[f32]) {
    let found: Vec<f32> = logits.iter().step_by(997).copied().collect();
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0, |largest: f32, logit| largest.max(logit.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-4 * largest, "{name}: {found} where {wanted} belongs");
    }
}

#[test]
fn logits_are_those_of_pytorch() {
    let reference: HashMap<String, Vec<f32>> =
        serde_json::from_str(include_str!("../testdata/reference.json")).unwrap();
    for made in [
        (Architecture::Tiny, EngineName::Libtorch),
        (Architecture::UnetResnet18, EngineName::Libtorch),
        (Architecture::Torchscript, EngineName::Libtorch),
        (Architecture::Tiny, EngineName::Openvino),
        (Architecture::UnetResnet18, EngineName::Openvino),
        (Architecture::Onnx, EngineName::Openvino),
    ] {
        // The same network twice, in two formats.
        let known = if made.0 == Architecture::Onnx { Architecture::Torchscript } else { made.0 };
        let name = serde_json::to_value(known).unwrap();
        let (model, file) = network(made);
        let files = [Files { weights: file, ranges: None }];
        let mut predictor = load(&model, &files, WINDOW, 2, 1).unwrap();
        let logits = predictor.forward(&window(), 1).unwrap();
        check(&format!("{made:?}"), logits, &reference[name.as_str().unwrap()]);
    }
}

/// Weights as after training: batch norms have something to fold.
struct Settled {
    drawn: Seeded,
    names: usize,
}

impl Weights for Settled {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Vec<f32>> {
        self.names += 1;
        let &[n] = shape else { return self.drawn.take(name, shape) };
        let (offset, scale) = match name.rsplit('.').next() {
            Some("weight") => (0.25, 0.5),
            Some("running_var") => (0.5, 1.0),
            _ => (-0.5, 1.0),
        };
        let mut stream = Stream::new(self.drawn.seed, name);
        Ok((0..n).map(|_| stream.uniform() * scale + offset).collect())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Reference {
    /// With a count of batches for each batch norm.
    tensors: usize,
    logits: Vec<f32>,
}

#[test]
fn every_network_computes_what_its_publishers_does_folded_or_not() {
    let reference: HashMap<String, Reference> =
        serde_json::from_str(include_str!("../testdata/settled.json")).unwrap();
    assert_eq!(reference.len(), 10);
    let edge = i64::from(WINDOW.edge_px());
    let input = Tensor::from_slice(&window()).view([1, edge, edge, BANDS]).permute([0, 3, 1, 2]);
    for (name, Reference { tensors, logits }) in reference {
        let architecture = serde_json::from_value(name.clone().into()).unwrap();
        for learns in [false, true] {
            let mut weights = Settled { drawn: Seeded { seed: 11 }, names: 0 };
            let mut learnt = Learnt::default();
            let mut layers = Layers {
                weights: &mut weights,
                home: Home::PROCESSOR,
                learnt: learns.then_some(&mut learnt),
            };
            let network = build(architecture, &mut layers, (BANDS, 3)).unwrap();
            let output = tch::no_grad(|| network.forward(&input, Pass::Predict)).unwrap();
            let found = Vec::<f32>::try_from(output.permute([0, 2, 3, 1]).contiguous().view(-1)).unwrap();
            check(&name, &found, &logits);
            if !learns {
                let sizes = [1, edge, BANDS, 3];
                let file = onnx::write(&*network, sizes, None).unwrap();
                let shape = Shape { batch: 1, window: WINDOW, bands: BANDS as u32, classes: 3 };
                let mut engine = Openvino::own(&file, Precision::Fp32, shape, 1).unwrap();
                engine.input().unwrap().copy_from_slice(&window());
                check(&format!("{name}, OpenVINO"), engine.run().unwrap(), &logits);
            }
            if learns {
                assert_eq!(weights.names, learnt.parameters.len() + learnt.statistics.len());
                assert_eq!(weights.names + learnt.statistics.len() / 2, tensors, "{name}");
            }
        }
    }
}

#[derive(Deserialize)]
struct Published {
    tensors: BTreeMap<String, Vec<i64>>,
    logits: Vec<f32>,
}

/// Its state dict, with the weights that the reference drew.
fn as_published(tensors: &BTreeMap<String, Vec<i64>>) -> TensorFile {
    let mut settled = Settled { drawn: Seeded { seed: 11 }, names: 0 };
    let bytes = |(name, shape): (&String, &Vec<i64>)| {
        let values = settled.take(name, shape).unwrap();
        (name.clone(), values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    };
    let bytes: BTreeMap<String, Vec<u8>> = tensors.iter().map(bytes).collect();
    let views = tensors.iter().map(|(name, shape)| {
        let shape = shape.iter().map(|&n| n as usize).collect();
        (name, TensorView::new(Dtype::F32, shape, &bytes[name]).unwrap())
    });
    TensorFile::from_bytes("its.safetensors", safetensors::serialize(views, None).unwrap()).unwrap()
}

fn loaded(architecture: Architecture, weights: &mut dyn Weights) -> Result<Box<dyn Network>> {
    let mut layers = Layers { weights, home: Home::PROCESSOR, learnt: None };
    build(architecture, &mut layers, (BANDS, 3))
}

#[test]
fn state_dicts_of_segmentation_models_pytorch_load_and_compute_the_same() {
    let reference: BTreeMap<String, Published> =
        serde_json::from_str(include_str!("../testdata/segmentation_models.json")).unwrap();
    assert_eq!(reference.len(), 4);
    let edge = i64::from(WINDOW.edge_px());
    let input = Tensor::from_slice(&window()).view([1, edge, edge, BANDS]).permute([0, 3, 1, 2]);
    for (name, Published { tensors, logits }) in &reference {
        let architecture: Architecture = serde_json::from_value(name.clone().into()).unwrap();
        let mut file = File::of(architecture, as_published(tensors)).unwrap();
        let network = loaded(architecture, &mut file).unwrap();
        let output = tch::no_grad(|| network.forward(&input, Pass::Predict)).unwrap();
        let found = Vec::<f32>::try_from(output.permute([0, 2, 3, 1]).contiguous().view(-1)).unwrap();
        check(name, &found, logits);
    }
    let unet = &reference["unet-resnet18"].tensors;
    // For other classes: all of it but the head.
    let file = File::of(Architecture::UnetResnet18, as_published(unet)).unwrap();
    let network = loaded(Architecture::UnetResnet18, &mut FreshHead::new(file, "head.", 1)).unwrap();
    let output = tch::no_grad(|| network.forward(&input, Pass::Predict)).unwrap();
    assert_eq!(output.size(), [1, 3, edge, edge]);
    // What is missing is told in the words of the file.
    let mut part = unet.clone();
    part.remove("decoder.blocks.2.conv1.1.weight");
    let mut file = File::of(Architecture::UnetResnet18, as_published(&part)).unwrap();
    let text = loaded(Architecture::UnetResnet18, &mut file).err().unwrap().to_string();
    assert!(text.contains("'decoder.blocks.2.conv1.1.weight' is missing"), "{text}");
    // The same names, but other dilations than torchvision's.
    let deeplab = as_published(&reference["deeplabv3-resnet34"].tensors);
    let text = File::of(Architecture::Deeplabv3Resnet50, deeplab).err().unwrap().to_string();
    assert!(text.contains("its.safetensors: ") && text.contains("dilates its encoder otherwise"), "{text}");
}
