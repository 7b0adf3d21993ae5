//! The determinism that split invariance rests on: a window's logits have the same bits wherever the
//! window stands in a batch, whatever stands beside it, and in whichever process.

use std::{path::PathBuf, sync::OnceLock};

use swath_proto::{
    ids::Digest,
    item::{Architecture, ModelRef, Weights, WindowShape},
};

use tch::{Device, Kind, Tensor};

use crate::{Predictor, load, weights::Stream};

const BATCH: usize = 4;
const WINDOW: WindowShape = WindowShape { core_px: 64, margin_px: 16 };
const VALUES: usize = 96 * 96 * 3;

fn networks() -> Vec<(ModelRef, Option<PathBuf>)> {
    let model = |architecture, weights| ModelRef { architecture, weights, bands: 3, classes: 2 };
    let module = module();
    let file = Weights::File { sha256: Digest::of(&std::fs::read(&module).unwrap()), extension: "pt".into() };
    vec![
        (model(Architecture::Tiny, Weights::Seed(3)), None),
        (model(Architecture::UnetResnet18, Weights::Seed(3)), None),
        (model(Architecture::Torchscript, file), Some(module)),
    ]
}

/// A TorchScript file, traced here from two convolutions.
fn module() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("swath-module-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let weights = |name: &str, shape: &[i64]| {
            let mut stream = Stream::new(5, name);
            let values: Vec<f32> = (0..shape.iter().product()).map(|_: i64| stream.uniform() - 0.5).collect();
            Tensor::from_slice(&values).reshape(shape)
        };
        let (first, second) = (weights("first", &[8, 3, 3, 3]), weights("second", &[2, 8, 1, 1]));
        let mut network = |inputs: &[Tensor]| {
            let hidden = inputs[0].conv2d(&first, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1).relu();
            vec![hidden.conv2d(&second, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)]
        };
        let example = [Tensor::zeros([1, 3, 32, 32], (Kind::Float, Device::Cpu))];
        let module =
            tch::CModule::create_by_tracing("Convolutions", "forward", &example, &mut network).unwrap();
        module.save(folder.join("module.pt")).unwrap();
        folder
    });
    folder.join("module.pt")
}

fn predictor(which: usize, threads: u32) -> Box<dyn Predictor> {
    let (model, file) = networks().swap_remove(which);
    load(&model, file.as_deref(), WINDOW, BATCH as u32, threads).unwrap()
}

fn noise(name: &str) -> Vec<f32> {
    let mut stream = Stream::new(1, name);
    (0..VALUES).map(|_| stream.uniform()).collect()
}

/// Bits of the logits of the window at `position` among these.
fn bits(predictor: &mut dyn Predictor, windows: &[&[f32]], position: usize) -> Vec<u32> {
    let logits = predictor.forward(&windows.concat(), windows.len()).unwrap();
    let each = logits.len() / windows.len();
    logits[position * each..][..each].iter().map(|logit| logit.to_bits()).collect()
}

#[test]
fn a_window_has_the_same_bits_at_every_position_beside_anything() {
    let window = noise("window");
    let [zeros, huge] = [vec![0.0; VALUES], vec![1e4; VALUES]];
    let others = [noise("a"), noise("b"), noise("c")];
    for which in 0..networks().len() {
        let mut predictor = predictor(which, 1);
        let predictor = &mut *predictor;
        let wanted = bits(predictor, &[&window, &others[0], &others[1], &others[2]], 0);
        for position in 0..BATCH {
            for neighbours in [[&others[0], &others[1], &others[2]], [&zeros; 3], [&huge; 3], [&window; 3]] {
                let mut windows: Vec<&[f32]> = neighbours.iter().map(|window| window.as_slice()).collect();
                windows.insert(position, &window);
                assert!(
                    bits(predictor, &windows, position) == wanted,
                    "network {which}, position {position}"
                );
            }
        }
        for n in 1..BATCH {
            let mut windows: Vec<&[f32]> = others[..n - 1].iter().map(Vec::as_slice).collect();
            windows.push(&window);
            assert!(bits(predictor, &windows, n - 1) == wanted, "network {which}, {n} windows and padding");
        }
        // The comparison can fail: another window, another pixel, another value.
        let mut touched = window.clone();
        touched[VALUES / 2] += 0.01;
        assert!(bits(predictor, &[&touched], 0) != wanted, "network {which} does not look at its input");
    }
}

#[test]
fn a_fresh_process_gives_the_same_bits() {
    const CHILD: &str = "SWATH_DETERMINISM_CHILD";
    let hash = |which| {
        let bits = bits(&mut *predictor(which, 1), &[&noise("window")], 0);
        Digest::of(&bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>()).to_string()
    };
    let hashes: Vec<String> = (0..networks().len()).map(hash).collect();
    if std::env::var_os(CHILD).is_some() {
        println!("hashes {}", hashes.join(" "));
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "determinism::a_fresh_process_gives_the_same_bits", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains(&format!("hashes {}", hashes.join(" "))), "{text}");
}

#[test]
fn the_fingerprint_tells_networks_apart_and_threads_are_part_of_the_class() {
    let class = |which, threads| predictor(which, threads).class().clone();
    assert_eq!(class(0, 1), class(0, 1));
    assert_ne!(class(0, 1).fingerprint, class(1, 1).fingerprint);
    assert_ne!(class(0, 1).id(), class(0, 2).id());
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let folder = std::env::temp_dir().join(format!("swath-weights-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("w.safetensors");
    let model = |architecture| ModelRef {
        architecture,
        weights: Weights::File { sha256: Digest::of(b""), extension: "safetensors".into() },
        bands: 3,
        classes: 2,
    };
    let attempt = |tensors: Vec<(&str, Vec<usize>, f32)>| {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, shape, value)| value.to_le_bytes().repeat(shape.iter().product()))
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (
                *name,
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap(),
            )
        });
        std::fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
        let loaded = load(&model(Architecture::Tiny), Some(&file), WINDOW, 1, 1);
        loaded.err().map(|error| error.to_string())
    };
    let good = || {
        vec![
            ("hidden.weight", vec![8, 3, 3, 3], 0.1),
            ("hidden.bias", vec![8], 0.1),
            ("head.weight", vec![2, 8, 1, 1], 0.1),
            ("head.bias", vec![2], 0.1),
        ]
    };
    assert_eq!(attempt(good()), None);
    let with = |at: usize, tensor| {
        let mut tensors = good();
        tensors[at] = tensor;
        attempt(tensors).expect("it was taken")
    };
    assert!(
        with(0, ("hidden.weights", vec![8, 3, 3, 3], 0.1))
            .contains("'hidden.weight' is missing; the nearest is 'hidden.weights'")
    );
    assert!(with(1, ("hidden.bias", vec![9], 0.1)).contains("has shape [9] where [8] belongs"));
    assert!(with(3, ("head.bias", vec![2], f32::NAN)).contains("is NaN at element 0"));
    let mut extra = good();
    extra.push(("tail.bias", vec![2], 0.1));
    assert!(attempt(extra).expect("it was taken").contains("'tail.bias' has no place"));
    std::fs::write(&file, b"not at all").unwrap();
    assert!(load(&model(Architecture::Tiny), Some(&file), WINDOW, 1, 1).is_err());
    std::fs::remove_dir_all(folder).unwrap();
}
