//! What chips cost until they are in batches: drawn imagery of 256 px in RGB, noisy as a camera's, as chips are
//! written, from a store and from the cache. They stay bytes, which become floats where the network is: that is no part
//! of it. JSON lines; the CPU is that of this process alone.
//!
//! `cargo run --release -p swath-train --example loader_speed [CHIPS [ROOT [LOADERS [ONLY]]]]`, where ROOT is a folder or,
//! with `--features swath-backends/s3`, `s3://bucket/prefix`, and ONLY one of the encodings.

use std::{error::Error, time::Instant};

use swath_backends::{blobs::SharedBlobs, open::open_blobs};
use swath_model::{Pixels, Place};
use swath_proto::{
    geometry::{SizePx, WindowPx},
    train::TrainSpec,
};
use swath_shard::{Chip, EncodedChip, Encoding, Image, SampleType, Shape, ShardWriter};
use swath_synth::Scene;
use swath_train::{CHIP_CACHE, Job, Machine, Shard, Store, load_epoch};
use tokio::runtime::{Builder, Runtime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const EDGE_PX: u32 = 256;
const SCENE_PX: u32 = 4096;
const CHIPS_A_SHARD: u64 = 256;

fn main() -> Result<()> {
    swath_model::init_process();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| args.get(at).map_or(Ok(otherwise), |text| text.parse());
    let (n_chips, loaders) = (number(0, 2048)?, number(2, 2)? as u32);
    let (own, cache) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let root = args.get(1).cloned().unwrap_or_else(|| own.path().display().to_string());
    // As `swath train` has it.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let blobs = runtime.block_on(open_blobs(&root))?;
    let encodings = [(Encoding::Compressed, "compressed"), (Encoding::Stored, "stored")];
    for (encoding, name) in
        encodings.into_iter().filter(|(_, name)| args.get(3).is_none_or(|only| only == name))
    {
        let train = shards(&runtime, &blobs, n_chips, (encoding, name))?;
        let len: u64 = train.iter().map(|shard| shard.index.tar_len()).sum();
        let spec: TrainSpec = toml::from_str("architecture = \"tiny\"\nclasses = 2\nbatch = 8")?;
        let cache = cache.path().join(name);
        for (from, chip_cache, rounds) in
            [("store", 0, 3), ("store-into-cache", CHIP_CACHE, 1), ("cache", CHIP_CACHE, 3)]
        {
            let job = Job {
                spec: spec.clone(),
                train: train.clone(),
                validation: Vec::new(),
                coming: None,
                store: Store::new(blobs.clone(), runtime.handle().clone()),
                output: "training/".into(),
                machine: Machine {
                    threads: 1,
                    place: Place::Processor,
                    loaders,
                    cache: cache.clone(),
                    chip_cache,
                    mirror: None,
                },
            };
            for epoch in 0..rounds {
                let measured = measured(&job, epoch)?;
                let line = serde_json::json!({
                    "name": format!("loader/{name}/{from}"), "value": measured.chips / measured.cpu_s,
                    "unit": "chips/CPU s", "us_a_chip": 1e6 * measured.cpu_s / measured.chips,
                    "faults_a_chip": measured.faults / measured.chips, "chips_per_s": measured.chips / measured.wall_s, "loaders": loaders,
                    "bytes_a_chip": len / n_chips, "sum": measured.sum,
                    "load": std::fs::read_to_string("/proc/loadavg")?.split(' ').next(),
                });
                println!("{line}");
            }
        }
    }
    Ok(())
}

struct Measured {
    chips: f64,
    cpu_s: f64,
    wall_s: f64,
    /// Pages that the kernel handed out.
    faults: f64,
    /// So that nothing is left out as not needed.
    sum: f32,
}

fn measured(job: &Job, epoch: u32) -> Result<Measured> {
    let (mut chips, mut sum) = (0.0, 0.0);
    let (began, (before, faults)) = (Instant::now(), used());
    load_epoch(job, epoch, &mut |batch| {
        chips += f64::from(job.spec.batch);
        let middle = batch.pixels.n_samples() / 2;
        sum += match &batch.pixels {
            Pixels::Floats(samples) => samples[middle],
            Pixels::Bytes { samples, .. } => f32::from(samples[middle]),
        };
    })?;
    let (after, faults_after) = used();
    let (cpu_s, wall_s) = (after - before, began.elapsed().as_secs_f64());
    Ok(Measured { chips, cpu_s, wall_s, faults: (faults_after - faults) as f64, sum })
}

fn shards(
    runtime: &Runtime,
    blobs: &SharedBlobs,
    n_chips: u64,
    (encoding, name): (Encoding, &str),
) -> Result<Vec<Shard>> {
    let (tiles, mut shards) = (tiles(), Vec::new());
    for number in 0..n_chips.div_ceil(CHIPS_A_SHARD) {
        let mut writer = ShardWriter::new(Vec::new());
        for chip in number * CHIPS_A_SHARD..n_chips.min((number + 1) * CHIPS_A_SHARD) {
            let chip = drawn(&tiles[chip as usize % tiles.len()], chip)?;
            writer.push_encoded(EncodedChip::with(&chip, encoding)?)?;
        }
        let (tar, index) = writer.finish()?;
        let key = format!("{name}/shard-{number}.tar");
        runtime.block_on(blobs.put(&key, tar.into()))?;
        shards.push(Shard { key, index });
    }
    Ok(shards)
}

/// A scene, cut up.
fn tiles() -> Vec<Vec<u8>> {
    let (scene, across) = (Scene::new(1, SCENE_PX), (SCENE_PX / EDGE_PX) as usize);
    let mut tiles = vec![Vec::new(); across * across];
    for (row, tiles) in tiles.chunks_exact_mut(across).enumerate() {
        let rows = scene.rows(row as u32 * EDGE_PX, EDGE_PX);
        for (at, line) in rows.chunks_exact(3 * EDGE_PX as usize).enumerate() {
            tiles[at % across].extend_from_slice(line);
        }
    }
    tiles
}

fn drawn(pixels: &[u8], number: u64) -> Result<Chip> {
    let shape = Shape::new(SizePx::new(EDGE_PX, EDGE_PX), 3, SampleType::Uint8);
    // Squares that are not all alike.
    let side = 20 + number as u32 % 100;
    let labels =
        (0..EDGE_PX * EDGE_PX).map(|px| u8::from(px % EDGE_PX % 128 < side && px / EDGE_PX % 128 < side));
    Ok(Chip {
        scene: "drawn".parse()?,
        window: WindowPx::new(i64::from(EDGE_PX) * number as i64, 0, EDGE_PX, EDGE_PX),
        draw: None,
        source_pixel_crs: Some([0.1, 0.1]),
        image: Image::new(shape, pixels.to_vec())?,
        labels: labels.collect(),
    })
}

fn used() -> (f64, i64) {
    // SAFETY: zeroes are a valid rusage, and the call only writes into it.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    (seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_minflt)
}
