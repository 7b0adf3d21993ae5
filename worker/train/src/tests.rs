//! Small trainings: which chips are seen, what becomes of them, and which pictures are drawn.

use std::path::Path;

use swath_backends::blobs::folder::Folder;
use swath_model::{Batch, Gang, Pixels};
use swath_proto::train::{Augment, TrainSpec};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::{Job, Outcome, data::Chips, order::Purpose, samples::drawn, train};

#[path = "../tests/squares/mod.rs"]
mod squares;

const TINY: &str = "architecture = \"tiny\"\nepochs = 3\nbatch = 4\nlr = 0.01\nseed = 3";
const NORMED: &str = "normalize = { mean = [0.4, 0.4, 0.3], std = [0.2, 0.2, 0.25] }";
const ALL: &str = "augment = { scale = [0.8, 1.25], blur = 1, brightness = 0.2, contrast = 0.2, noise = 0.02, \
                   channel_drop = 0.2 }\noversample = { factors = [1, 3] }";

struct Bench {
    folder: TempDir,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        swath_model::init_process();
        Self { folder: tempfile::tempdir().unwrap(), runtime: Runtime::new().unwrap() }
    }

    fn job(&self, spec: TrainSpec, chips: (u64, u64, u32)) -> Job {
        squares::job(self.folder.path(), &self.runtime, spec, chips)
    }

    /// Stops after so many steps, again and again, until it is done.
    fn run(&self, spec: &TrainSpec, chips: (u64, u64, u32), every: usize) {
        loop {
            let (stop, mut left) = (CancellationToken::new(), every);
            let mut count = |_| {
                left = left.saturating_sub(1);
                if left == 0 {
                    stop.cancel();
                }
            };
            let job = self.job(spec.clone(), chips);
            if let Outcome::Finished(_) = train(&job, Gang::alone(), &mut count, &stop).unwrap() {
                return;
            }
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("training").join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn column(&self, name: &str) -> Vec<f64> {
        let text = String::from_utf8(self.read("log.csv")).unwrap();
        let mut lines = text.lines();
        let at = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
        lines.map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
    }
}

fn size(png: &Path) -> (u32, u32) {
    let file = std::io::BufReader::new(std::fs::File::open(png).unwrap());
    png::Decoder::new(file).read_info().unwrap().info().size()
}

#[test]
fn pictures_show_the_first_batch_and_what_each_epoch_makes_of_some_chips() {
    let bench = Bench::new();
    let spec = squares::spec(&format!("{TINY}\n{ALL}"));
    bench.run(&spec, (24, 12, 64), usize::MAX);
    // Two columns of four chips, three of eight.
    assert_eq!(size(&bench.path("debug/first-batch.png")), (4 + 2 * 68, 4 + 4 * 68));
    assert_eq!(size(&bench.path("debug/validation.png")), (4 + 3 * 68, 4 + 8 * 68));
    for (epoch, name) in [(0, "first-batch"), (1, "validation"), (3, "validation")] {
        let events = bench.read(&format!("debug/events.out.tfevents.swath.{epoch:06}"));
        assert!(events.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
        let png = bench.read(&format!("debug/{name}.png"));
        let has_it = events.windows(png.len()).any(|window| window == png);
        assert!(has_it || epoch == 1, "epoch {epoch}");
    }
    let before = bench.read("debug/first-batch.png");
    let none = Bench::new();
    none.run(&spec, (24, 0, 64), usize::MAX);
    assert_eq!(none.read("debug/first-batch.png"), before);
    assert!(!none.path("debug/validation.png").exists());
}

#[test]
fn a_training_in_which_all_is_drawn_goes_on_as_if_it_had_not_been_stopped() {
    let spec = squares::spec(&format!("{TINY}\n{ALL}\nsubset = {{ share = 0.5 }}"));
    let (whole, cut) = (Bench::new(), Bench::new());
    whole.run(&spec, (20, 4, 32), usize::MAX);
    cut.run(&spec, (20, 4, 32), 2);
    for column in ["epoch", "train_loss", "validation_loss", "iou_1"] {
        assert_eq!(whole.column(column), cut.column(column));
    }
    let told = whole.column("train_loss");
    let other = Bench::new();
    other.run(&TrainSpec { augment: Augment::default(), ..spec }, (20, 4, 32), usize::MAX);
    assert_ne!(other.column("train_loss"), told, "other chips are seen");
}

#[test]
fn some_chips_are_known_by_heart_and_judged_by() {
    let bench = Bench::new();
    let spec = squares::spec(
        "architecture = \"tiny\"\nepochs = 150\nbatch = 4\nlr = 0.05\nsubset = { overfit = 4 }\n\
         schedule = \"constant\"\npatience = 150",
    );
    bench.run(&spec, (12, 0, 32), usize::MAX);
    let (losses, ious) = (bench.column("validation_loss"), bench.column("iou_1"));
    assert!(losses[149] < 0.3 * losses[0] && ious[149] > 0.8, "{losses:?} {ious:?}");
    // They are validated on as they are, after the step that they were learnt from.
    let learnt = bench.column("train_loss");
    assert!(
        learnt[1..].iter().zip(&losses).all(|(next, now)| (next - now).abs() < 1e-4),
        "{learnt:?} {losses:?}"
    );
}

#[test]
fn chips_of_bytes_that_only_turn_stay_bytes() {
    let bench = Bench::new();
    for (more, stay) in [("", true), (NORMED, true), (ALL, false)] {
        let job = bench.job(squares::spec(&format!("{TINY}\n{more}")), (12, 0, 32));
        let chips = Chips::new(&job.spec, &job.train).unwrap();
        let changed: Vec<_> = (0..4).map(|sample| chips.sample(0, sample)).collect();
        let pixels = chips.batch(&job.store, &changed).unwrap().pixels;
        assert_eq!(matches!(pixels, Pixels::Bytes { .. }), stay, "{more}");
    }
}

/// Ranks take parts of one batch, each by itself.
#[test]
fn a_chip_is_the_same_to_any_rank() {
    let (bench, dropped) = (Bench::new(), format!("augment = {{ channel_drop = 0.5 }}\n{NORMED}"));
    let jobs =
        [ALL, NORMED, &dropped].map(|more| bench.job(squares::spec(&format!("{TINY}\n{more}")), (12, 0, 32)));
    for (job, epoch) in jobs.iter().flat_map(|job| [(job, 0), (job, 1)]) {
        let chips = Chips::new(&job.spec, &job.train).unwrap();
        let order = chips.order(epoch);
        let batch = |samples: &[usize]| {
            let changed: Vec<_> = samples.iter().map(|&sample| chips.sample(epoch, sample)).collect();
            chips.batch(&job.store, &changed).unwrap()
        };
        let whole = batch(&order[..6]);
        for ranks in [1, 2, 3] {
            let parts: Vec<_> = order[..6].chunks(6 / ranks).map(batch).collect();
            assert_eq!(parts.len(), ranks);
            let samples = |batch: &Batch| batch.pixels.floats().into_owned();
            assert!(parts.iter().flat_map(samples).eq(samples(&whole)), "{ranks} ranks");
            assert!(parts.iter().flat_map(|part| &part.labels).eq(&whole.labels), "{ranks} ranks");
        }
    }
}

#[test]
fn a_chip_that_is_seen_twice_is_changed_in_two_ways() {
    let bench = Bench::new();
    let spec =
        squares::spec(&format!("{TINY}\naugment = {{ noise = 0.1 }}\noversample = {{ factors = [1, 4] }}"));
    let mut job = bench.job(spec, (12, 0, 32));
    let folder = Folder::open(bench.folder.path()).unwrap();
    let mut empty: Vec<_> = (20..32).map(|number| squares::chip(number, 32)).collect();
    empty.iter_mut().for_each(|chip| chip.labels.fill(0));
    job.train.push(squares::shard(&folder, &bench.runtime, "empty.tar", &empty));
    let chips = Chips::new(&job.spec, &job.train).unwrap();
    let order = chips.order(0);
    assert_eq!(order.len(), 24, "as many as without");
    let with_squares = order.iter().filter(|&&sample| sample % 24 < 12).count();
    assert!((18..=21).contains(&with_squares), "{with_squares} of 24, where four fifths are wanted");
    let twice = order.iter().copied().find(|&sample| sample >= 24).unwrap();
    let ((one, once), (other, again)) = (chips.sample(0, twice % 24), chips.sample(0, twice));
    assert_eq!(one, other);
    assert_ne!(once, again);
}

#[test]
fn a_small_subset_is_part_of_a_large_one() {
    for seed in 0..20 {
        let of = |wanted| drawn(seed, Purpose::Subset, wanted, 100);
        let (few, many) = (of(7), of(60));
        assert!(few.len() == 7 && many.len() == 60 && few.is_sorted() && many.is_sorted());
        assert!(few.iter().all(|number| many.contains(number)), "{few:?} {many:?}");
        assert_eq!(of(100), (0..100).collect::<Vec<_>>());
    }
    assert_ne!(drawn(0, Purpose::Subset, 7, 100), drawn(1, Purpose::Subset, 7, 100));
    assert_eq!(drawn(7, Purpose::Subset, 4, 20), FROZEN);
}

const FROZEN: [usize; 4] = [3, 5, 7, 11];
