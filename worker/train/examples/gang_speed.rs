//! What it costs to train on two ranks, a core each: beside two trainings of half the batch that know nothing of each
//! other, on bright squares of 256 px. One JSON line for each round, and the median of their shares.
//!
//! `cargo run --release -p swath-train --example gang_speed [ROUNDS [ARCHITECTURE [CHIPS A RANK]]]`

#![expect(clippy::unwrap_used, reason = "the chips are those of the tests")]

#[path = "../tests/squares/mod.rs"]
mod squares;

use std::{error::Error, path::Path, process::Command, sync::Arc, time::Instant};

use swath_backends::blobs::folder::Folder;
use swath_proto::{item::DeviceName, train::TrainSpec};
use swath_train::{
    Outcome, Store,
    gang::{Rank, Ranks, Seat, Shards, TrainFile, leave, read_file, supervise, work},
};
use tokio_util::sync::CancellationToken;

const FOLDER: &str = "SWATH_GANG_SPEED";
const FILE: &str = "train.json";
/// The first loads the engine's kernels.
const STEPS: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return rank(Path::new(&folder));
    }
    swath_model::init_process();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rounds: usize = args.first().map_or(Ok(5), |text| text.parse())?;
    let architecture = args.get(1).map_or("unet-resnet18", String::as_str);
    let each: u32 = args.get(2).map_or(Ok(8), |text| text.parse())?;
    for norms in ["local", "batch"] {
        let spec = |batch: u32| {
            squares::spec(&format!(
                "architecture = \"{architecture}\"\nepochs = 1\nbatch = {batch}\nbatch_norm = \"{norms}\""
            ))
        };
        let mut shares = Vec::new();
        for _ in 0..rounds {
            let (one, other) = std::thread::scope(|scope| {
                let one = scope.spawn(|| images_per_s(&spec(each), 1));
                let other = images_per_s(&spec(each), 1);
                (one.join(), other)
            });
            let alone = one.map_err(|_| "a training has panicked")? + other;
            let together = images_per_s(&spec(2 * each), 2);
            shares.push(together / alone);
            let line = serde_json::json!({
                "name": format!("train/gang/{architecture}/{norms}/2-ranks-of-{each}"),
                "value": together / alone, "unit": "of two trainings side by side",
                "images_per_s": together, "images_per_s_alone": alone,
                "load": std::fs::read_to_string("/proc/loadavg")?.split(' ').next(),
            });
            println!("{line}");
        }
        shares.sort_by(f64::total_cmp);
        println!(
            "{}",
            serde_json::json!({
                "name": format!("train/gang/{architecture}/{norms}/2-ranks-of-{each}/median"),
                "value": shares[shares.len() / 2], "unit": "of two trainings side by side",
            })
        );
    }
    Ok(())
}

/// By the clock, from the end of the first step to that of the last.
fn images_per_s(spec: &TrainSpec, n: u32) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let job = squares::job(folder.path(), &runtime, spec.clone(), (STEPS * u64::from(spec.batch), 0, 256));
    let keys = job.train.iter().map(|shard| shard.key.clone()).collect();
    let file = TrainFile {
        output: job.output.clone(),
        shards: Shards { train: keys, validation: Vec::new() },
        init: None,
        coming: None,
        train: spec.clone(),
    };
    std::fs::write(folder.path().join(FILE), serde_json::to_vec(&file).unwrap()).unwrap();
    let command = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(FOLDER, folder.path());
        command
    };
    let mut steps = Vec::new();
    let mut progress = |_| steps.push(Instant::now());
    let outcome =
        supervise(&Ranks { command: &command, n }, &mut progress, &CancellationToken::new()).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    let (first, last) = (steps.first().unwrap(), steps.last().unwrap());
    (steps.len() - 1) as f64 * f64::from(spec.batch) / last.duration_since(*first).as_secs_f64()
}

fn rank(folder: &Path) -> Result<(), Box<dyn Error>> {
    swath_model::init_process();
    let runtime = tokio::runtime::Runtime::new()?;
    let rank = Rank {
        file: read_file(&folder.join(FILE))?,
        seat: Seat::from_environment()?.ok_or("no rank")?,
        store: Store::new(Arc::new(Folder::open(folder)?), runtime.handle().clone()),
        threads: 1,
        device: DeviceName::Cpu,
        sums_by: None,
        cache: folder.join("cache"),
    };
    leave(i32::from(work(rank, std::io::stdout(), &CancellationToken::new()).is_err()))
}
