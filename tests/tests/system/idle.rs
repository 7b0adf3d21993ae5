//! What a worker without work costs. Not a test but a measurement: `make bench-idle` runs it.

use std::time::{Duration, Instant};

use crate::site::{Kind, Process, Site};

const WATCHED: Duration = Duration::from_secs(60);
/// From "ready" until the first look for work lies behind it.
const SETTLED: Duration = Duration::from_secs(5);

/// Of a process and the child that it looks after, in seconds.
pub fn cpu_seconds(process: &Process) -> f64 {
    let pid = process.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its children");
    let all = children.split_whitespace().map(|child| child.parse().expect("a number")).chain([pid]);
    let ticks = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process that lives");
        let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
        // utime and stime are the 14th and 15th of all.
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum()
    };
    // SAFETY: a plain question.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    all.map(ticks).sum::<u64>() as f64 / a_second
}

fn measure(kind: Kind) {
    let site = Site::new(kind);
    let worker = site.start(&["worker", "--allow-steps"]);
    while !site.log().contains("ready") {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(SETTLED);
    let (cpu, started) = (cpu_seconds(&worker), Instant::now());
    std::thread::sleep(WATCHED);
    let (cpu, wall) = (cpu_seconds(&worker) - cpu, started.elapsed().as_secs_f64());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let line = serde_json::json!({
        "name": format!("idle/{kind:?}").to_lowercase(), "value": 100.0 * cpu / wall, "unit": "% of a core",
        "cpu_s": cpu, "wall_s": wall,
        "load": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()),
    });
    println!("{line}");
}

#[test]
#[ignore = "a measurement: make bench-idle"]
fn on_the_embedded_twins() {
    measure(Kind::Embedded);
}

#[test]
#[ignore = "a measurement: make bench-idle"]
fn on_servers() {
    measure(Kind::Servers);
}
