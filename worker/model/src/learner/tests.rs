//! Steps of learning are PyTorch's: `testdata/reference.py` wrote the numbers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Deserialize;

use super::*;
use crate::{error::Kind as ErrorKind, weights::Stream};

const BANDS: u32 = 4;

pub(super) fn setup(architecture: Architecture, optimizer: train::Optimizer) -> Setup {
    Setup {
        architecture,
        bands: BANDS,
        class_weights: vec![0.5, 2.0, 1.0],
        optimizer,
        weight_decay: 0.01,
        batch_norm: BatchNorm::Batch,
        loss: LossTerms::default(),
        precision: Precision::Fp32,
        clip: None,
        ema: None,
        seed: 11,
        threads: 1,
        place: Place::Processor,
    }
}

pub(super) fn batch(n: usize, edge: usize) -> Batch {
    let (mut pixels, mut labels) = (Stream::new(2, "pixels"), Stream::new(2, "labels"));
    let mut label = || match labels.uniform() {
        draw if draw < 0.1 => 255,
        draw => ((draw * 3.0) as u8).min(2),
    };
    Batch {
        width: edge as u32,
        height: edge as u32,
        pixels: Pixels::Floats((0..n * edge * edge * BANDS as usize).map(|_| pixels.uniform()).collect()),
        labels: (0..n * edge * edge).map(|_| label()).collect(),
    }
}

#[derive(Deserialize)]
struct Reference {
    losses: Vec<f64>,
    gradients: BTreeMap<String, Vec<f32>>,
    /// After the first step.
    statistics: BTreeMap<String, Vec<f32>>,
    /// Weights after all steps.
    #[serde(default)]
    after: BTreeMap<String, Vec<f32>>,
}

/// Eight numbers of a tensor, evenly spread, and the largest.
pub(super) fn some(tensor: &Tensor) -> Vec<f32> {
    let flat = Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap();
    let largest = flat.iter().fold(0.0, |largest: f32, number| largest.max(number.abs()));
    (0..8).map(|at| flat[at * flat.len() / 8]).chain([largest]).collect()
}

/// Within `part` of the largest number.
pub(super) fn check(what: &str, found: &[f32], wanted: &[f32], part: f32, floor: f32) {
    let largest = wanted.iter().fold(floor, |largest: f32, number| largest.max(number.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= part * largest, "{what}: {found} where {wanted} belongs");
    }
}

#[test]
fn losses_gradients_and_weights_of_three_steps_are_those_of_pytorch() {
    let reference: HashMap<String, Reference> =
        serde_json::from_str(include_str!("../../testdata/steps.json")).unwrap();
    let batch = batch(3, 64);
    for (name, Reference { losses, gradients, statistics, after }) in reference {
        let (architecture, optimizer) = name.split_once(' ').unwrap();
        let architecture: Architecture = serde_json::from_value(architecture.into()).unwrap();
        let optimizer = serde_json::from_value(optimizer.into()).unwrap();
        let mut learner = Learner::new(setup(architecture, optimizer), Start::Drawn, Gang::alone()).unwrap();
        for (step, wanted) in (0..).zip(losses) {
            let loss = learner.step(&batch, 1e-3, 100 + step).unwrap().mean().unwrap();
            // Adam's first steps follow the sign of the smallest gradient, which rounding decides.
            let part = if step == 0 || architecture == Architecture::Tiny { 1e-5 } else { 3e-2 };
            assert!((loss - wanted).abs() <= part * wanted, "{name}, step {step}: {loss}, not {wanted}");
            if step > 0 {
                continue;
            }
            let scale = gradients.values().flatten().fold(0.0, |most: f32, number| most.max(number.abs()));
            let tensors: HashMap<_, _> = learner.network_tensors().collect();
            // Rounding decides which side of a ReLU a few numbers fall on: deep down, where there are
            // twelve of each channel, PyTorch in another memory order is as far from itself.
            let part = if architecture == Architecture::Tiny { 1e-4 } else { 5e-2 };
            for (tensor, wanted) in &gradients {
                check(tensor, &some(&tensors[tensor.as_str()].grad()), wanted, part, 1e-3 * scale);
            }
            for (tensor, wanted) in &statistics {
                check(tensor, &some(tensors[tensor.as_str()]), wanted, 1e-3, 1e-2);
            }
        }
        let tensors: HashMap<_, _> = learner.network_tensors().collect();
        for (tensor, wanted) in &after {
            check(tensor, &some(tensors[tensor.as_str()]), wanted, 1e-5, 1e-2);
        }
    }
}

/// PyTorch has one generator for the process: what is dropped must not come from another's seed.
#[test]
fn learners_side_by_side_drop_what_they_drop_alone() {
    let deeplab = || {
        Learner::new(
            setup(Architecture::Deeplabv3Resnet50, train::Optimizer::Adam),
            Start::Drawn,
            Gang::alone(),
        )
        .unwrap()
    };
    let batch = batch(2, 32);
    let steps = |mut learner: Learner| -> Result<Vec<Loss>> {
        (100..106).map(|seed| learner.step(&batch, 1e-3, seed)).collect()
    };
    let alone = steps(deeplab()).unwrap();
    let (learner, mut other) = (deeplab(), deeplab());
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let seeding = scope.spawn(|| {
            let batch = self::batch(2, 16);
            let seeds = (0..).take_while(|_| !ended.load(Ordering::Relaxed));
            seeds.map(|seed| other.step(&batch, 1e-3, seed)).collect::<Result<Vec<Loss>>>()
        });
        let beside = steps(learner);
        ended.store(true, Ordering::Relaxed);
        assert!(!seeding.join().unwrap().unwrap().is_empty());
        assert_eq!(beside.unwrap(), alone);
    });
}

#[test]
fn ignored_pixels_change_nothing() {
    for architecture in [Architecture::Tiny, Architecture::UnetResnet18] {
        // A class of weight zero counts for nothing either, but is not left out.
        let step = |class: u8| {
            let mut setup = setup(architecture, train::Optimizer::Adam);
            setup.class_weights.push(0.0);
            let mut learner = Learner::new(setup, Start::Drawn, Gang::alone()).unwrap();
            let mut batch = batch(2, 32);
            batch.labels.iter_mut().filter(|label| **label == 255).for_each(|label| *label = class);
            let loss = learner.step(&batch, 1e-3, 0).unwrap();
            (loss, some(&learner.learnt.parameters[0].1.grad()))
        };
        let [(loss, gradient), (left_out, gradient_left_out)] = [step(3), step(255)];
        assert_eq!(loss.weight, left_out.weight);
        assert!((loss.sum - left_out.sum).abs() < 1e-5 * loss.sum, "{loss:?} {left_out:?}");
        check("gradient", &gradient, &gradient_left_out, 1e-4, 0.0);
        // Nothing but ignored pixels: a loss of nothing, and no gradient.
        let mut learner =
            Learner::new(setup(architecture, train::Optimizer::Adam), Start::Drawn, Gang::alone()).unwrap();
        let labels = vec![255; 2 * 32 * 32];
        let nothing = learner.step(&Batch { labels, ..batch(2, 32) }, 1e-3, 0).unwrap();
        assert_eq!((nothing.sum, nothing.weight, nothing.mean()), (0.0, 0.0, None));
        let of = |(_, parameter): &(String, Tensor)| some(&parameter.grad());
        assert!(learner.learnt.parameters.iter().flat_map(of).all(|number| number == 0.0));
    }
}

#[test]
fn a_state_reads_back_and_the_next_step_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let batch = batch(2, 32);
    let new = |seed| {
        let setup = Setup { seed, ..setup(Architecture::UnetResnet18, train::Optimizer::Adamw) };
        Learner::new(setup, Start::Drawn, Gang::alone()).unwrap()
    };
    let mut one = new(11);
    one.step(&batch, 1e-3, 0).unwrap();
    let write = |name: &str, into: &mut dyn Write| {
        one.write(name, into).unwrap();
        Ok(())
    };
    swath_weights::write_safetensors(&path, &one.state(), &BTreeMap::new(), write).unwrap();
    let mut other = new(12);
    other.restore(swath_weights::open(&path).unwrap(), one.counts()).unwrap();
    let losses = [one.step(&batch, 1e-3, 1).unwrap(), other.step(&batch, 1e-3, 1).unwrap()];
    assert_eq!(losses[0], losses[1]);
    for ((name, one), (_, other)) in one.all().zip(other.all()) {
        assert_eq!(some(one), some(other), "{name}");
    }
    // The weights alone are what a predictor takes; they are no state.
    swath_weights::write_safetensors(&path, &one.weights(), &BTreeMap::new(), |name, into| {
        one.write(name, into).unwrap();
        Ok(())
    })
    .unwrap();
    let text = other.restore(swath_weights::open(&path).unwrap(), Counts::default()).unwrap_err().to_string();
    assert!(text.contains("'optimizer.first.encoder.conv1.weight' is missing"), "{text}");
    let head = Start::Weights { file: swath_weights::open(&path).unwrap(), fresh_head: false };
    let learner =
        Learner::new(setup(Architecture::UnetResnet18, train::Optimizer::Adam), head, Gang::alone()).unwrap();
    let predicted = |learner: &Learner| learner.evaluate(&batch).unwrap();
    assert_eq!(predicted(&learner), predicted(&one));
}

fn bytes(
    tensors: &BTreeMap<String, TensorInfo>,
    write: impl Fn(&str, &mut dyn Write) -> Result<()>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    tensors.keys().for_each(|name| write(name, &mut bytes).unwrap());
    bytes
}

/// Steps change tensors in place.
#[test]
fn a_snapshot_stays_as_it_was_while_learning_goes_on() {
    let setup = setup(Architecture::UnetResnet18, train::Optimizer::Adam);
    let (mut learner, batch) = (Learner::new(setup, Start::Drawn, Gang::alone()).unwrap(), batch(2, 32));
    learner.step(&batch, 1e-3, 0).unwrap();
    let before = bytes(&learner.state(), |name, into| learner.write(name, into));
    let snapshot = learner.snapshot().unwrap();
    learner.step(&batch, 1e-3, 1).unwrap();
    assert_eq!((snapshot.counts().updates, learner.counts().updates), (1, 2));
    assert_eq!(snapshot.tensors(), learner.state());
    let copied = bytes(&snapshot.tensors(), |name, into| snapshot.write(name, into));
    assert!(copied == before, "it has followed the step");
    assert!(bytes(&learner.state(), |name, into| learner.write(name, into)) != before);
}

#[test]
fn what_is_no_number_is_an_error_with_its_place() {
    let mut learner =
        Learner::new(setup(Architecture::Tiny, train::Optimizer::Adam), Start::Drawn, Gang::alone()).unwrap();
    let mut broken = batch(1, 32);
    let Pixels::Floats(samples) = &mut broken.pixels else { panic!() };
    samples[77] = f32::NAN;
    let error = learner.step(&broken, 1e-3, 0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(error.to_string().contains("the loss is NaN: lower the learning rate"), "{error}");
    let _ = tch::no_grad(|| learner.learnt.parameters[1].1.get(2).fill_(f64::INFINITY));
    let error = learner.write("hidden.bias", &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("'hidden.bias' has become inf at element 2"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut unet =
        Learner::new(setup(Architecture::UnetResnet18, train::Optimizer::Adam), Start::Drawn, Gang::alone())
            .unwrap();
    let text = unet.step(&batch(1, 40), 1e-3, 0).unwrap_err().to_string();
    assert!(text.contains("multiples of 32 px, not 40 x 40"), "{text}");
    assert!(unet.step(&Batch { labels: vec![0; 9], ..batch(1, 32) }, 1e-3, 0).is_err());
    let module = setup(Architecture::Torchscript, train::Optimizer::Adam);
    assert!(Learner::new(module, Start::Drawn, Gang::alone()).is_err());
    let mut deeplab = Learner::new(
        setup(Architecture::Deeplabv3Resnet50, train::Optimizer::Adam),
        Start::Drawn,
        Gang::alone(),
    )
    .unwrap();
    let text = deeplab.step(&batch(1, 32), 1e-3, 0).unwrap_err().to_string();
    assert!(text.contains("two images at least"), "{text}");
    let plus = setup(Architecture::Deeplabv3plusResnet18, train::Optimizer::Adam);
    let mut plus = Learner::new(plus, Start::Drawn, Gang::alone()).unwrap();
    let text = plus.step(&batch(1, 32), 1e-3, 0).unwrap_err().to_string();
    assert!(text.contains("two images at least"), "{text}");
    let text = plus.step(&batch(2, 40), 1e-3, 0).unwrap_err().to_string();
    assert!(text.contains("multiples of 16 px, not 40 x 40"), "{text}");
}
