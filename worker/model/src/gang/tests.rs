//! Ranks are threads here, each with a gang of its own; as processes they are tested where a training is.

use std::{net::Ipv4Addr, thread};

use swath_proto::{
    item::Architecture,
    train::{BatchNorm, Optimizer},
};

use super::*;
use crate::{
    error::Kind as ErrorKind,
    learner::{Batch, Learner, Loss, Pixels, Setup, Start},
    place::Place,
    weights::Stream,
};

const PATIENCE: Patience = Patience(Duration::from_secs(60));
/// As if they were on several machines.
const SOCKETS: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
const MEMORY: Option<IpAddr> = None;

/// What each rank of a gang makes, in their order.
pub(crate) fn ranks<T: Send>(size: u32, work: impl Fn(Gang) -> T + Sync) -> Vec<T> {
    ranks_by(MEMORY, size, work)
}

fn ranks_by<T: Send>(address: Option<IpAddr>, size: u32, work: impl Fn(Gang) -> T + Sync) -> Vec<T> {
    ranks_with(|_| Carrier::default(), address, size, work)
}

/// `carrier` is asked for that of each rank.
fn ranks_with<T: Send>(
    carrier: impl Fn(u32) -> Carrier + Sync,
    address: Option<IpAddr>,
    size: u32,
    work: impl Fn(Gang) -> T + Sync,
) -> Vec<T> {
    let patience = PATIENCE;
    let first = Store::serve(0, Reach::Here, patience).unwrap();
    let port = first.port;
    let stores = (1..size).map(|_| Store::find("127.0.0.1", port, patience).unwrap());
    let stores: Vec<Store> = std::iter::once(first).chain(stores).collect();
    let (work, carrier) = (&work, &carrier);
    thread::scope(|scope| {
        let started: Vec<_> = (0..)
            .zip(stores)
            .map(|(rank, store)| {
                scope.spawn(move || {
                    let carrier = carrier(rank);
                    work(Gang::meet(store, (rank, size), address, "", patience, &carrier).unwrap())
                })
            })
            .collect();
        started.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

pub(crate) fn setup(architecture: Architecture, optimizer: Optimizer, batch_norm: BatchNorm) -> Setup {
    let (bands, seed, place) = (3, 11, Place::Processor);
    let class_weights = vec![0.5, 2.0, 1.0];
    let (loss, precision, clip, ema) = Default::default();
    Setup {
        architecture,
        bands,
        class_weights,
        optimizer,
        weight_decay: 0.01,
        batch_norm,
        loss,
        precision,
        clip,
        ema,
        seed,
        threads: 1,
        place,
    }
}

/// Of images of 32 px, some of whose pixels are ignored: more of them in each than in the one before.
pub(crate) fn batch(step: u64, images: std::ops::Range<usize>) -> Batch {
    const PIXELS: usize = 32 * 32;
    let (mut samples, mut classes) = (Vec::new(), Vec::new());
    for image in images {
        let name = format!("{step} {image}");
        let (mut pixels, mut labels) = (Stream::new(2, &name), Stream::new(3, &name));
        samples.extend((0..PIXELS * 3).map(|_| pixels.uniform()));
        classes.extend((0..PIXELS).map(|at| match labels.uniform() {
            _ if at % 7 < image => 255,
            draw => ((draw * 3.0) as u8).min(2),
        }));
    }
    Batch { width: 32, height: 32, pixels: Pixels::Floats(samples), labels: classes }
}

const IMAGES: usize = 5;

/// So many steps of one rank; its losses, and the weights at the end.
fn learn(setup: &Setup, steps: u64, rate: f64, gang: Gang, averages: bool) -> (Vec<Loss>, Vec<f32>) {
    let [rank, size] = [gang.rank(), gang.size()].map(|number| number as usize);
    let images = IMAGES * rank / size..IMAGES * (rank + 1) / size;
    let gang = if averages { gang } else { Gang::alone() };
    let mut learner = Learner::new(setup.clone(), Start::Drawn, gang).unwrap();
    let losses =
        (0..steps).map(|step| learner.step(&batch(step, images.clone()), rate, step).unwrap()).collect();
    learner.agree_on_statistics().unwrap();
    (losses, weights(&learner, ""))
}

/// Of all tensors of the network whose name has this word.
pub(crate) fn weights(learner: &Learner, word: &str) -> Vec<f32> {
    let mut weights = Vec::new();
    for name in learner.weights().keys().filter(|name| name.contains(word)) {
        let mut bytes = Vec::new();
        learner.write(name, &mut bytes).unwrap();
        weights.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    weights
}

/// The largest difference of two weights.
pub(crate) fn apart(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).fold(0.0, |most: f32, (one, other)| most.max((one - other).abs()))
}

#[test]
fn numbers_are_summed_and_words_are_heard() {
    for address in [MEMORY, SOCKETS] {
        assert_summed_and_heard(address);
    }
    let mut alone = Gang::alone();
    let mut numbers = [0.1, 7.0];
    alone.sum(&mut numbers).unwrap();
    assert_eq!((numbers, alone.hear(Some("me".into())).unwrap()), ([0.1, 7.0], "me".into()));
}

fn assert_summed_and_heard(address: Option<IpAddr>) {
    let heard = ranks_by(address, 3, |mut gang| {
        let mut numbers = [f64::from(gang.rank()), 0.1, -1.5];
        gang.sum(&mut numbers).unwrap();
        let said = |words: &str| gang.leads().then(|| words.to_owned());
        let (first, second) = (said("one"), said(""));
        (numbers, gang.hear(first).unwrap(), gang.hear(second).unwrap(), gang.rank(), gang.size())
    });
    for (rank, (numbers, first, second, at, size)) in (0..).zip(heard) {
        assert!((numbers[0] - 3.0).abs() < 1e-12 && (numbers[1] - 0.3).abs() < 1e-12 && numbers[2] == -4.5);
        assert_eq!((first.as_str(), second.as_str(), at, size), ("one", "", rank, 3));
    }
}

/// More of them than there is room for at a time, whose sum depends on the order in which they are added.
#[test]
fn sums_are_the_same_bits_for_all_and_come_one_after_the_other() {
    const MANY: usize = 600_001;
    for address in [MEMORY, SOCKETS] {
        let found = ranks_by(address, 3, |gang| {
            let own = |at: usize| 0.1 + at as f64 * f64::from(gang.rank() + 1);
            let under_way: Vec<Sum> = (0..20).map(|round| gang.begin_sum(own(round)).unwrap()).collect();
            let mut numbers: Vec<f64> = (0..MANY).map(own).collect();
            gang.sum(&mut numbers).unwrap();
            numbers.extend(under_way.into_iter().map(|sum| sum.end().unwrap()));
            numbers
        });
        assert!(found.iter().all(|numbers| *numbers == found[0]), "the same bits");
        for (at, number) in found[0].iter().enumerate() {
            let wanted = 0.3 + 6.0 * (if at < MANY { at } else { at - MANY }) as f64;
            assert!((number - wanted).abs() < 1e-6, "{at}: {number} where {wanted} belongs");
        }
    }
}

/// Unequal shares, and pixels that are ignored: nothing differs but the order of sums.
#[test]
fn ranks_learn_what_one_process_learns() {
    for (architecture, batch_norm, size, steps, rate, further) in [
        (Architecture::Tiny, BatchNorm::Batch, 2, 50, 1e-3, 100.0),
        (Architecture::Tiny, BatchNorm::Batch, 3, 50, 1e-3, 100.0),
        // Rounding decides which side of a ReLU a few numbers fall on, sooner or later.
        (Architecture::UnetResnet18, BatchNorm::Frozen, 2, 10, 1e-4, 10.0),
    ] {
        let setup = setup(architecture, Optimizer::Sgd, batch_norm);
        let (losses, alone) = learn(&setup, steps, rate, Gang::alone(), true);
        let all = ranks(size, |gang| learn(&setup, steps, rate, gang, true));
        let by_sockets = ranks_by(SOCKETS, size, |gang| learn(&setup, steps, rate, gang, true));
        assert!(apart(&alone, &by_sockets[0].1) < 1e-5);
        for (of_rank, weights) in &all {
            assert_eq!(*weights, all[0].1, "weights are the same bits on all ranks");
            assert_eq!(*of_rank, all[0].0);
            for (one, other) in losses.iter().zip(of_rank) {
                assert_eq!(one.weight, other.weight);
                assert!((one.sum - other.sum).abs() < 1e-4 * one.sum, "{one:?} {other:?}");
            }
        }
        let found = apart(&alone, &all[0].1);
        let control = ranks(size, |gang| learn(&setup, steps, rate, gang, false));
        let without = apart(&alone, &control[0].1);
        println!("{size} ranks, {architecture:?}: {found:e} from one process; without averaging {without:e}");
        assert!(found < 1e-5, "{found:e}");
        assert!(without > further * found, "{without:e} {found:e}");
    }
}

/// Adam divides by the size of gradients: what rounding makes of the smallest it makes as large as any step.
#[test]
fn adam_goes_no_further_apart_than_another_order_of_sums_takes_it() {
    let setup = setup(Architecture::Tiny, Optimizer::Adamw, BatchNorm::Batch);
    let (_, alone) = learn(&setup, 50, 1e-3, Gang::alone(), true);
    let all = ranks(2, |gang| learn(&setup, 50, 1e-3, gang, true));
    assert_eq!(all[0].1, all[1].1);
    // The same images in another order.
    let mut learner = Learner::new(setup, Start::Drawn, Gang::alone()).unwrap();
    for step in 0..50 {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for one in (0..IMAGES).rev().map(|image| batch(step, image..image + 1)) {
            pixels.extend_from_slice(&one.pixels.floats());
            labels.extend(one.labels);
        }
        let turned = Batch { pixels: Pixels::Floats(pixels), labels, ..batch(step, 0..0) };
        learner.step(&turned, 1e-3, step).unwrap();
    }
    let shuffled = weights(&learner, "");
    let (found, by_order) = (apart(&alone, &all[0].1), apart(&alone, &shuffled));
    println!("{found:e}; by another order alone {by_order:e}");
    assert!(by_order > 0.0 && found < 10.0 * by_order, "{found:e} {by_order:e}");
}

/// Batch norms that all ranks share are those of one process: its losses, and its means and variances. Rounding decides
/// which side of a ReLU a few numbers fall on, so that weights are held against what another order of images makes.
#[test]
fn batch_norms_go_by_the_images_of_all_ranks() {
    let setup = setup(Architecture::UnetResnet18, Optimizer::Sgd, BatchNorm::Batch);
    let (losses, alone) = learn(&setup, 4, 1e-3, Gang::alone(), true);
    let all = ranks(2, |gang| learn(&setup, 4, 1e-3, gang, true));
    let of_parts = Setup { batch_norm: BatchNorm::Local, ..setup };
    let parts = ranks(2, |gang| learn(&of_parts, 4, 1e-3, gang, true));
    assert!(all.iter().all(|rank| *rank == all[0]), "the same bits on all ranks");
    let off = |of: &[Loss]| {
        let off = losses.iter().zip(of).map(|(one, other)| (one.sum / other.sum - 1.0).abs());
        off.fold(0.0, f64::max)
    };
    let (found, without) = (apart(&alone, &all[0].1), apart(&alone, &parts[0].1));
    let (loss, loss_of_parts) = (off(&all[0].0), off(&parts[0].0));
    println!("losses {loss:e} off, weights {found:e}; by parts {loss_of_parts:e} and {without:e}");
    assert!(loss < 1e-3 && loss_of_parts > 10.0 * loss);
    assert!(without > 100.0 * found);
}

#[test]
fn statistics_are_the_mean_of_what_ranks_have_met() {
    let setup = setup(Architecture::UnetResnet18, Optimizer::Sgd, BatchNorm::Local);
    let found = ranks(2, |gang| {
        let rank = gang.rank() as usize;
        let mut learner = Learner::new(setup.clone(), Start::Drawn, gang).unwrap();
        learner.step(&batch(0, 2 * rank..2 * rank + 2), 1e-3, 0).unwrap();
        let own = weights(&learner, "running");
        learner.agree_on_statistics().unwrap();
        (own, weights(&learner, "running"), learner.overlap().unwrap())
    });
    let [(one, agreed, overlap), (other, agreed_too, _)] = &found[..] else { panic!("two ranks") };
    assert_eq!(agreed, agreed_too);
    assert!(apart(one, other) > 1e-4, "they have met other images");
    let mean: Vec<f32> = one.iter().zip(other).map(|(one, other)| (one + other) / 2.0).collect();
    assert!(apart(&mean, agreed) < 1e-5);
    assert!(overlap.summing_s > 0.0 && overlap.exposed_s <= overlap.summing_s, "{overlap:?}");
}

/// Each begins with weights of its own.
#[test]
fn all_follow_the_first() {
    let found = ranks(3, |gang| {
        let rank = gang.rank();
        let setup = Setup {
            seed: rank.into(),
            ..setup(Architecture::UnetResnet18, Optimizer::Adam, BatchNorm::Batch)
        };
        let mut learner = Learner::new(setup, Start::Drawn, gang).unwrap();
        // Alike, so that nobody waits; what the first one has is what counts.
        for step in 0..2 {
            learner.step(&batch(step, 0..2), 1e-3, step).unwrap();
        }
        learner.follow_first().unwrap();
        let mut bytes = Vec::new();
        for name in learner.state().keys() {
            learner.write(name, &mut bytes).unwrap();
        }
        (bytes, learner.counts())
    });
    assert!(found.iter().all(|rank| *rank == found[0]));
    assert_eq!(found[0].1.updates, 2);
}

#[test]
fn one_that_is_gone_is_told_to_all_others() {
    assert_told(MEMORY);
    assert_told(SOCKETS);
}

fn assert_told(address: Option<IpAddr>) {
    let found = ranks_by(address, 2, |gang| {
        let leaves = gang.rank() == 1;
        let mut learner = Learner::new(
            setup(Architecture::UnetResnet18, Optimizer::Sgd, BatchNorm::Batch),
            Start::Drawn,
            gang,
        )
        .unwrap();
        learner.step(&batch(0, 0..2), 1e-3, 0).unwrap();
        if leaves {
            return None;
        }
        learner.step(&batch(1, 0..2), 1e-3, 1).err()
    });
    let error = found[0].as_ref().expect("the other is told");
    assert_eq!(error.kind, ErrorKind::Gang, "{error}");
}

#[test]
fn what_can_not_be_a_gang_is_told() {
    let short = Patience(Duration::from_millis(300));
    let store = Store::serve(0, Reach::Here, short).unwrap();
    let carrier = Carrier::default();
    let error = Gang::meet(store, (2, 2), MEMORY, "", short, &carrier).err().unwrap();
    assert!(error.to_string().contains("rank 2 of 2: ranks count from 0"), "{error}");
    let store = Store::serve(0, Reach::Here, short).unwrap();
    let alone = Gang::meet(store, (0, 2), MEMORY, "", short, &carrier).err().unwrap();
    assert_eq!(alone.kind, ErrorKind::Gang);
    assert!(alone.to_string().contains("rank 0 of 2 has not met the others"), "{alone}");
    let nobody = Store::find("127.0.0.1", 1, short).err().unwrap();
    assert!(nobody.to_string().contains("finding the gang's store at 127.0.0.1:1"), "{nobody}");
}

/// Ranks of another kind would wait for each other's sums for ever.
#[test]
fn a_rank_of_another_kind_than_the_first_is_told_before_they_meet() {
    let first = Store::serve(0, Reach::Here, PATIENCE).unwrap();
    let find = || Store::find("127.0.0.1", first.port, PATIENCE).unwrap();
    let (other, same) = (find(), find());
    let carrier = Carrier::default();
    let meet = |store, rank, carrier: &Carrier| Gang::meet(store, (rank, 2), MEMORY, "", PATIENCE, carrier);
    thread::scope(|scope| {
        let first = scope.spawn(|| meet(first, 0, &carrier));
        let on_card = Carrier { place: Place::Card(0), nccl: None };
        let error = meet(other, 1, &on_card).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Config);
        let text = "rank 1 computes on a card, and sums by Gloo; the first one on the processor, and sums by Gloo: all \
                    ranks take the same --device and --sums-by";
        assert_eq!(error.to_string(), text);
        let second = meet(same, 1, &carrier).unwrap();
        let first = first.join().unwrap().unwrap();
        assert_eq!((first.rank(), second.rank()), (0, 1));
    });
}

/// What learns there, from weights of the same seed.
fn on(place: Place) -> Setup {
    Setup { place, ..setup(Architecture::UnetResnet18, Optimizer::Sgd, BatchNorm::Batch) }
}

#[test]
#[ignore = "needs a card"]
fn on_a_card_losses_are_nearly_those_of_a_processor() {
    Place::Card(0).home().unwrap();
    let (processor, _) = learn(&on(Place::Processor), 4, 1e-3, Gang::alone(), true);
    let (card, _) = learn(&on(Place::Card(0)), 4, 1e-3, Gang::alone(), true);
    for (one, other) in processor.iter().zip(&card) {
        assert!((one.sum - other.sum).abs() < 1e-2 * one.sum, "{one:?} {other:?}");
    }
}

/// One each, which are threads here.
#[test]
#[ignore = "needs two cards and the NCCL plugin"]
fn on_two_cards_ranks_learn_what_one_learns() {
    for sums_by in [SumsBy::Nccl, SumsBy::Gloo] {
        let carrier = |rank| Carrier::choose(Some(sums_by), Place::Card(rank), 2).unwrap();
        let all = ranks_with(carrier, MEMORY, 2, |gang| {
            let setup = on(Place::Card(gang.rank()));
            learn(&setup, 4, 1e-3, gang, true)
        });
        assert!(all[0] == all[1], "{sums_by:?}: the same bits on both");
        let (alone, _) = learn(&on(Place::Card(0)), 4, 1e-3, Gang::alone(), true);
        for (one, other) in alone.iter().zip(&all[0].0) {
            assert!((one.sum - other.sum).abs() < 1e-3 * one.sum, "{sums_by:?}: {one:?} {other:?}");
        }
    }
}
