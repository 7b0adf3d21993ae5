//! What is written down on the way: when, how much of it stays, and what becomes of it when it is torn, or when there is
//! no room for it.

mod doors;
mod warnings;

use std::sync::Arc;

use swath_model::Gang;
use swath_proto::train::TrainSpec;
use swath_train::{Job, Kind, Outcome, Store, train};
use tokio_util::sync::CancellationToken;

use self::{
    doors::{BEST, CHECKPOINTS, Late, NoRoom},
    warnings::warnings_of,
};
use crate::{Bench, TINY, assert_same, error, run, squares};

/// Nine steps, three an epoch.
const CHIPS: (u64, u64, u32) = (12, 4, 32);

fn spec(checkpoint: &str) -> TrainSpec {
    squares::spec(&format!("{TINY}\ncheckpoint = {{ {checkpoint} }}"))
}

fn whole() -> Bench {
    let whole = Bench::new();
    run(&whole.job(squares::spec(TINY), CHIPS));
    whole
}

/// Ends after so many steps.
fn stop_after(job: &Job, steps: usize) {
    let (stop, mut done) = (CancellationToken::new(), 0);
    let mut count = |now: swath_train::Progress| {
        done += usize::from(!now.validates);
        if done == steps {
            stop.cancel();
        }
    };
    let outcome = train(job, Gang::alone(), &mut count, &stop).unwrap();
    assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
}

fn name(epoch: u32, step: u64) -> String {
    format!("checkpoints/{epoch:06}-{step:09}.safetensors")
}

fn best(epoch: u32) -> String {
    format!("best-{epoch:06}.safetensors")
}

/// What there is of those.
fn bests(bench: &Bench) -> Vec<String> {
    let files = std::fs::read_dir(bench.folder.path().join("training")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut bests: Vec<String> = names.filter(|name| name.starts_with("best")).collect();
    bests.sort();
    bests
}

fn through(door: NoRoom, bench: &Bench, spec: TrainSpec) -> Job {
    let store = Store::new(Arc::new(door), bench.runtime.handle().clone());
    Job { store, ..bench.job(spec, CHIPS) }
}

/// At a rate at which nothing is learnt: no epoch is better than the first.
fn learns_nothing(checkpoint: &str) -> TrainSpec {
    TrainSpec { lr: 1e-12, ..spec(checkpoint) }
}

#[test]
fn as_many_stay_as_were_asked_for() {
    for (keep, wanted) in [
        ("keep = 1", vec![name(3, 0)]),
        ("keep = 2", vec![name(2, 0), name(3, 0)]),
        ("steps = 1, keep = 3", vec![name(2, 1), name(2, 2), name(3, 0)]),
        ("epochs = 2, keep = 9", vec![name(2, 0), name(3, 0)]),
    ] {
        let bench = Bench::new();
        run(&bench.job(spec(keep), CHIPS));
        assert_eq!(bench.checkpoints(), wanted, "{keep}");
    }
}

/// As one that was killed after a checkpoint was there and before the oldest was gone.
#[test]
fn what_was_left_lying_goes_with_the_next_one() {
    let bench = Bench::new();
    stop_after(&bench.job(spec("steps = 1, keep = 9"), CHIPS), 5);
    assert_eq!(bench.checkpoints().len(), 5);
    bench.write("checkpoints/notes.txt", b"not ours");
    stop_after(&bench.job(spec("steps = 1"), CHIPS), 1);
    assert_eq!(bench.checkpoints(), [name(1, 2), name(1, 3), "checkpoints/notes.txt".into()]);
}

#[test]
fn a_torn_checkpoint_is_stepped_over_and_told() {
    let whole = whole();
    for torn in 1..=2 {
        let bench = Bench::new();
        let job = bench.job(spec("steps = 1, keep = 3"), CHIPS);
        stop_after(&job, 5);
        let names = bench.checkpoints();
        assert_eq!(names, [name(1, 0), name(1, 1), name(1, 2)]);
        for name in &names[3 - torn..] {
            let bytes = bench.read(name);
            bench.write(name, &bytes[..bytes.len() / 2]);
        }
        let told = warnings_of(|| drop(run(&job)));
        assert_eq!(told.len(), torn, "{told:?}");
        for (text, name) in told.iter().zip(names.iter().rev()) {
            let used = &names[2 - torn];
            assert!(text.starts_with(&format!("training/{name} is damaged: ")), "{text}");
            assert!(text.contains(&format!("; the training goes on from training/{used}, ")), "{text}");
        }
        assert_same(&bench.last(), &whole.last());
        assert_same(&bench.read("weights.safetensors"), &whole.read("weights.safetensors"));
    }
}

/// A newer one that is of no use must not outlive those that are.
#[test]
fn a_torn_checkpoint_goes_once_another_is_there() {
    let bench = Bench::new();
    stop_after(&bench.job(spec("steps = 1, keep = 1"), CHIPS), 5);
    let newer = name(2, 2);
    bench.write(&newer, b"torn");
    stop_after(&bench.job(spec("steps = 1, keep = 1"), CHIPS), 1);
    assert_eq!(bench.checkpoints(), [name(1, 3)]);
}

#[test]
fn where_none_is_whole_the_training_does_not_begin_again_in_silence() {
    let bench = Bench::new();
    let job = bench.job(spec("keep = 1"), CHIPS);
    run(&job);
    bench.remove("finished.json");
    let good = bench.last();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (bytes, what) in [
        (&flipped[..], "does not hash to what it says"),
        (&good[..good.len() / 2], "damaged"),
        (&b""[..], "the file is empty"),
        (&bench.read("weights.safetensors")[..], "it has no 'position'"),
    ] {
        bench.write(&name(3, 0), bytes);
        let (kind, text) = error(&job);
        assert_eq!(kind, Kind::Data);
        assert!(text.starts_with("training/checkpoints/000003-000000000.safetensors is damaged: "), "{text}");
        assert!(text.contains(what), "{text}");
        assert!(text.ends_with("; delete training/checkpoints/ to begin from the start"), "{text}");
    }
    bench.write(&name(2, 0), b"");
    assert!(error(&job).1.contains(", as are all before it; delete"), "{}", error(&job).1);
    bench.remove(&name(2, 0));
    bench.write(&name(3, 0), &good);
    let (kind, text) = error(&bench.job(squares::spec(&TINY.replace("0.01", "0.02")), CHIPS));
    assert_eq!(kind, Kind::Config);
    assert!(text.contains("is of another training"), "{text}");
    // How often it is written down is no part of it.
    run(&bench.job(spec("steps = 7, minutes = 3, keep = 5"), CHIPS));
}

#[test]
fn a_training_that_is_over_is_told_at_once() {
    let bench = Bench::new();
    let (job, stop) = (bench.job(squares::spec(TINY), CHIPS), CancellationToken::new());
    let finished = run(&job);
    let again = || {
        let mut steps = 0;
        let outcome = train(&job, Gang::alone(), &mut |_| steps += 1, &stop).unwrap();
        assert_eq!(steps, 0);
        outcome
    };
    assert_eq!(again(), Outcome::AlreadyFinished(finished.clone()));
    // Weights that are gone, or others by now, are made again from what is written down.
    let weights = bench.read("weights.safetensors");
    bench.write("weights.safetensors", b"others");
    assert_eq!(again(), Outcome::Finished(finished));
    assert_eq!(bench.read("weights.safetensors"), weights);
    // Another training in its place is no end of this one.
    let (_, text) = error(&bench.job(squares::spec(&TINY.replace("0.01", "0.02")), CHIPS));
    assert!(text.contains("is of another training"), "{text}");
    bench.write("finished.json", b"{");
    assert!(error(&job).1.starts_with("training/finished.json is damaged: "), "{}", error(&job).1);
}

/// The put of a checkpoint ends only after further steps: were they to wait for it, there would be none.
#[test]
fn steps_go_on_while_a_checkpoint_is_on_its_way_and_do_not_change_it() {
    let (bench, before) = (Bench::new(), Bench::new());
    stop_after(&before.job(squares::spec(TINY), CHIPS), 2);
    let mut job = bench.job(spec("steps = 2, keep = 9"), CHIPS);
    let late = Arc::new(Late::new(bench.folder.path(), 3));
    job.store = Store::new(late.clone(), bench.runtime.handle().clone());
    let mut step = |now: swath_train::Progress| {
        if !now.validates {
            late.step();
        }
    };
    let outcome = train(&job, Gang::alone(), &mut step, &CancellationToken::new()).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    assert_eq!(bench.checkpoints()[0], name(0, 2));
    assert!(bench.read(&name(0, 2)) == before.read(&name(0, 2)), "later steps are in it");
}

#[test]
fn a_disk_without_room_ends_the_training_and_the_checkpoint_before_stays() {
    let (bench, whole) = (Bench::new(), whole());
    for (kind, wanted) in
        [(swath_backends::Kind::Full, Kind::Capacity), (swath_backends::Kind::Transient, Kind::Transient)]
    {
        let mut job = bench.job(spec("steps = 1"), CHIPS);
        let blobs = NoRoom::after(bench.folder.path(), 2, kind);
        job.store = Store::new(Arc::new(blobs), bench.runtime.handle().clone());
        let before = bench.folder.path().join("training").exists().then(|| bench.checkpoints());
        let (kind, text) = error(&job);
        assert_eq!(kind, wanted, "{text}");
        assert!(text.contains("the checkpoint training/checkpoints/"), "{text}");
        assert!(text.contains("No space left on device"), "{text}");
        let after = bench.checkpoints();
        assert!(after.len() == 2 && Some(&after) != before.as_ref(), "{after:?}");
    }
    // With room again it goes on.
    run(&bench.job(spec("steps = 1"), CHIPS));
    assert_same(&bench.last(), &whole.last());
    assert_same(&bench.read("weights.safetensors"), &whole.read("weights.safetensors"));
}

/// Nothing comes after it at which its failure could be told: the end waits for it.
#[test]
fn the_last_checkpoint_fails_before_the_training_says_that_it_is_over() {
    let bench = Bench::new();
    let mut job = bench.job(squares::spec(TINY), CHIPS);
    let blobs = NoRoom::after(bench.folder.path(), 2, swath_backends::Kind::Full);
    job.store = Store::new(Arc::new(blobs), bench.runtime.handle().clone());
    let (kind, text) = error(&job);
    assert_eq!(kind, Kind::Capacity, "{text}");
    assert_eq!(bench.checkpoints(), [name(1, 0), name(2, 0)]);
    assert!(!bench.folder.path().join("training/weights.safetensors").exists());
}

/// Whatever troubles the store may be why the worker is told to stop.
#[test]
fn a_training_that_is_stopped_after_a_put_has_failed_writes_where_it_stands() {
    // The second step's, which it is stopped after; the third's, after which there is another one.
    for (failing, steps, wanted) in [(1, 2, [name(0, 1), name(0, 2)]), (2, 4, [name(0, 2), name(1, 1)])] {
        let bench = Bench::new();
        let door = NoRoom::at(CHECKPOINTS, bench.folder.path(), failing);
        let job = through(door, &bench, spec("steps = 1"));
        let told = warnings_of(|| stop_after(&job, steps));
        // What was not written has pushed out nothing.
        assert_eq!(bench.checkpoints(), wanted);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("the checkpoint training/checkpoints/"), "{told:?}");
        assert!(told[0].ends_with("; a later one is written in its place"), "{told:?}");
    }
}

/// All checkpoints after it name that epoch.
#[test]
fn a_best_epoch_that_was_not_taken_is_written_before_the_next_checkpoint() {
    for checkpoint in ["steps = 1", "epochs = 3"] {
        let bench = Bench::new();
        let door = NoRoom::at(BEST, bench.folder.path(), 0);
        let job = through(door, &bench, learns_nothing(checkpoint));
        let told = warnings_of(|| assert_eq!(run(&job).epoch, 1));
        assert_eq!(bests(&bench), [best(1)]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("the checkpoint training/best-000001.safetensors: "), "{told:?}");
    }
}

#[test]
fn a_best_epoch_that_a_dead_attempt_has_left_is_not_taken() {
    let (whole, bench) = (Bench::new(), Bench::new());
    run(&whole.job(learns_nothing("keep = 3"), CHIPS));
    assert_eq!(bests(&whole), [best(1)]);
    let second = whole.read(&name(2, 0));
    let job = bench.job(learns_nothing("keep = 3"), CHIPS);
    stop_after(&job, 4);
    // That one thought its second epoch better, and died before the checkpoint that names it.
    bench.write(&best(2), &second);
    assert_eq!(run(&job).epoch, 1);
    assert_eq!(bests(&bench), [best(1)]);
    assert_same(&bench.read("weights.safetensors"), &whole.read("weights.safetensors"));
    // Nor is it under another's name.
    bench.remove("finished.json");
    bench.write(&best(1), &second);
    let text = "training/best-000001.safetensors is damaged: the weights in it are of epoch 2";
    assert_eq!(error(&job), (Kind::Data, text.into()));
}

#[test]
fn best_epochs_stay_until_a_checkpoint_names_a_better_one() {
    // Known by heart in the end, so that the first epoch is not the best.
    let spec = squares::spec(
        "architecture = \"tiny\"\nepochs = 150\nbatch = 4\nlr = 0.05\nsubset = { overfit = 4 }\n\
         schedule = \"constant\"\ncheckpoint = { epochs = 1000 }",
    );
    let whole = Bench::new();
    let finished = run(&whole.job(spec.clone(), CHIPS));
    assert_eq!(bests(&whole), [best(finished.epoch)]);
    let bench = Bench::new();
    let door = NoRoom::after(bench.folder.path(), 0, swath_backends::Kind::Full);
    assert_eq!(error(&through(door, &bench, spec.clone())).0, Kind::Capacity);
    let left = bests(&bench);
    assert!(left.len() > 1 && left.last() == Some(&best(finished.epoch)), "{left:?}");
    // From the start, since there is no checkpoint.
    assert_eq!(run(&bench.job(spec, CHIPS)).epoch, finished.epoch);
    assert_eq!(bests(&bench), [best(finished.epoch)]);
}
