//! What a sample costs to train on, as one JSON line: 256 px in batches of eight, on bright squares.
//!
//! `cargo run --release -p swath-train --example train_speed [ARCHITECTURE [THREADS [EDGE [CHIPS]]]]`

#![expect(clippy::unwrap_used, reason = "the chips are those of the tests")]

#[path = "../tests/squares/mod.rs"]
mod squares;

use std::error::Error;

use swath_model::Gang;
use swath_train::train;
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn Error>> {
    swath_model::init_process();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| args.get(at).map_or(Ok(otherwise), |text| text.parse());
    let architecture = args.first().map_or("unet-resnet18", String::as_str);
    let (threads, edge, chips) = (number(1, 1)?, number(2, 256)?, number(3, 24)?);
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let spec = squares::spec(&format!("architecture = \"{architecture}\"\nepochs = 1"));
    let mut job = squares::job(folder.path(), &runtime, spec, (chips, 0, edge as u32));
    job.machine.threads = threads as u32;
    // The first step loads the engine's kernels; the last one's end is not seen.
    let (mut seen, mut waiting) = (Vec::<(f64, std::time::Instant)>::new(), 0.0);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    train(
        &job,
        Gang::alone(),
        &mut |now| {
            seen.push((cpu_s(), std::time::Instant::now()));
            waiting = now.waiting;
        },
        &CancellationToken::new(),
    )?;
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
        return Err("no step was done".into());
    };
    let samples = ((seen.len() - 1) * job.spec.batch as usize) as f64;
    let cpu_s = last.0 - first.0;
    let line = serde_json::json!({
        "name": format!("train/{architecture}/{edge}px-x{}/{threads}-threads", job.spec.batch),
        "value": samples / cpu_s, "unit": "samples/CPU s", "cpu_s_per_sample": cpu_s / samples,
        "wall_s": (last.1 - first.1).as_secs_f64(), "samples": samples, "load": load.split(' ').next(),
        "waiting": waiting, "rss_mib": usage().ru_maxrss as f64 / 1024.0,
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

fn cpu_s() -> f64 {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage().ru_utime) + seconds(usage().ru_stime)
}
