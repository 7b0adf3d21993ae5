//! Trainings whose steps have options.

use swath_weights::TensorFile;

use crate::{Bench, assert_same, interrupted, run, squares, without_times};

const CHIPS: (u64, u64, u32) = (12, 4, 32);
const PLAIN: &str =
    "architecture = \"tiny\"\nepochs = 3\nbatch = 4\nlr = 0.01\nseed = 3\noptimizer = \"sgd\"";
const OPTIONS: &str = "loss = { cross-entropy = 1, dice = 0.5 }\nprecision = \"fp16\"\nclip = 1\naccumulate = 2\n\
                       ema = 0.9\nkeep = \"last\"";

#[test]
fn a_training_with_options_that_is_stopped_ends_as_one_that_is_not() {
    let spec = squares::spec(&format!("{PLAIN}\n{OPTIONS}"));
    let (whole, cut) = (Bench::new(), Bench::new());
    run(&whole.job(spec.clone(), CHIPS));
    assert!(interrupted(&cut, &spec, CHIPS, 2) >= 2);
    assert_same(&cut.last(), &whole.last());
    assert_same(&cut.read("weights.safetensors"), &whole.read("weights.safetensors"));
    assert_eq!(without_times(&cut.read("log.csv")), without_times(&whole.read("log.csv")));
    // What comes out is the mean.
    let file = |name: &str, bytes| TensorFile::from_bytes(name, bytes).unwrap();
    let (last, weights) = (file("last", whole.last()), file("weights", whole.read("weights.safetensors")));
    for name in weights.names() {
        assert_eq!(weights.f32(name).unwrap(), last.f32(&format!("ema.{name}")).unwrap(), "{name}");
        assert_ne!(weights.f32(name).unwrap(), last.f32(name).unwrap(), "{name}");
    }
}

#[test]
fn a_batch_in_pieces_teaches_what_it_teaches_at_once() {
    let learnt = |pieces: u32| {
        let bench = Bench::new();
        run(&bench.job(squares::spec(&format!("{PLAIN}\naccumulate = {pieces}")), CHIPS));
        bench.last()
    };
    let whole = learnt(1);
    for pieces in [2, 3, 4] {
        assert_same(&learnt(pieces), &whole);
    }
}
