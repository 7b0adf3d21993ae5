//! What updates of metrics take, one JSON line each, and all updates of an item together against the half percent of
//! its CPU that they may take. An item is one of 1 s: those of a run are sized for 20 s and more.
//!
//! `cargo run --release -p swath-worker --example metrics_cost`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use swath_backends::{
    counted::counted,
    open::{Urls, open},
};
use swath_proto::item::Stage;
use swath_worker::metrics::{self, Phase};

const ROUNDS: u32 = 1_000_000;
/// Of an item: phases, batches of the network, calls of queue, ledger and blobs. More than any item has.
const PHASES: f64 = 16.0;
const BATCHES: f64 = 100.0;
const CALLS: f64 = 32.0;
const ITEM_CPU_S: f64 = 1.0;
const MAY_TAKE: f64 = 0.005;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let took = Duration::from_millis(3);
    let phase = measured("phase", ROUNDS, || metrics::took(Phase::Device, black_box(took)));
    let batch = measured("batch", ROUNDS, || metrics::showed(black_box(7), black_box(8)));
    let lease = measured("lease", ROUNDS, || metrics::extended(black_box(3), black_box(0)));
    let item = measured("item", ROUNDS, || metrics::ended(Stage::Predict, "done", black_box(took)));
    let call = call()?;
    let all_ns = phase * PHASES + batch * BATCHES + lease + item + call * CALLS;
    let share = all_ns * 1e-9 / ITEM_CPU_S;
    tell("metrics/an item", share * 100.0, "percent of 1 s of CPU");
    if share > MAY_TAKE {
        return Err(format!("{:.2} % of an item: more than half a percent", share * 100.0).into());
    }
    Ok(())
}

/// What a clock adds to a call that does next to nothing: a lookup of a key that is not there.
fn call() -> Result<f64, Box<dyn std::error::Error>> {
    const CALLED: u32 = 20_000;
    let folder = tempfile::tempdir()?;
    let root = folder.path().to_str().ok_or("a folder of another alphabet")?.to_owned();
    let urls = Urls { root, queue: "local:".into(), ledger: "local:".into() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plain = runtime.block_on(open(&urls))?;
    let timed = counted(plain.clone());
    // In turns, and the quickest: what else the machine does is no cost of ours.
    let mut best = [f64::MAX; 2];
    for _ in 0..5 {
        for (best, blobs) in best.iter_mut().zip([&plain.blobs, &timed.blobs]) {
            let began = Instant::now();
            for _ in 0..CALLED {
                let _ = black_box(runtime.block_on(blobs.head("none")));
            }
            *best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLED));
        }
    }
    let added = (best[1] - best[0]).max(0.0);
    tell("metrics/call", added, "ns");
    Ok(added)
}

/// Nanoseconds of one.
fn measured(name: &str, rounds: u32, update: impl Fn()) -> f64 {
    update();
    let began = Instant::now();
    for _ in 0..rounds {
        update();
    }
    let ns = began.elapsed().as_secs_f64() * 1e9 / f64::from(rounds);
    tell(&format!("metrics/{name}"), ns, "ns");
    ns
}

fn tell(name: &str, value: f64, unit: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{}",
        serde_json::json!({ "name": name, "value": value, "unit": unit, "load": load.split(' ').next() })
    );
}
