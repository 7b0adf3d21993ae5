//! Held against what PyTorch's eager mode computes from the same weights, in its usual memory order:
//! `testdata/reference.py` wrote the numbers, with torchvision's own networks.

use std::collections::HashMap;

use serde::Deserialize;
use swath_proto::item::{Architecture, EngineName, Precision, WindowShape};
use tch::Tensor;

use crate::{
    Files,
    determinism::network,
    engine::{Engine as _, Shape},
    error::Result,
    load,
    network::{Home, Layers, Learnt, Pass, build},
    onnx,
    openvino::Openvino,
    weights::{Seeded, Stream, Weights},
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
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        self.names += 1;
        let &[n] = shape else { return self.drawn.take(name, shape) };
        let (offset, scale) = match name.rsplit('.').next() {
            Some("weight") => (0.25, 0.5),
            Some("running_var") => (0.5, 1.0),
            _ => (-0.5, 1.0),
        };
        let mut stream = Stream::new(self.drawn.seed, name);
        let values: Vec<f32> = (0..n).map(|_| stream.uniform() * scale + offset).collect();
        Ok(Tensor::from_slice(&values))
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
fn every_network_computes_what_torchvisions_does_folded_or_not() {
    let reference: HashMap<String, Reference> =
        serde_json::from_str(include_str!("../testdata/settled.json")).unwrap();
    assert_eq!(reference.len(), 6);
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
