//! Trainings as a worker runs them: through the store, to weights that a predictor loads.

#![expect(clippy::unwrap_used, reason = "what shows a failure in a test is a panic")]

mod bad_chips;
mod checkpoints;
mod gang;
mod squares;
mod step;

use std::path::Path;

use swath_backends::blobs::folder::Folder;
use swath_geo::confusion::Confusion;
use swath_model::Gang;
use swath_proto::{
    ids::Digest,
    item::{Architecture, DeviceName, EngineName, ModelRef, Precision, Weights, WindowShape},
    train::{Coming, Keep, TrainSpec},
};
use swath_shard::Chip;
use swath_train::{Finished, Job, Kind, Outcome, Progress, steps_so_far, train};
use swath_weights::TensorFile;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

const TINY: &str = "architecture = \"tiny\"\nepochs = 3\nbatch = 4\nlr = 0.01\nseed = 3";

struct Bench {
    folder: TempDir,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        swath_model::init_process();
        // As `swath train` has it.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), runtime }
    }

    fn job(&self, spec: TrainSpec, chips: (u64, u64, u32)) -> Job {
        squares::job(self.folder.path(), &self.runtime, spec, chips)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join("training").join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join("training").join(name), bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join("training").join(name)).unwrap();
    }

    /// Names of checkpoints, the newest last.
    fn checkpoints(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path().join("training/checkpoints")).unwrap();
        let name =
            |file: std::io::Result<std::fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = files.map(|file| format!("checkpoints/{}", name(file))).collect();
        names.sort();
        names
    }

    fn last(&self) -> Vec<u8> {
        self.read(self.checkpoints().last().unwrap())
    }
}

fn run(job: &Job) -> Finished {
    match train(job, Gang::alone(), &mut |_| {}, &CancellationToken::new()).unwrap() {
        Outcome::Finished(finished) | Outcome::AlreadyFinished(finished) => finished,
        stopped => panic!("{stopped:?}"),
    }
}

fn error(job: &Job) -> (Kind, String) {
    let error = train(job, Gang::alone(), &mut |_| {}, &CancellationToken::new()).unwrap_err();
    (error.kind, error.to_string())
}

fn column(csv: &[u8], name: &str) -> Vec<f64> {
    let text = String::from_utf8(csv.to_vec()).unwrap();
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    lines.map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
}

/// All but when it was.
fn without_times(csv: &[u8]) -> Vec<String> {
    let text = String::from_utf8(csv.to_vec()).unwrap();
    let line = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells.remove(1);
        cells.join(",")
    };
    text.lines().map(line).collect()
}

fn assert_same(one: &[u8], other: &[u8]) {
    let [one, other] = [one, other].map(|bytes| TensorFile::from_bytes("last", bytes.to_vec()).unwrap());
    assert!(one.names().eq(other.names()));
    for name in one.names() {
        for (a, b) in one.f32(name).unwrap().iter().zip(other.f32(name).unwrap()) {
            assert!((a - b).abs() <= 1e-6, "{name}: {a} and {b}");
        }
    }
}

#[test]
fn a_unet_learns_bright_squares_and_a_predictor_loads_what_it_learnt() {
    let bench = Bench::new();
    let spec = squares::spec(
        "architecture = \"unet-resnet18\"\nepochs = 8\nbatch = 4\nlr = 0.005\nseed = 1\nschedule = \"constant\"",
    );
    let job = bench.job(spec, (32, 8, 64));
    let mut told: Vec<Progress> = Vec::new();
    let outcome =
        train(&job, Gang::alone(), &mut |progress| told.push(progress), &CancellationToken::new()).unwrap();
    let Outcome::Finished(finished) = outcome else { panic!("{outcome:?}") };
    let log = bench.read("log.csv");
    println!("{}", String::from_utf8_lossy(&log));
    let losses = column(&log, "train_loss");
    assert!(losses[7] < 0.1 * losses[0], "{losses:?}");
    let best = column(&log, "iou_1").into_iter().fold(0.0, f64::max);
    assert!(best > 0.9, "{best}");
    assert_eq!(told.iter().filter(|progress| !progress.validates).count(), 64);
    assert_eq!(told.iter().filter(|progress| progress.validates).count(), 16);
    let last = told.last().unwrap();
    assert!((last.epoch, last.step, last.steps) == (8, 2, 2) && last.samples_per_s > 0.0, "{last:?}");
    assert_eq!((last.eta_s, last.samples), (Some(0.0), 32));
    assert!(told[0].mean_iou.is_none() && told[0].eta_s > last.eta_s, "{:?}", told[0]);
    let logged = column(&log, "iou");
    for progress in &told {
        let before = progress.epoch.checked_sub(2).map(|epoch| logged[epoch as usize]);
        assert!(progress.mean_iou.zip(before).is_none_or(|(told, logged)| (told - logged).abs() < 1e-12));
        assert_eq!(progress.mean_iou.is_some(), before.is_some(), "{progress:?}");
    }
    assert!(bench.read("events.out.tfevents.swath").len() > 1000);

    let weights = bench.read("weights.safetensors");
    assert_eq!(Digest::of(&weights), finished.sha256);
    let table = predicted(&bench.folder.path().join(&finished.weights), finished.sha256, 32..40);
    let logged = column(&log, "iou_1")[finished.epoch as usize - 1];
    let found = table.measures(1).iou.unwrap();
    assert!((found - logged).abs() < 1e-3, "predicted {found}, logged {logged}");
}

/// What these weights say of some chips.
fn predicted(path: &Path, sha256: Digest, chips: std::ops::Range<u64>) -> Confusion {
    let model = ModelRef {
        architecture: Architecture::UnetResnet18,
        weights: Weights::File { sha256, extension: "safetensors".into() },
        bands: 3,
        classes: 2,
        seen_px: None,
        engine: EngineName::Libtorch,
        precision: Precision::Fp32,
        device: DeviceName::Cpu,
        others: Vec::new(),
    };
    let shape = WindowShape { core_px: 64, margin_px: 0 };
    let mut predictor = swath_model::load(
        &model,
        &[swath_model::Files { weights: Some(path.to_owned()), ranges: None }],
        shape,
        1,
        1,
    )
    .unwrap();
    let mut table = Confusion::new(2).unwrap();
    for Chip { image, labels, .. } in chips.map(|number| squares::chip(number, 64)) {
        let input: Vec<f32> = image.bytes().iter().map(|&byte| f32::from(byte) * (1.0 / 255.0)).collect();
        let logits = predictor.forward(&input, 1).unwrap();
        let classes: Vec<u8> = logits.chunks_exact(2).map(|pixel| u8::from(pixel[1] > pixel[0])).collect();
        table.add(&labels, &classes).unwrap();
    }
    table
}

/// Stops after `step` steps, as often as it is told, then goes on to the end.
fn interrupted(bench: &Bench, spec: &TrainSpec, chips: (u64, u64, u32), every: usize) -> usize {
    for stops in 0.. {
        let job = bench.job(spec.clone(), chips);
        let (stop, mut left) = (CancellationToken::new(), every);
        let mut count = |_| {
            left -= 1;
            if left == 0 {
                stop.cancel();
            }
            left = left.max(1);
        };
        if let Outcome::Finished(_) = train(&job, Gang::alone(), &mut count, &stop).unwrap() {
            return stops;
        }
    }
    unreachable!()
}

#[test]
fn a_training_that_is_stopped_at_every_step_ends_as_one_that_is_not() {
    // The last step of an epoch is filled up.
    let chips = (14, 4, 32);
    let whole = Bench::new();
    run(&whole.job(squares::spec(TINY), chips));
    for every in [1, 2, 3, 5] {
        let bench = Bench::new();
        let stops = interrupted(&bench, &squares::spec(TINY), chips, every);
        assert!(stops >= 2, "{stops}");
        assert_same(&bench.last(), &whole.last());
        assert_same(&bench.read("weights.safetensors"), &whole.read("weights.safetensors"));
        assert_eq!(without_times(&bench.read("log.csv")), without_times(&whole.read("log.csv")));
    }
}

/// Twenty-one shards of three chips, from every second item of a plan. Of these so many are there at first, and more each
/// time that the training has come to the end of them.
fn while_chips_come(there: &[usize]) -> Bench {
    let (bench, spec) = (Bench::new(), squares::spec(&format!("{TINY}\nstart = \"with-chips\"")));
    let folder = Folder::open(bench.folder.path()).unwrap();
    let shard = |number: u64| {
        let chips: Vec<Chip> = (3 * number..3 * number + 3).map(|chip| squares::chip(chip, 32)).collect();
        squares::shard(&folder, &bench.runtime, &format!("part-{number:02}.tar"), &chips)
    };
    let shards: Vec<_> = (0..21).map(shard).collect();
    for &n in there {
        let (some, is_all) = (&shards[..n], n == shards.len());
        let places = (0..n as u32).map(|number| 2 * number).collect();
        let coming = Coming { plan: Digest::of(b"plan"), planned: 41, places, is_all };
        let steps = steps_so_far(&coming, &spec, some);
        let job = bench.job(spec.clone(), (2, 4, 32));
        let validation = if is_all { job.validation.clone() } else { Vec::new() };
        let job = Job { train: some.to_vec(), validation, coming: Some(coming), ..job };
        match train(&job, Gang::alone(), &mut |_| {}, &CancellationToken::new()).unwrap() {
            Outcome::Finished(_) => assert!(is_all),
            Outcome::Stopped { epoch, step } => assert_eq!((is_all, epoch, step), (false, 1, steps)),
            other => panic!("{other:?}"),
        }
    }
    bench
}

#[test]
fn a_training_that_begins_with_its_first_chips_ends_as_one_that_has_all_of_them() {
    let whole = while_chips_come(&[21]);
    for there in [&[8, 21][..], &[8, 9, 16, 20, 21]] {
        let parts = while_chips_come(there);
        assert_same(&parts.last(), &whole.last());
        assert_same(&parts.read("weights.safetensors"), &whole.read("weights.safetensors"));
        assert_eq!(without_times(&parts.read("log.csv")), without_times(&whole.read("log.csv")));
    }
}

#[test]
fn a_training_that_becomes_no_better_ends_and_keeps_its_best() {
    // A rate at which nothing is learnt: no epoch is better than the first.
    let spec = squares::spec(&format!("{}\nepochs = 9\npatience = 2", TINY.replace("epochs = 3\n", "")));
    let spec = TrainSpec { lr: 1e-12, ..spec };
    let bench = Bench::new();
    let finished = run(&bench.job(spec.clone(), (12, 4, 32)));
    assert_eq!(finished.epoch, 1);
    assert_eq!(column(&bench.read("log.csv"), "epoch"), [1.0, 2.0, 3.0]);
    // Done again, it is over at once.
    assert_eq!(run(&bench.job(spec.clone(), (12, 4, 32))), finished);
    let last = TrainSpec { keep: Keep::Last, ..spec.clone() };
    assert_eq!(run(&Bench::new().job(last, (12, 4, 32))).epoch, 3, "the last that there was");
    let (kind, text) = error(&Bench::new().job(spec, (12, 0, 32)));
    assert_eq!(kind, Kind::Config);
    assert!(text.starts_with("patience: there are no chips to validate on"), "{text}");
}

#[test]
fn a_unet_goes_on_with_its_batch_norms_and_moments() {
    let spec = squares::spec(
        "architecture = \"unet-resnet18\"\nepochs = 2\nbatch = 4\nlr = 0.001\noptimizer = \"adamw\"",
    );
    let (whole, cut) = (Bench::new(), Bench::new());
    run(&whole.job(spec.clone(), (8, 2, 32)));
    assert!(interrupted(&cut, &spec, (8, 2, 32), 3) >= 1);
    assert_same(&cut.last(), &whole.last());
}

/// Where a child of this test trains, slowly, until it is killed.
const CHILD: &str = "SWATH_TRAINING_CHILD";

#[test]
fn a_training_that_is_killed_again_and_again_ends_as_one_that_is_not() {
    let chips = (12, 4, 32);
    let spec = || squares::spec(&format!("{TINY}\ncheckpoint = {{ steps = 1 }}"));
    if let Some(root) = std::env::var_os(CHILD) {
        swath_model::init_process();
        let runtime = Runtime::new().unwrap();
        let job = squares::job(Path::new(&root), &runtime, spec(), chips);
        let mut slow = |_| std::thread::sleep(std::time::Duration::from_millis(15));
        train(&job, Gang::alone(), &mut slow, &CancellationToken::new()).unwrap();
        return;
    }
    let (whole, killed) = (Bench::new(), Bench::new());
    run(&whole.job(spec(), chips));
    let start = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_training_that_is_killed_again_and_again_ends_as_one_that_is_not"])
            .env(CHILD, killed.folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut kills = 0;
    for attempt in 0..200_u64 {
        let mut child = start();
        // Longer each time, so that even a busy machine gets somewhere.
        std::thread::sleep(std::time::Duration::from_millis(60 + 37 * attempt % 111 + 15 * attempt));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    // However far it came: the last one is left alone.
    assert!(start().wait().unwrap().success());
    println!("{kills} kills");
    assert!(kills > 2);
    assert_same(&killed.last(), &whole.last());
    assert_eq!(without_times(&killed.read("log.csv")), without_times(&whole.read("log.csv")));
}
