//! Trainings that can't go on, and what is told of them.

use std::{cell::Cell, collections::HashMap, process::Command};

use swath_proto::train::{Checkpoint, TrainSpec};
use swath_train::{
    Kind, Progress, TrainError,
    gang::{Ranks, Shards, TrainFile, supervise},
};
use tokio_util::sync::CancellationToken;

use super::{CHIPS, SGD, gang, rank, send, write};
use crate::{Bench, squares};

/// Starts two ranks, and counts processes.
fn broken(bench: &Bench, file: &TrainFile, command: &dyn Fn() -> Command) -> (TrainError, u32) {
    write(bench, file);
    let started = Cell::new(0);
    let count = || {
        started.set(started.get() + 1);
        command()
    };
    let ended = supervise(&Ranks { command: &count, n: 2 }, &mut |_| {}, &CancellationToken::new());
    (ended.unwrap_err(), started.get())
}

#[test]
fn what_would_fail_again_is_told_and_not_tried_again() {
    let (bench, spec) = (Bench::new(), squares::spec(SGD));
    let job = bench.job(spec.clone(), CHIPS);
    let shards = Shards { train: vec!["shard-0.tar".into(), "shard-1.tar".into()], validation: Vec::new() };
    let file = TrainFile { output: job.output, shards, init: None, coming: None, train: spec };
    let of = |file: &TrainFile| {
        let (error, started) = broken(&bench, file, &|| rank(&bench));
        assert_eq!(started, 2, "it is not tried again: {error}");
        (error.kind, error.to_string())
    };
    let large = TrainFile { train: TrainSpec { batch: 1, ..file.train.clone() }, ..file.clone() };
    let text = "1 chips a step for 2 ranks: 1 at most, since this network takes 1 for each";
    assert_eq!(of(&large), (Kind::Config, text.into()));
    // A chip that one of them alone meets.
    let tar = bench.folder.path().join("shard-1.tar");
    let mut bytes = std::fs::read(&tar).unwrap();
    bytes[600] ^= 0xff;
    std::fs::write(&tar, bytes).unwrap();
    let (kind, text) = of(&file);
    assert_eq!(kind, Kind::Data);
    assert!(text.contains("shard-1.tar: chip squares/x224_y0_32x32: the image can't be read"), "{text}");
}

#[test]
fn the_rank_whose_chip_is_no_number_says_which() {
    for seed in [3, 4] {
        let (bench, spec) = (Bench::new(), TrainSpec { seed, ..squares::spec(SGD) });
        let job = bench.job(spec.clone(), CHIPS);
        let folder = swath_backends::blobs::folder::Folder::open(bench.folder.path()).unwrap();
        let chips = [squares::chip(20, 32), crate::bad_chips::not_a_number(21, 32, 2)];
        squares::shard(&folder, &bench.runtime, "broken.tar", &chips);
        let shards =
            Shards { train: vec!["shard-0.tar".into(), "broken.tar".into()], validation: Vec::new() };
        let file = TrainFile { output: job.output, shards, init: None, coming: None, train: spec };
        let (error, started) = broken(&bench, &file, &|| rank(&bench));
        let text = error.to_string();
        assert_eq!((error.kind, started), (Kind::Data, 2), "{text}");
        let fault =
            "; broken.tar: chip squares/x672_y0_32x32: 1 of the 1024 pixels of band 3 are no numbers (NaN); ";
        assert!(text.starts_with("epoch 1, step ") && text.contains(fault), "{text}");
        // It tells of what the first rank has written, and not before that is there.
        let last = text.split_once("; the last checkpoint, training/").map(|(_, last)| last);
        match last.and_then(|last| last.strip_suffix(", stays as it is")) {
            Some(last) => assert_eq!(bench.checkpoints().pop().as_deref(), Some(last)),
            None => assert!(text.ends_with("; there is no checkpoint yet"), "{text}"),
        }
    }
}

#[test]
fn ranks_that_are_not_of_one_training_are_told() {
    let (bench, spec) = (Bench::new(), squares::spec(SGD));
    let job = bench.job(spec.clone(), CHIPS);
    let shards = Shards { train: vec!["shard-0.tar".into()], validation: Vec::new() };
    let file = TrainFile { output: job.output, shards, init: None, coming: None, train: spec };
    for other in [
        TrainSpec { classes: 3, ..file.train.clone() },
        TrainSpec { checkpoint: Checkpoint::default(), ..file.train.clone() },
    ] {
        // The second one is started once the first has read its file.
        let second = Cell::new(false);
        let command = || {
            if second.replace(true) {
                write(&bench, &TrainFile { train: other.clone(), ..file.clone() });
            }
            rank(&bench)
        };
        let (error, _) = broken(&bench, &file, &command);
        assert_eq!(error.kind, Kind::Config);
        assert!(
            error.to_string().starts_with("this rank has other options or chips than the first"),
            "{error}"
        );
    }
}

/// The same steps again and again are no way forward.
#[test]
fn ranks_that_come_no_further_are_given_up() {
    let (bench, spec) = (Bench::new(), squares::spec(&SGD.replace("steps = 1", "steps = 1000")));
    let mut watch = |now: Progress, ranks: &HashMap<u32, i32>| {
        if now.step == 2 {
            ranks.get(&1).into_iter().for_each(|pid| send(*pid, libc::SIGKILL));
        }
    };
    let error = gang(&bench, &spec, CHIPS, 2, &mut watch, &CancellationToken::new()).unwrap_err();
    let text = "3 times in a row the ranks came no further; the last time rank 1 was killed (by hand, or since there \
                was no memory left)";
    assert_eq!(error.to_string(), text);
    let nobody = || Command::new("/bin/true");
    let error = supervise(&Ranks { command: &nobody, n: 2 }, &mut |_| {}, &CancellationToken::new());
    let text = "3 times in a row the ranks came no further; the last time rank 0 has left with code 0";
    assert_eq!(error.unwrap_err().to_string(), text);
}
