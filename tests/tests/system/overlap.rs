//! Whether reading, writing and talking to servers hide behind what the device computes. Not a test but a
//! measurement: `make bench-overlap` runs it.

use std::time::{Duration, Instant};

use swath_proto::status::RunState;

use crate::site::{Kind, Site, pipeline};

/// A network of a size that people use, so that the device has something to do.
const NETWORK: [&str; 6] = [
    "--set",
    "model.architecture=unet-resnet18",
    "--set",
    "predict.core_px=256",
    "--set",
    "predict.margin_px=32",
];

/// One worker with so many items in hand.
fn measure(kind: Kind, slots: &str) {
    let site = Site::new(kind);
    let file = pipeline(&site, "item_px = 256", "");
    let args = [&["submit", file.to_str().expect("UTF-8")], &NETWORK[..]].concat();
    let run = String::from_utf8_lossy(&site.swath(&args, 0).stdout).trim().to_owned();
    let _coordinator = site.start(&["coordinator"]);
    let started = Instant::now();
    let mut worker = site.start(&["worker", "--slots", slots]);
    let status = site.wait(&run, Duration::from_secs(600));
    let wall = started.elapsed().as_secs_f64();
    assert_eq!(status.state, RunState::Done, "{status:?}");
    assert_eq!(worker.terminate(), Some(0));
    let log = site.log();
    let told = log.lines().find(|line| line.contains("the device has been busy")).expect("its last words");
    let number = |name: &str| -> f64 {
        let after = told.split_once(&format!(" {name}=")).expect("a field").1;
        after.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let line = serde_json::json!({
        "name": format!("device-busy/{kind:?}/{slots}-slots").to_lowercase(), "value": number("percent"),
        "unit": "%", "busy_s": number("busy_s"), "of_s": number("of_s"), "wall_s": wall,
        "load": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()),
    });
    println!("{line}");
}

#[test]
#[ignore = "a measurement: make bench-overlap"]
fn on_the_embedded_twins() {
    ["1", "3"].into_iter().for_each(|slots| measure(Kind::Embedded, slots));
}

#[test]
#[ignore = "a measurement: make bench-overlap"]
fn on_servers() {
    ["1", "3"].into_iter().for_each(|slots| measure(Kind::Servers, slots));
}
