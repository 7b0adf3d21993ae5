//! Held against what PyTorch's eager mode computes from the same weights, unfolded and in its usual
//! memory order: `testdata/reference.py` wrote the numbers.

use std::collections::HashMap;

use swath_proto::item::{Architecture, WindowShape};

use crate::{determinism::network, load, weights::Stream};

const WINDOW: WindowShape = WindowShape { core_px: 64, margin_px: 16 };

#[test]
fn logits_are_those_of_pytorch() {
    let reference: HashMap<String, Vec<f32>> =
        serde_json::from_str(include_str!("../testdata/reference.json")).unwrap();
    let mut stream = Stream::new(1, "reference");
    let window: Vec<f32> = (0..WINDOW.edge_px().pow(2) * 4).map(|_| stream.uniform()).collect();
    for architecture in [Architecture::Tiny, Architecture::UnetResnet18, Architecture::Torchscript] {
        let name = serde_json::to_value(architecture).unwrap();
        let wanted = &reference[name.as_str().unwrap()];
        let (model, file) = network(architecture);
        let mut predictor = load(&model, file.as_deref(), WINDOW, 2, 1).unwrap();
        let logits = predictor.forward(&window, 1).unwrap();
        let found: Vec<f32> = logits.iter().step_by(997).copied().collect();
        assert_eq!(found.len(), wanted.len());
        let largest = wanted.iter().fold(0.0, |largest: f32, logit| largest.max(logit.abs()));
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() <= 1e-4 * largest, "{name}: {found} where {wanted} belongs");
        }
    }
}
