//! What options make of a step. `testdata/reference.py` wrote the numbers that are PyTorch's.

use serde::Deserialize;

use super::{
    tests::{batch, check, setup, some},
    *,
};
use crate::gang::tests::{apart, batch as images, ranks, setup as setup_of_rank};

#[derive(Deserialize)]
struct Reference {
    options: Options,
    losses: Vec<f64>,
    /// Of the first step.
    gradients: BTreeMap<String, Vec<f32>>,
    after: BTreeMap<String, Vec<f32>>,
    means: BTreeMap<String, Vec<f32>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    loss: LossTerms,
    clip: Option<f64>,
    ema: Option<f64>,
}

fn sgd(architecture: Architecture) -> Setup {
    Setup { weight_decay: 0.0, ..setup(architecture, train::Optimizer::Sgd) }
}

fn drawn(setup: Setup) -> Learner {
    Learner::new(setup, Start::Drawn, Gang::alone()).unwrap()
}

/// All of the state, by name.
fn state(learner: &Learner) -> BTreeMap<String, Vec<f32>> {
    let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap();
    learner.all().map(|(name, tensor)| (name, values(&tensor.detach()))).collect()
}

#[test]
fn losses_clipping_and_means_of_weights_are_those_of_pytorch() {
    let all: BTreeMap<String, Reference> =
        serde_json::from_str(include_str!("../../testdata/options.json")).unwrap();
    assert_eq!(all.len(), 5);
    for (name, Reference { options: Options { loss, clip, ema }, losses, gradients, after, means }) in all {
        let class_weights = vec![0.5, 2.0, 0.0];
        let mut learner = drawn(Setup { class_weights, loss, clip, ema, ..sgd(Architecture::Tiny) });
        let batch = batch(3, 64);
        for (step, wanted) in (0..).zip(losses) {
            let loss = learner.step(&batch, 0.1, step).unwrap().mean().unwrap();
            assert!((loss - wanted).abs() < 1e-5 * wanted, "{name}, step {step}: {loss}, not {wanted}");
            if step == 0 {
                for (tensor, parameter) in &learner.learnt.parameters {
                    check(
                        &format!("{name} {tensor}"),
                        &some(&parameter.grad()),
                        &gradients[tensor],
                        1e-4,
                        0.0,
                    );
                }
            }
        }
        let found: BTreeMap<_, _> = learner.all().collect();
        for (tensor, wanted) in &after {
            check(&format!("{name} {tensor}"), &some(&found[tensor].detach()), wanted, 1e-5, 1e-2);
        }
        for (tensor, wanted) in means.iter().filter(|_| ema.is_some()) {
            check(&format!("{name} {tensor}"), &some(found[&format!("ema.{tensor}")]), wanted, 1e-5, 1e-2);
        }
        // On chips that nothing is learnt from, the loss is the same, of the weights that are judged.
        let evaluated = learner.evaluate(&batch).unwrap().0;
        learner.take_average().unwrap();
        let loss = learner.step(&batch, 0.1, 3).unwrap();
        assert!((evaluated.sum - loss.sum).abs() < 1e-5 * loss.sum, "{name}: {evaluated:?} {loss:?}");
    }
}

#[test]
fn pieces_add_up_to_their_batch() {
    let loss = LossTerms { cross_entropy: 1.0, focal: 2.0, dice: 0.0 };
    let new = || drawn(Setup { loss, clip: Some(0.05), ..sgd(Architecture::Tiny) });
    let (mut whole, mut pieces, batch) = (new(), new(), batch(4, 32));
    for step in 0..3 {
        let loss = whole.step(&batch, 0.1, step).unwrap();
        let cut = batch.clone().cut(&[1, 1, 2]);
        assert_eq!(cut.iter().map(|piece| piece.labels.len()).collect::<Vec<_>>(), [1024, 1024, 2048]);
        let of_pieces = pieces.step_in_pieces(&cut, 0.1, step).unwrap();
        assert_eq!(loss.weight, of_pieces.weight);
        assert!((loss.sum - of_pieces.sum).abs() < 1e-5 * loss.sum, "{loss:?} {of_pieces:?}");
    }
    for ((name, one), (_, other)) in state(&whole).iter().zip(&state(&pieces)) {
        assert!(apart(one, other) < 1e-6, "{name}");
    }
}

/// Frozen, nothing of it changes; and its first step afterwards is as long as any first step of Adam.
#[test]
fn an_encoder_stays_until_it_may_learn() {
    const RATE: f64 = 1e-3;
    let mut learner = drawn(setup(Architecture::UnetResnet18, train::Optimizer::Adam));
    let batch = batch(2, 32);
    let moved = |learner: &mut Learner, encoders: bool| {
        let before = state(learner);
        learner.step(&batch, RATE, 0).unwrap();
        let of = |name: &str| !name.starts_with("optimizer") && name.starts_with("encoder.") == encoders;
        let after = state(learner);
        let apart = after.iter().filter(|(name, _)| of(name)).map(|(name, now)| apart(now, &before[name]));
        let weights = after.keys().filter(|name| of(name) && name.ends_with("weight"));
        let of_weights = weights.map(|name| self::apart(&after[name], &before[name]));
        (apart.fold(0.0, f32::max), of_weights.fold(0.0, f32::max))
    };
    learner.freeze_encoder(true).unwrap();
    for _ in 0..20 {
        assert_eq!(moved(&mut learner, true).0, 0.0);
    }
    assert!(moved(&mut learner, false).0 > 0.0);
    assert_eq!(learner.counts(), Counts { updates: 21, frozen: 21, scale: None });
    learner.freeze_encoder(false).unwrap();
    let (_, of_weights) = moved(&mut learner, true);
    assert!((0.9..1.01).contains(&(f64::from(of_weights) / RATE)), "{of_weights}");
    assert_eq!(learner.counts().frozen, 21);
}

/// So low that no gradient here becomes too large for fp16, which would leave its step out.
const LOW: Scale = Scale { factor: 8.0, good_steps: 7 };

#[test]
fn sixteen_bits_are_near_and_weights_are_not_of_them() {
    for architecture in [Architecture::Tiny, Architecture::UnetResnet18] {
        let step = |precision| {
            let mut learner = drawn(Setup { precision, ..sgd(architecture) });
            learner.scale = learner.scale.map(|_| LOW);
            let losses: Vec<f64> =
                (0..3).map(|n| learner.step(&batch(4, 64), 1e-2, n).unwrap().mean().unwrap()).collect();
            let parameters = &learner.learnt.parameters;
            assert!(parameters.iter().all(|(_, p)| p.kind() == tch::Kind::Float));
            assert!(parameters.iter().all(|(_, p)| p.grad().kind() == tch::Kind::Float));
            losses
        };
        let exact = step(Precision::Fp32);
        for (precision, part) in [(Precision::Bf16, 5e-2), (Precision::Fp16, 2e-2)] {
            let losses = step(precision);
            println!("{architecture:?} {precision:?} {losses:?} {exact:?}");
            assert_ne!(losses, exact);
            for (one, other) in losses.iter().zip(&exact) {
                assert!((one - other).abs() < part * other, "{precision:?}: {one}, not {other}");
            }
        }
    }
}

#[test]
fn a_step_whose_gradient_is_no_number_in_fp16_is_left_out() {
    let mut learner = drawn(Setup { precision: Precision::Fp16, ema: Some(0.5), ..sgd(Architecture::Tiny) });
    let before = state(&learner);
    learner.scale = Some(Scale { factor: 2.0_f64.powi(40), good_steps: 3 });
    learner.step(&batch(1, 32), 1e-2, 0).unwrap();
    let scale = Scale { factor: 2.0_f64.powi(39), good_steps: 0 };
    assert_eq!(learner.counts(), Counts { updates: 0, frozen: 0, scale: Some(scale) });
    assert_eq!(state(&learner), before);
    // At the scale that it begins with, the gradient is that of fp32.
    learner.scale = Some(Scale::first());
    learner.step(&batch(1, 32), 1e-2, 0).unwrap();
    let mut exact = drawn(sgd(Architecture::Tiny));
    exact.step(&batch(1, 32), 1e-2, 0).unwrap();
    assert_eq!(learner.counts().updates, 1);
    for ((name, one), (_, other)) in learner.learnt.parameters.iter().zip(&exact.learnt.parameters) {
        check(name, &some(&one.grad()), &some(&other.grad()), 1e-2, 0.0);
    }
}

#[test]
fn a_gradient_that_is_no_number_is_not_clipped_but_told() {
    let mut learner = drawn(Setup { clip: Some(1.0), ..sgd(Architecture::Tiny) });
    // What comes of them is no larger than usual, but what goes back is.
    let _ = tch::no_grad(|| learner.learnt.parameters[0].1.shallow_clone().fill_(1e-30));
    let told = learner
        .step(&Batch { pixels: Pixels::Floats(vec![1e30; 32 * 32 * 4]), ..batch(1, 32) }, 1e-2, 0)
        .unwrap_err();
    assert!(told.to_string().contains("the gradient is inf: lower the learning rate"), "{told}");
}

#[test]
fn a_state_of_all_options_reads_back_and_the_next_steps_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let new = |seed| {
        let setup = setup(Architecture::UnetResnet18, train::Optimizer::Adamw);
        let (precision, clip, ema) = (Precision::Fp16, Some(0.1), Some(0.9));
        let mut learner = drawn(Setup { seed, precision, clip, ema, loss: LossTerms::DICE, ..setup });
        learner.scale = Some(LOW);
        learner.freeze_encoder(true).unwrap();
        learner
    };
    let mut one = new(11);
    let steps = |learner: &mut Learner| {
        (0..2).map(|step| learner.step(&batch(2, 32), 1e-3, step).unwrap()).collect::<Vec<_>>()
    };
    steps(&mut one);
    let write = |name: &str, into: &mut dyn Write| {
        one.write(name, into).unwrap();
        Ok(())
    };
    swath_weights::write_safetensors(&path, &one.state(), &BTreeMap::new(), write).unwrap();
    let mut other = new(12);
    other.restore(swath_weights::open(&path).unwrap(), one.counts()).unwrap();
    assert_eq!(state(&other), state(&one));
    for learner in [&mut one, &mut other] {
        learner.freeze_encoder(false).unwrap();
    }
    assert_eq!(steps(&mut one), steps(&mut other));
    assert_eq!((state(&other), other.counts()), (state(&one), one.counts()));
    assert_eq!((one.counts().updates, one.counts().frozen), (4, 2));
    assert_eq!(one.evaluate(&batch(2, 32)).unwrap(), other.evaluate(&batch(2, 32)).unwrap());
}

/// Steps of six images in two pieces, of which each rank has a part, unequal ones.
fn learn(setup: &Setup, rate: f64, gang: Gang) -> (Vec<Loss>, BTreeMap<String, Vec<f32>>) {
    let [rank, size] = [gang.rank(), gang.size()].map(|number| number as usize);
    let mut learner = Learner::new(setup.clone(), Start::Drawn, gang).unwrap();
    learner.scale = learner.scale.map(|_| LOW);
    let mut losses = Vec::new();
    for step in 0..5 {
        learner.freeze_encoder(step < 2).unwrap();
        let pieces = [0, 3].map(|first| images(step, first + 3 * rank / size..first + 3 * (rank + 1) / size));
        losses.push(learner.step_in_pieces(&pieces, rate, step).unwrap());
    }
    assert!(learner.counts().updates > 0, "some step was not left out");
    (losses, state(&learner))
}

/// Dice is that of all ranks' pixels, gradients are summed once, and clipped by the norm of their sum.
#[test]
fn ranks_learn_by_options_what_one_process_learns() {
    let of = |architecture, batch_norm| {
        let setup = setup_of_rank(architecture, train::Optimizer::Sgd, batch_norm);
        let loss = LossTerms { cross_entropy: 0.2, dice: 1.0, focal: 1.0 };
        Setup { loss, clip: Some(0.5), ema: Some(0.9), ..setup }
    };
    for (setup, size, rate) in [
        (of(Architecture::Tiny, BatchNorm::Batch), 2, 1e-2),
        (of(Architecture::Tiny, BatchNorm::Batch), 3, 1e-2),
        // Its encoder is frozen at first. Rounding decides which side of a ReLU a few numbers fall on, sooner or later.
        (of(Architecture::UnetResnet18, BatchNorm::Frozen), 2, 1e-3),
    ] {
        let (losses, alone) = learn(&setup, rate, Gang::alone());
        let all = ranks(size, |gang| learn(&setup, rate, gang));
        assert!(all.iter().all(|rank| *rank == all[0]), "the same bits on all ranks");
        for (one, other) in losses.iter().zip(&all[0].0) {
            assert_eq!(one.weight, other.weight);
            assert!((one.sum - other.sum).abs() < 1e-4 * one.sum, "{one:?} {other:?}");
        }
        let found = alone.iter().map(|(name, values)| apart(values, &all[0].1[name])).fold(0.0, f32::max);
        println!("{size} ranks, {:?}: {found:e}", setup.architecture);
        assert!(found < 2e-5, "{found:e}");
    }
}

/// Batch norms that ask the other ranks do so in 32 bits.
#[test]
fn ranks_learn_in_sixteen_bits() {
    for precision in [Precision::Bf16, Precision::Fp16] {
        let of = |precision| Setup {
            precision,
            ..setup_of_rank(Architecture::UnetResnet18, train::Optimizer::Sgd, BatchNorm::Batch)
        };
        let (exact, _) = learn(&of(Precision::Fp32), 1e-3, Gang::alone());
        let all = ranks(2, |gang| learn(&of(precision), 1e-3, gang));
        assert!(all.iter().all(|rank| *rank == all[0]), "the same bits on all ranks");
        println!("{precision:?} {:?} {exact:?}", all[0].0);
        for (one, other) in exact.iter().zip(&all[0].0) {
            assert!((one.sum - other.sum).abs() < 3e-2 * one.sum, "{precision:?}: {one:?} {other:?}");
        }
    }
}
