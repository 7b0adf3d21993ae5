//! The determinism that split invariance rests on: a window's logits have the same bits wherever the
//! window stands in a batch, whatever stands beside it, and in whichever process.

use std::path::{Path, PathBuf};

use swath_proto::{
    ids::{Digest, ItemId},
    item::{Architecture, EngineName, ModelRef, Weights, WindowShape},
};

use crate::{Files, Predictor, drawn, load, weights::Stream};

const BATCH: usize = 4;
const BANDS: u32 = 4;
const SMALL: WindowShape = WindowShape { core_px: 64, margin_px: 16 };
const LARGE: WindowShape = WindowShape { core_px: 256, margin_px: 32 };

type Made = (Architecture, EngineName);

/// One of each kind of block, decoder and engine.
const NETWORKS: [Made; 12] = [
    (Architecture::Tiny, EngineName::Libtorch),
    (Architecture::UnetResnet18, EngineName::Libtorch),
    (Architecture::UnetResnet50, EngineName::Libtorch),
    (Architecture::Deeplabv3Resnet50, EngineName::Libtorch),
    (Architecture::FpnResnet18, EngineName::Libtorch),
    (Architecture::Deeplabv3plusResnet18, EngineName::Libtorch),
    (Architecture::Torchscript, EngineName::Libtorch),
    (Architecture::UnetResnet18, EngineName::Openvino),
    (Architecture::Deeplabv3Resnet50, EngineName::Openvino),
    (Architecture::FpnResnet18, EngineName::Openvino),
    (Architecture::Deeplabv3plusResnet18, EngineName::Openvino),
    (Architecture::Onnx, EngineName::Openvino),
];
const TINY: Made = (Architecture::Tiny, EngineName::Libtorch);

/// A network of four bands and three classes, with the file that it comes from.
pub(crate) fn network((architecture, engine): Made) -> (ModelRef, Option<PathBuf>) {
    let (weights, file) = match architecture {
        Architecture::Torchscript | Architecture::Onnx => {
            let extension = architecture.endings()[0];
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/module.{extension}"));
            let sha256 = Digest::of(&std::fs::read(&file).unwrap());
            (Weights::File { sha256, extension: extension.into() }, Some(file))
        }
        _ => (Weights::Seed(11), None),
    };
    (ModelRef { weights, bands: BANDS, classes: 3, ..drawn(architecture, engine) }, file)
}

fn predictor(made: Made, shape: WindowShape, threads: u32) -> Box<dyn Predictor> {
    let (model, file) = network(made);
    load(&model, &[Files { weights: file, ranges: None }], shape, BATCH as u32, threads).unwrap()
}

fn noise(shape: WindowShape, name: &str) -> Vec<f32> {
    let mut stream = Stream::new(1, name);
    (0..shape.edge_px().pow(2) * BANDS).map(|_| stream.uniform()).collect()
}

/// Bits of the logits of the window at `position` among these.
fn bits(predictor: &mut dyn Predictor, windows: &[&[f32]], position: usize) -> Vec<u32> {
    let logits = predictor.forward(&windows.concat(), windows.len()).unwrap();
    let each = logits.len() / windows.len();
    logits[position * each..][..each].iter().map(|logit| logit.to_bits()).collect()
}

/// Every position, neighbour and length of batch in turn, so that each also comes after other batches.
fn check_positions(made: Made, (shape, threads): (WindowShape, u32), positions: &[usize]) {
    let window = noise(shape, "window");
    let [zeros, huge] = [vec![0.0; window.len()], vec![1e4; window.len()]];
    let others = [noise(shape, "a"), noise(shape, "b"), noise(shape, "c")];
    let mut predictor = predictor(made, shape, threads);
    let predictor = &mut *predictor;
    let wanted = bits(predictor, &[&window, &others[0], &others[1], &others[2]], 0);
    for &position in positions {
        for neighbours in [[&others[0], &others[1], &others[2]], [&zeros; 3], [&huge; 3], [&window; 3]] {
            let mut windows: Vec<&[f32]> = neighbours.iter().map(|window| window.as_slice()).collect();
            windows.insert(position, &window);
            assert!(bits(predictor, &windows, position) == wanted, "{made:?}, position {position}");
        }
        if position + 1 < BATCH {
            let mut windows: Vec<&[f32]> = others[..position].iter().map(Vec::as_slice).collect();
            windows.push(&window);
            let padded = bits(predictor, &windows, position);
            assert!(padded == wanted, "{made:?}, {position} neighbours and padding");
        }
    }
    // The comparison can fail: a window that differs in one value by little.
    let mut touched = window;
    touched[shape.edge_px().pow(2) as usize * BANDS as usize / 2] += 0.01;
    assert!(bits(predictor, &[&touched], 0) != wanted, "{made:?} does not look at its input");
}

#[test]
fn a_window_has_the_same_bits_at_every_position_beside_anything() {
    for made in NETWORKS {
        check_positions(made, (SMALL, 1), &[0, 1, 2, 3]);
    }
}

#[test]
fn large_windows_have_too() {
    for engine in [EngineName::Libtorch, EngineName::Openvino] {
        check_positions((Architecture::UnetResnet18, engine), (LARGE, 1), &[2]);
    }
}

/// Three threads can't share four windows out evenly: what is summed over a whole window must not be split by its place.
#[test]
fn windows_have_too_on_several_threads() {
    for architecture in [Architecture::FpnResnet18, Architecture::Deeplabv3plusResnet18] {
        for engine in [EngineName::Libtorch, EngineName::Openvino] {
            check_positions((architecture, engine), (SMALL, 3), &[0, 1, 2, 3]);
        }
    }
}

#[test]
fn a_fresh_process_gives_the_same_bits() {
    const CHILD: &str = "SWATH_DETERMINISM_CHILD";
    let hash = |made| {
        let bits = bits(&mut *predictor(made, SMALL, 1), &[&noise(SMALL, "window")], 0);
        Digest::of(&bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>()).to_string()
    };
    let hashes = NETWORKS.map(hash).join(" ");
    if std::env::var_os(CHILD).is_some() {
        println!("hashes {hashes}");
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "determinism::a_fresh_process_gives_the_same_bits", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains(&format!("hashes {hashes}")), "{text}");
}

/// TorchScript compiles a module anew after it has watched its first runs.
#[test]
fn the_fingerprint_of_the_first_run_is_that_of_later_ones() {
    for made in NETWORKS {
        let mut predictor = predictor(made, SMALL, 1);
        let mut stream = Stream::new(0, "fingerprint");
        let values = BATCH * noise(SMALL, "any").len();
        let input: Vec<f32> = (0..values).map(|_| stream.uniform()).collect();
        for _ in 0..5 {
            let logits = predictor.forward(&input, BATCH).unwrap();
            let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
            let found = ItemId::of(&bytes);
            assert_eq!(found, predictor.class().fingerprint, "{made:?}");
        }
    }
}

#[test]
fn the_fingerprint_tells_networks_apart_and_threads_are_part_of_the_class() {
    let class = |made, threads| predictor(made, SMALL, threads).class().clone();
    let tiny = class(TINY, 1);
    assert_eq!(tiny, class(TINY, 1));
    let script = (Architecture::Torchscript, EngineName::Libtorch);
    assert_ne!(tiny.fingerprint, class(script, 1).fingerprint);
    assert_ne!(tiny.id(), class(TINY, 2).id());
    assert_ne!(tiny.id(), class((Architecture::Tiny, EngineName::Openvino), 1).id());
}
