//! Chips that can't be read, and chips that are kept on disk: trainings from shards whose files were damaged.

#![expect(clippy::unwrap_used, reason = "what shows a failure in a test is a panic")]

mod squares;

use std::{fs, path::PathBuf};

use swath_model::{Batch, Gang};
use swath_proto::train::Normalize;
use swath_shard::Index;
use swath_train::{Job, Kind, Outcome, load_epoch, train};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Shards 0 and 1 of ten chips each to train from, shard 2 of four to validate on.
const CHIPS: (u64, u64, u32) = (20, 4, 32);

struct Bench {
    folder: TempDir,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        swath_model::init_process();
        Self { folder: tempfile::tempdir().unwrap(), runtime: Runtime::new().unwrap() }
    }

    fn job(&self, bad_chips: f64) -> Job {
        let spec = squares::spec(&format!(
            "architecture = \"tiny\"\nepochs = 2\nbatch = 4\nlr = 0.01\nbad_chips = {bad_chips:?}"
        ));
        squares::job(self.folder.path(), &self.runtime, spec, CHIPS)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The tar as `damage` makes it of what it was.
    fn damage(&self, name: &str, damage: impl Fn(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        damage(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
    }
}

fn error(job: &Job) -> (Kind, String) {
    let error = train(job, Gang::alone(), &mut |_| {}, &CancellationToken::new()).unwrap_err();
    (error.kind, error.to_string())
}

fn finishes(job: &Job) {
    let outcome = train(job, Gang::alone(), &mut |_| {}, &CancellationToken::new()).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
}

fn batches(job: &Job, epoch: u32) -> Vec<Batch> {
    let mut batches = Vec::new();
    load_epoch(job, epoch, &mut |batch| batches.push(batch.clone())).unwrap();
    batches
}

/// Of all chips of these batches, how many train nothing at all.
fn n_ignored(batches: &[Batch]) -> usize {
    let chips = batches.iter().flat_map(|batch| batch.labels.chunks_exact(32 * 32));
    chips.filter(|labels| labels.iter().all(|&label| label == 255)).count()
}

/// Where the images of a shard's chips lie.
fn images(job: &Job, shard: usize) -> Vec<usize> {
    job.train[shard].index.chips().iter().map(|entry| entry.image().at as usize).collect()
}

#[test]
fn flipped_bytes_are_left_out_within_the_bound_and_end_the_training_beyond_it() {
    let bench = Bench::new();
    let whole = batches(&bench.job(0.1), 0);
    assert_eq!((whole.len(), n_ignored(&whole)), (5, 0));
    let (job, mut normed) = (bench.job(0.1), bench.job(0.1));
    normed.spec.normalize = Some(Normalize { mean: vec![0.5; 3], std: vec![0.2; 3] });
    let at = images(&job, 1);
    bench.damage("shard-1.tar", |tar| [2, 7].into_iter().for_each(|chip| tar[at[chip] + 90] ^= 0x10));
    let damaged = batches(&job, 0);
    assert_eq!(n_ignored(&damaged), 2);
    // All other chips are where they were, with the same numbers.
    let chips = |batches: &[Batch]| -> Vec<(Vec<u8>, Vec<f32>)> {
        let of = |batch: &Batch| {
            let labels = batch.labels.chunks_exact(1024).map(<[u8]>::to_vec);
            labels.zip(batch.pixels.floats().chunks_exact(3072).map(<[f32]>::to_vec)).collect::<Vec<_>>()
        };
        batches.iter().flat_map(of).collect()
    };
    let same = chips(&whole).iter().zip(&chips(&damaged)).filter(|(one, other)| one == other).count();
    assert_eq!(same, 18);
    // To the network they are 0, whatever its numbers are normed by.
    for job in [&job, &normed] {
        let black =
            chips(&batches(job, 0)).into_iter().filter(|(_, samples)| samples.iter().all(|s| *s == 0.0));
        let ignored = black.filter(|(labels, _)| labels.iter().all(|label| *label == 255));
        assert_eq!(ignored.count(), 2);
    }
    finishes(&job);

    let bench = Bench::new();
    let job = bench.job(0.1);
    bench.damage("shard-1.tar", |tar| [2, 7, 9].into_iter().for_each(|chip| tar[at[chip] + 90] ^= 0x10));
    let (kind, text) = error(&job);
    assert_eq!(kind, Kind::Data);
    let wanted = "at least 3 of 20 chips can't be read, more than bad_chips = 0.1 lets be left out: shard-1.tar: 3 chips (";
    assert!(text.starts_with(wanted) && text.contains("the image can't be read"), "{text}");
}

#[test]
fn a_tar_that_was_cut_off_is_named_before_any_chip_is_fetched_or_left_out() {
    let bench = Bench::new();
    let job = bench.job(0.0);
    let (tar_len, at) = (job.train[0].index.tar_len(), images(&job, 0));
    // In the middle of the ninth chip.
    let cut = at[8] + 100;
    bench.damage("shard-0.tar", |tar| tar.truncate(cut));
    let (kind, text) = error(&job);
    assert_eq!(kind, Kind::Data);
    let wanted = format!(
        "1 of 3 shards are not as their index says: shard-0.tar: the tar has {cut} bytes; its index was made for one \
         of {tar_len}"
    );
    assert!(text.starts_with(&wanted), "{text}");
    let mut job = job;
    job.spec.bad_chips = 0.1;
    assert_eq!(n_ignored(&batches(&job, 0)), 2);
    finishes(&job);
    job.spec.bad_chips = 0.09;
    job.output = "another/".into();
    let (_, text) = error(&job);
    assert!(
        text.starts_with("at least 2 of 20 chips can't be read") && text.contains("shard-0.tar: 2 chips"),
        "{text}"
    );
}

#[test]
fn a_tar_that_is_missing_is_named_and_left_out_where_so_much_may_be() {
    let bench = Bench::new();
    let mut job = bench.job(0.0);
    fs::remove_file(bench.path("shard-1.tar")).unwrap();
    fs::remove_file(bench.path("shard-2.tar")).unwrap();
    let (kind, text) = error(&job);
    assert_eq!(kind, Kind::Data);
    let wanted =
        "2 of 3 shards are not as their index says: shard-1.tar is not there; shard-2.tar is not there; put";
    assert!(text.starts_with(wanted), "{text}");
    job.spec.bad_chips = 0.4;
    assert!(error(&job).1.contains("can't be read, more than bad_chips = 0.4 lets be left out: shard-1.tar"));
    job.spec.bad_chips = 0.5;
    assert_eq!(n_ignored(&batches(&job, 0)), 10);
    // Of those to validate on, all are gone.
    assert!(error(&job).1.contains("of 4 chips can't be read"));
    job.validation.clear();
    job.output = "another/".into();
    finishes(&job);
}

#[test]
fn a_label_beyond_the_classes_does_not_get_past_an_index_that_knows_nothing_of_it() {
    let bench = Bench::new();
    let mut job = bench.job(0.0);
    let mut bad = squares::chip(3, 32);
    bad.labels.iter_mut().filter(|label| **label == 1).for_each(|label| *label = 2);
    let folder = swath_backends::blobs::folder::Folder::open(bench.folder.path()).unwrap();
    let shard = squares::shard(&folder, &bench.runtime, "bad.tar", &[bad]);
    let index = String::from_utf8(shard.index.to_bytes().unwrap()).unwrap();
    let told = index.replace("\"2\":", "\"1\":");
    assert_ne!(told, index);
    job.train[0] = swath_train::Shard { index: Index::parse(told.as_bytes()).unwrap(), ..shard };
    // First the chip's own JSON gives it away, then the pixels alone do.
    for is_forged in [false, true] {
        if is_forged {
            bench.damage("bad.tar", |tar| {
                let at = tar.windows(4).position(|bytes| bytes == b"\"2\":").unwrap();
                tar[at + 1] = b'1';
            });
        }
        let (kind, text) = error(&job);
        assert_eq!(kind, Kind::Data);
        let wanted = "bad.tar: chip squares/x96_y0_32x32: the labels of the tar and of the index differ";
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn chips_from_the_cache_are_those_of_the_store() {
    let bench = Bench::new();
    let mut job = bench.job(0.0);
    let wanted: Vec<_> = (0..3).map(|epoch| batches(&job, epoch)).collect();
    // All of them, and five.
    for bytes in [1 << 20, 10 * 4096] {
        job.machine.chip_cache = bytes;
        for (epoch, wanted) in (0..3).zip(&wanted) {
            assert!(batches(&job, epoch) == *wanted, "epoch {epoch}, {bytes} bytes");
        }
    }
    // What is kept is not read again: nothing is said of damage that nobody sees.
    job.machine.chip_cache = 1 << 20;
    assert!(batches(&job, 0) == wanted[0]);
    let (at, tar) = (images(&job, 0), bench.path("shard-0.tar"));
    let before = fs::metadata(&tar).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&tar).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 64], at[0] as u64 + 64).unwrap();
    file.set_modified(before).unwrap();
    assert!(batches(&job, 1) == wanted[1]);
    job.machine.chip_cache = 0;
    assert!(error(&job).1.contains("shard-0.tar"));
}
