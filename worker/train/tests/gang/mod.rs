//! Ranks as processes: this very program, started again for each of them.

mod parties;
mod refused;

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use swath_proto::{
    item::{Architecture, ClassStyle, DeviceName, WindowShape},
    source::SourceSpec,
    train::TrainSpec,
};
use swath_train::{
    Outcome, Progress, Store, TrainError,
    gang::{Rank, Ranks, Seat, Shards, TrainFile, leave, read_file, supervise, work},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Bench, squares};

/// The folder of a rank's training; without it, the test that is a rank has nothing to do.
const FOLDER: &str = "SWATH_TEST_GANG";
const FILE: &str = "train.json";

/// Batches that three ranks share unequally. Nothing but the order of sums differs between numbers of ranks.
const SGD: &str = "architecture = \"tiny\"\nepochs = 3\nbatch = 4\nlr = 0.01\nseed = 3\noptimizer = \"sgd\"\n\
                   checkpoint = { steps = 1 }";

#[test]
fn a_rank() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    swath_model::init_process();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = Path::new(&folder);
    let stop = stop_on_sigterm(&runtime);
    let blobs = swath_backends::blobs::folder::Folder::open(folder).unwrap();
    let rank = Rank {
        file: read_file(&folder.join(FILE)).unwrap(),
        seat: Seat::from_environment().unwrap().unwrap(),
        store: Store::new(std::sync::Arc::new(blobs), runtime.handle().clone()),
        threads: 1,
        device: DeviceName::Cpu,
        sums_by: None,
        cache: folder.join("cache"),
    };
    let slow = folder.join(SLOW);
    leave(i32::from(work(rank, Slowly(std::io::stdout(), slow), &stop).is_err()));
}

fn stop_on_sigterm(runtime: &tokio::runtime::Runtime) -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let _entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    runtime.spawn(async move {
        terminate.recv().await;
        told.cancel();
    });
    stop
}

/// A step takes so long that whoever watches can do something before the next.
struct Slowly(std::io::Stdout, PathBuf);

const STEP: Duration = Duration::from_millis(200);
/// While this file is there, it takes longer.
const SLOW: &str = "slow";
const SLOW_STEP: Duration = Duration::from_secs(2);

impl Write for Slowly {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.starts_with(b"{\"progress\"") {
            std::thread::sleep(if self.1.exists() { SLOW_STEP } else { STEP });
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Trains on several ranks; `watch` is told of every step and of the processes of the ranks.
fn gang(
    bench: &Bench,
    spec: &TrainSpec,
    chips: (u64, u64, u32),
    n: u32,
    watch: &mut dyn FnMut(Progress, &HashMap<u32, i32>),
    stop: &CancellationToken,
) -> Result<Outcome, TrainError> {
    write(bench, &file(bench, spec, chips));
    let folder = bench.folder.path();
    let mut progress = |now| watch(now, &processes(folder));
    supervise(&Ranks { command: &|| rank(bench), n }, &mut progress, stop)
}

/// For chips that it makes.
fn file(bench: &Bench, spec: &TrainSpec, chips: (u64, u64, u32)) -> TrainFile {
    let job = bench.job(spec.clone(), chips);
    let keys = |shards: &[swath_train::Shard]| shards.iter().map(|shard| shard.key.clone()).collect();
    let shards = Shards { train: keys(&job.train), validation: keys(&job.validation) };
    TrainFile { output: job.output, shards, init: None, coming: None, train: spec.clone() }
}

fn write(bench: &Bench, file: &TrainFile) {
    std::fs::write(bench.folder.path().join(FILE), serde_json::to_vec(file).unwrap()).unwrap();
}

/// This program, as a rank.
fn rank(bench: &Bench) -> Command {
    rank_in(bench.folder.path())
}

fn rank_in(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "gang::a_rank", "--nocapture"]).env(FOLDER, folder);
    command
}

/// Rank and pid of each process that trains there.
fn processes(folder: &Path) -> HashMap<u32, i32> {
    let wanted = format!("{FOLDER}={}", folder.display());
    let of = |pid: i32| -> Option<(u32, i32)> {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let variables: Vec<&str> =
            environment.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
        variables.contains(&wanted.as_str()).then_some(())?;
        let rank = variables.iter().find_map(|variable| variable.strip_prefix("RANK="))?;
        Some((rank.parse().ok()?, pid))
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| of(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn send(pid: i32, signal: i32) {
    // SAFETY: a process that this test has started.
    unsafe { libc::kill(pid, signal) };
}

fn unwatched(_: Progress, _: &HashMap<u32, i32>) {}

fn finished(outcome: Result<Outcome, TrainError>) {
    assert!(matches!(outcome, Ok(Outcome::Finished(_))), "{outcome:?}");
}

const CHIPS: (u64, u64, u32) = (14, 5, 32);

/// Weights, moments and scores of one process, within what another order of sums makes.
fn assert_near(bench: &Bench, whole: &Bench) {
    let [one, other] =
        [bench, whole].map(|bench| swath_weights::TensorFile::from_bytes("last", bench.last()).unwrap());
    assert!(one.names().eq(other.names()));
    for name in one.names() {
        for (a, b) in one.f32(name).unwrap().iter().zip(other.f32(name).unwrap()) {
            assert!((a - b).abs() <= 1e-5, "{name}: {a} and {b}");
        }
    }
    for column in ["epoch", "lr", "train_loss", "validation_loss", "iou", "iou_1"] {
        let [one, other] = [bench, whole].map(|bench| crate::column(&bench.read("log.csv"), column));
        assert_eq!(one.len(), other.len());
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4), "{column}: {one:?} {other:?}");
    }
}

fn alone(spec: &TrainSpec) -> Bench {
    let whole = Bench::new();
    crate::run(&whole.job(spec.clone(), CHIPS));
    whole
}

#[test]
fn two_and_three_ranks_train_as_one() {
    let spec = squares::spec(SGD);
    let whole = alone(&spec);
    for n in [2, 3] {
        let (bench, mut told) = (Bench::new(), Vec::new());
        let mut watch = |now: Progress, ranks: &HashMap<u32, i32>| told.push((now, ranks.len()));
        finished(gang(&bench, &spec, CHIPS, n, &mut watch, &CancellationToken::new()));
        assert_near(&bench, &whole);
        let steps: Vec<_> = told.iter().filter(|(now, _)| !now.validates).collect();
        assert_eq!(steps.len(), 12, "the first rank alone tells of steps");
        assert!(steps.iter().all(|(now, _)| now.samples == 14 && now.loss.is_some()));
        assert_eq!(told[0].1, n as usize);
    }
}

#[test]
fn whoever_is_killed_the_training_goes_on_as_if_nothing_had_been() {
    let spec = squares::spec(SGD);
    let whole = alone(&spec);
    let bench = Bench::new();
    // After so many steps have been told of: these ranks.
    let mut kills = vec![(2, vec![1]), (4, vec![0]), (6, vec![0, 1, 2])];
    let mut steps = 0;
    let mut watch = |now: Progress, ranks: &HashMap<u32, i32>| {
        steps += u32::from(!now.validates);
        let is_due = |(after, killed): &(u32, Vec<u32>)| {
            steps >= *after && killed.iter().all(|rank| ranks.contains_key(rank))
        };
        if kills.first().is_some_and(is_due) {
            let (_, killed) = kills.remove(0);
            killed.iter().for_each(|rank| send(ranks[rank], libc::SIGKILL));
        }
    };
    finished(gang(&bench, &spec, CHIPS, 3, &mut watch, &CancellationToken::new()));
    assert!(kills.is_empty());
    assert_near(&bench, &whole);
}

#[test]
fn one_that_stands_still_is_noticed_and_started_again() {
    let spec = squares::spec(SGD);
    let whole = alone(&spec);
    let (bench, mut stopped, mut went_on) = (Bench::new(), None, None);
    let mut watch = |_: Progress, ranks: &HashMap<u32, i32>| match stopped {
        None => {
            stopped = ranks.get(&1).map(|pid| {
                send(*pid, libc::SIGSTOP);
                Instant::now()
            });
        }
        Some(since) if went_on.is_none() && since.elapsed() > Duration::from_secs(5) => {
            went_on = Some(since.elapsed());
        }
        Some(_) => {}
    };
    finished(gang(&bench, &spec, CHIPS, 2, &mut watch, &CancellationToken::new()));
    println!("noticed, and going on after {went_on:?}");
    assert!(went_on.is_some(), "it did not wait for the one that stood still");
    assert_near(&bench, &whole);
}

#[test]
fn a_training_that_is_stopped_goes_on_with_another_number_of_ranks() {
    let spec = squares::spec(&SGD.replace("steps = 1", "steps = 1000"));
    let whole = alone(&spec);
    let bench = Bench::new();
    let stop = CancellationToken::new();
    let mut watch = |now: Progress, _: &HashMap<u32, i32>| {
        if now.epoch == 2 && !now.validates {
            stop.cancel();
        }
    };
    let outcome = gang(&bench, &spec, CHIPS, 2, &mut watch, &stop);
    assert!(matches!(outcome, Ok(Outcome::Stopped { epoch: 2 | 3, .. })), "{outcome:?}");
    finished(gang(&bench, &spec, CHIPS, 3, &mut unwatched, &CancellationToken::new()));
    assert_near(&bench, &whole);
}

#[test]
fn ranks_begin_with_the_weights_of_a_bundle() {
    let taught = alone(&squares::spec(SGD));
    let weights = taught.folder.path().join("training/weights.safetensors");
    let class = |name: &str| ClassStyle { name: name.into(), rgb: [0, 0, 0] };
    let model = swath_bundle::Model {
        architecture: Architecture::Tiny,
        bands: 3,
        classes: vec![class("ground"), class("square")],
        null_class: 0,
        window: WindowShape { core_px: 32, margin_px: 0 },
        seen_px: None,
        batch: 4,
        pixels: SourceSpec { bands: vec![0, 1, 2], ..SourceSpec::default() },
        metrics: None,
        int8: None,
    };
    let bench = Bench::new();
    let bundle = swath_bundle::write(Vec::new(), "0.1.0", &model, &weights, None).unwrap();
    std::fs::write(bench.folder.path().join("taught.zip"), bundle).unwrap();
    // At this rate nothing is learnt in addition.
    let spec = TrainSpec { lr: 1e-12, epochs: 1, ..squares::spec(SGD) };
    let job = bench.job(spec.clone(), CHIPS);
    let shards = Shards { train: vec!["shard-0.tar".into()], validation: Vec::new() };
    let file =
        TrainFile { output: job.output, shards, init: Some("taught.zip".into()), coming: None, train: spec };
    write(&bench, &file);
    finished(supervise(&Ranks { command: &|| rank(&bench), n: 2 }, &mut |_| {}, &CancellationToken::new()));
    let [one, other] = [&bench, &taught].map(|bench| {
        swath_weights::TensorFile::from_bytes("weights", bench.read("weights.safetensors")).unwrap()
    });
    for name in one.names() {
        for (a, b) in one.f32(name).unwrap().iter().zip(other.f32(name).unwrap()) {
            assert!((a - b).abs() <= 1e-6, "{name}: {a} and {b}");
        }
    }
    let read = |train: TrainSpec| {
        write(&bench, &TrainFile { train, ..file.clone() });
        read_file(&bench.folder.path().join(FILE)).map_err(|error| error.to_string())
    };
    let unet = TrainSpec { architecture: Architecture::UnetResnet18, ..file.train.clone() };
    let text = read(unet).unwrap_err();
    assert!(text.contains("the bundle holds a network of the architecture \"tiny\", and not"), "{text}");
    let three = TrainSpec { classes: 3, ..file.train.clone() };
    let text = read(three.clone()).unwrap_err();
    assert!(
        text.ends_with("tells 2 classes apart, and not 3: fresh_head = true draws its last layer anew"),
        "{text}"
    );
    assert!(read(TrainSpec { fresh_head: true, ..three }).unwrap().train.weights.is_some());
}

#[test]
fn ranks_are_told_that_their_training_is_over() {
    let (bench, spec) = (Bench::new(), squares::spec(SGD));
    let go = || gang(&bench, &spec, CHIPS, 2, &mut unwatched, &CancellationToken::new());
    finished(go());
    let again = go();
    assert!(matches!(again, Ok(Outcome::AlreadyFinished(_))), "{again:?}");
}

/// A folder of shards is all that are in it, in the order of their names.
#[test]
fn shards_are_found_in_their_folder() {
    let (bench, spec) = (Bench::new(), squares::spec(SGD));
    bench.job(spec.clone(), CHIPS);
    let (root, folder) = (bench.folder.path(), bench.folder.path().join("chips"));
    std::fs::create_dir(&folder).unwrap();
    for name in ["shard-0.tar", "shard-0.idx", "shard-1.tar", "shard-1.idx"] {
        std::fs::rename(root.join(name), folder.join(name)).unwrap();
    }
    let train = |folder: &str| {
        let shards = Shards { train: vec![folder.into()], validation: vec!["shard-2.tar".into()] };
        write(
            &bench,
            &TrainFile { output: "training/".into(), shards, init: None, coming: None, train: spec.clone() },
        );
        supervise(&Ranks { command: &|| rank(&bench), n: 2 }, &mut |_| {}, &CancellationToken::new())
    };
    finished(train("chips/"));
    assert_eq!(crate::column(&bench.read("log.csv"), "epoch"), [1.0, 2.0, 3.0]);
    let text = train("nothing/").unwrap_err().to_string();
    assert!(
        text.starts_with("nothing/: there is no such folder under the root, or nothing in it: /"),
        "{text}"
    );
    assert_eq!(train("training/").unwrap_err().to_string(), "training/: there is no .tar in it");
    let text = train("chips/other.tar").unwrap_err().to_string();
    assert!(text.starts_with("chips/other.tar: there is no such shard under the root: /"), "{text}");
    // By its index it is known that there was one.
    std::fs::rename(folder.join("shard-1.tar"), root.join("elsewhere")).unwrap();
    let text = train("chips/").unwrap_err().to_string();
    assert!(
        text.starts_with("1 of 3 shards are not as their index says: chips/shard-1.tar is not there"),
        "{text}"
    );
    std::fs::rename(root.join("elsewhere"), folder.join("shard-1.tar")).unwrap();
    std::fs::remove_file(folder.join("shard-0.idx")).unwrap();
    let text = train("chips/").unwrap_err().to_string();
    assert_eq!(text, "chips/shard-0.idx is not there, the index that belongs beside chips/shard-0.tar");
}

/// Told to stop while it waits for a first rank that never comes.
#[test]
fn a_rank_that_waits_can_be_stopped() {
    let (bench, spec) = (Bench::new(), squares::spec(SGD));
    bench.job(spec.clone(), CHIPS);
    let shards = Shards { train: vec!["shard-0.tar".into()], validation: Vec::new() };
    write(&bench, &TrainFile { output: "training/".into(), shards, init: None, coming: None, train: spec });
    let variables = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")];
    let mut waiting = rank(&bench).envs(variables).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(waiting.stdout.take().unwrap()));
    // By then it listens.
    assert!(said.by_ref().any(|line| line.unwrap().contains("alive")));
    send(waiting.id() as i32, libc::SIGTERM);
    let last = said.last().unwrap().unwrap();
    assert!(last.contains("interrupted"), "{last}");
    assert_eq!(waiting.wait().unwrap().code(), Some(130));
}
