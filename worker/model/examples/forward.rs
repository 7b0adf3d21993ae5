//! CPU time of a window of 256 px, as one JSON line: U-Net on ResNet-18 in batches of eight.
//!
//! `cargo run --release -p swath-model --example forward [THREADS [BATCHES [openvino|libtorch [fp32|bf16|int8]]]]`.
//! Ranges for 8 bits are found on the very batch: what is timed does not depend on them.

use std::{error::Error, time::Instant};

use swath_model::{Calibration, Files};
use swath_proto::{
    ids::Digest,
    item::{Architecture, EngineName, ModelRef, Precision, Weights, WindowShape},
};

const BATCH: u32 = 8;
const WINDOW: WindowShape = WindowShape { core_px: 192, margin_px: 32 };

fn main() -> Result<(), Box<dyn Error>> {
    swath_model::init_process();
    let mut args = std::env::args().skip(1);
    let threads: u32 = args.next().map_or(Ok(1), |text| text.parse())?;
    let batches: u32 = args.next().map_or(Ok(10), |text| text.parse())?;
    let engine = match args.next().as_deref() {
        None | Some("openvino") => EngineName::Openvino,
        Some("libtorch") => EngineName::Libtorch,
        Some(other) => return Err(format!("{other}: openvino or libtorch").into()),
    };
    let fp32 = ModelRef {
        architecture: Architecture::UnetResnet18,
        weights: Weights::Seed(1),
        bands: 3,
        classes: 2,
        engine,
        precision: Precision::Fp32,
        others: Vec::new(),
    };
    let edge_px = WINDOW.edge_px();
    let values = BATCH * edge_px.pow(2) * fp32.bands;
    let input: Vec<f32> = (0..values).map(|value| (value % 251) as f32 / 250.0).collect();
    let mut files = Files::default();
    let precision = match args.next().as_deref() {
        None | Some("fp32") => Precision::Fp32,
        Some("bf16") => Precision::Bf16,
        Some("int8") => {
            let mut calibration = Calibration::new(&fp32, &files, threads)?;
            calibration.see(&input, (edge_px, edge_px))?;
            let ranges = calibration.ranges();
            let content = Digest::of(&ranges.to_json());
            files.ranges = Some(ranges);
            Precision::Int8(content)
        }
        Some(other) => return Err(format!("{other}: fp32, bf16 or int8").into()),
    };
    let name = precision.name();
    let model = ModelRef { precision, ..fp32 };
    let mut predictor = swath_model::load(&model, &[files], WINDOW, BATCH, threads)?;
    // Loading has run a batch; another one leaves the blocks where later ones find them.
    predictor.forward(&input, BATCH as usize)?;

    let (before, started, mut least) = (usage(), Instant::now(), f64::INFINITY);
    for _ in 0..batches {
        let begin = cpu_seconds(&usage());
        predictor.forward(&input, BATCH as usize)?;
        least = least.min(cpu_seconds(&usage()) - begin);
    }
    let (wall_s, after) = (started.elapsed().as_secs_f64(), usage());
    let cpu_s = cpu_seconds(&after) - cpu_seconds(&before);
    let per_window = |seconds: f64, windows: u32| seconds * 1e3 / f64::from(windows);
    let line = serde_json::json!({
        "name": format!("forward/unet-resnet18/{engine:?}/{name}/{}px-x{BATCH}/{threads}-threads", WINDOW.edge_px()),
        "value": per_window(cpu_s, batches * BATCH), "unit": "CPU ms/window", "least": per_window(least, BATCH),
        "page_faults": (after.ru_minflt - before.ru_minflt) / i64::from(batches.max(1)),
        "cpu_s": cpu_s, "wall_s": wall_s, "rss_mib": after.ru_maxrss as f64 / 1024.0,
        "load": load(), "commit": commit(), "class": predictor.class(),
    });
    println!("{line}");
    Ok(())
}

fn usage() -> libc::rusage {
    // SAFETY: zeroes are a valid rusage, and the call only writes into it.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    }
}

fn cpu_seconds(usage: &libc::rusage) -> f64 {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn commit() -> Option<String> {
    let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    git.status.success().then(|| String::from_utf8_lossy(&git.stdout).trim().to_owned())
}
