//! A broker that cuts off whoever is silent, and one that is short of memory: told once, with what to do; nothing is
//! lost, and all goes on when it has some again.

use std::time::{Duration, Instant};

use swath_proto::{item::Stage, status::RunState};

use crate::{
    heals::Busy,
    shared_servers::Mortal,
    site::{Kind, Site, pipeline},
};

/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(600);
/// Whoever says nothing for twice as many seconds is cut off.
const HEARTBEAT_S: u32 = 4;

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waiting until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_run_waits_for_a_broker_that_takes_no_messages_and_says_why() {
    let servers = Mortal::start();
    let broker = &servers.rabbitmq;
    // Raising an alarm takes seconds.
    let busy = Busy::start_slow(Site::on(&servers));
    busy.wait_for_some();
    broker.control(&["set_vm_memory_high_watermark", "0"]);
    busy.is_at_work("the alarm was raised");
    let status = || busy.site.status(&busy.run).and_then(|status| status.message).unwrap_or_default();
    until("the status says why nothing is published", || status().contains("has raised an alarm"));
    let log = || std::fs::read_to_string(busy.site.path("processes.log")).unwrap_or_default();
    let told = log().matches("the broker takes no messages").count();
    assert_eq!(told, 1, "{}", log());
    let doctor = busy.site.swath(&["doctor"], 1);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.contains("FAILED   publish, receive and settle") && doctor.contains("has raised an alarm"),
        "{doctor}"
    );
    assert!(doctor.contains("ok       count what waits on lane cpu"), "the broker is deaf: {doctor}");

    broker.control(&["set_vm_memory_high_watermark", "0.9"]);
    busy.ends_with_the_same_bytes("the broker took no messages");
    assert!(log().contains("the broker takes messages again"), "{}", log());
    assert_eq!(status(), "");
}

#[test]
fn a_worker_that_computes_for_long_keeps_its_connection() {
    let mut site = Site::new(Kind::Servers);
    site.queue += &format!("&heartbeat={HEARTBEAT_S}");
    let file = pipeline(&site, "item_px = 2048", "");
    let slow = [
        "model.architecture=unet-resnet18",
        "predict.core_px=256",
        "predict.margin_px=32",
        "predict.augment=flips",
    ];
    let slow = slow.iter().flat_map(|set| ["--set", set]);
    let args: Vec<_> = ["submit", file.to_str().expect("UTF-8")].into_iter().chain(slow).collect();
    let output = site.swath(&args, 0);
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let _processes = [site.start(&["coordinator"]), site.start(&["worker"])];
    let status = site.wait(&run, PATIENCE);
    assert_eq!(status.state, RunState::Done, "{status:?}");
    let predict = &status.stages[Stage::Predict.name()];
    let is_long = predict.seconds > f64::from(2 * HEARTBEAT_S);
    assert!(predict.items == 1 && is_long, "too short to show anything: {predict:?}");
    let log = std::fs::read_to_string(site.path("processes.log")).expect("a log");
    assert!(log.contains("ready") && !log.contains("broker was lost"), "{log}");
}
