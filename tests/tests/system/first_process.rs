//! A worker as the first process of a container: whoever loses a parent there becomes its child, unasked.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use swath_proto::worker::GROUP;

use crate::site::{Kind, Site};

/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a process is the parent of, by name; those that have ended and were not waited for as well.
fn children(pid: u32) -> Vec<String> {
    let pids = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pids.split_whitespace().map(|pid| name(pid).trim().to_owned()).collect()
}

fn is_at_work(site: &Site) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cards = runtime.block_on(async { site.doors().await.ledger.announced(GROUP).await });
    !cards.expect("cards").is_empty()
}

#[test]
fn a_worker_buries_processes_that_it_never_started_and_leaves_well_when_it_is_told() {
    let site = Site::new(Kind::Embedded);
    let worker = site.command(&["worker"]);
    // It takes the place of a shell that has a child by then.
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 0 & exec \"$0\" \"$@\""]).arg(worker.get_program()).args(worker.get_args());
    command.current_dir(site.folder.path());
    for (name, value) in worker.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let mut worker = site.start_command(command);
    let started = Instant::now();
    while children(worker.id()) != ["swath-worker"] {
        let there = children(worker.id());
        assert!(started.elapsed() < PATIENCE, "its children are {there:?}\n{}", site.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Before that it does not listen to signals yet.
    while !is_at_work(&site) {
        assert!(started.elapsed() < PATIENCE, "it does not say that it is there\n{}", site.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(worker.terminate(), Some(0), "{}", site.log());
}
