//! How large a run may be: when its first item is published, what the coordinator keeps in memory, how long it
//! takes to find again what is done. Not tests but measurements, beside what must hold: `make bench-scale`.

mod limits;
mod noops;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use swath_backends::{open::Doors, queue::Lane};
use swath_coordinator::plan::{self, Lot};
use swath_proto::{
    geometry::{SizePx, WindowPx},
    ids::{ItemId, RunId},
    item::Stage,
    keys,
    numeric::NumericClass,
    run::RunRecord,
    scene::{SceneFiles, SceneHeader, Surveyed, SurveyedScene},
};

use crate::{
    counted::{frozen, noops, put},
    site::{Kind, Process, Site},
};

const ITEMS: u32 = 10_000_000;
/// 3163 x 3163 items of 64 pixels.
const EDGE_PX: u32 = 202_432;
const DONE: u32 = 1_000_000;
/// Far more than any of this takes.
const PATIENCE: Duration = Duration::from_secs(580);

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future)
}

pub fn print(name: &str, value: f64, unit: &str, process: &Process, since: Instant) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let (cpu_s, rss_mib, wall_s) = (cpu_s(process), rss_mib(process), since.elapsed().as_secs_f64());
    println!(
        r#"{{"name":"scale/{name}","value":{value:.3},"unit":"{unit}","cpu_s":{cpu_s:.2},"wall_s":{wall_s:.2},"rss_mib":{rss_mib:.1},"load":{load}}}"#
    );
}

/// The most it has had.
fn rss_mib(process: &Process) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a live process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

pub fn cpu_s(process: &Process) -> f64 {
    cpu_s_of(process.id())
}

pub fn cpu_s_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a live process");
    let fields = stat[stat.rfind(')').expect("a name") + 1..].split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    // SAFETY: a plain call.
    ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}

pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn is_published(doors: &Doors) -> bool {
    doors.queue.waiting(Lane::Cpu).await.expect("counting") >= 10
}

/// As a probe would have found it.
pub fn class(record: &RunRecord) -> NumericClass {
    NumericClass {
        engine: "test".into(),
        precision: "fp32".into(),
        instruction_set: "none".into(),
        model: record.predict.model.clone(),
        window: record.predict.window,
        batch: record.predict.batch,
        threads: 1,
        fingerprint: ItemId::of(b""),
    }
}

/// As a survey would have read it.
pub fn header(files: &SceneFiles, edge_px: u32) -> SceneHeader {
    SceneHeader {
        id: files.id.clone(),
        source: files.source.clone(),
        size: SizePx::new(edge_px, edge_px),
        places: vec![WindowPx::new(0, 0, edge_px, edge_px)],
        bands: 3,
        data_type: "Byte".into(),
        block: SizePx::new(256, 256),
        georeference: None,
        aoi: None,
    }
}

/// A run of one scene in ten million items, surveyed already.
async fn huge_scene(site: &Site, doors: &Doors, item_px: u32) -> (RunRecord, Lot) {
    let mut record = frozen(site, doors).await;
    record.run = format!("huge-{:08x}", rand::random::<u32>()).parse().expect("a run's name");
    record.predict.item_px = Some(item_px);
    record.predict.class = Some(class(&record));
    let scenes = vec![SurveyedScene::Readable(header(&record.scenes[0], EDGE_PX))];
    let survey = serde_json::to_vec(&Surveyed::V1 { scenes: scenes.clone() }).expect("JSON");
    let key = keys::item_output(&plan::survey(&record, 0));
    doors.blobs.put(&key, survey.into()).await.expect("writing a survey");
    put(doors, &record).await;
    let lot = Lot::new(&record, 0, scenes);
    (record, lot)
}

#[test]
#[ignore = "a measurement: make bench-scale"]
fn scale_ten_million_items_begin_at_once_in_bounded_memory() {
    for shuffle in [None, Some(5)] {
        let site = Site::new(Kind::Embedded);
        block_on(async {
            let doors = site.doors().await;
            let run = noops(&site, &doors, "many", ITEMS).await;
            let record = doors.blobs.get(&keys::run_record(&run)).await.expect("a record");
            put(&doors, &RunRecord { shuffle, ..RunRecord::from_json(&record).expect("a record") }).await;
            let (coordinator, started) = (site.start(&["coordinator"]), Instant::now());
            until("a first item", async || is_published(&doors).await).await;
            let name = if shuffle.is_some() { "shuffled-" } else { "" };
            print(
                &format!("{name}10M-noops/first"),
                started.elapsed().as_secs_f64(),
                "s",
                &coordinator,
                started,
            );
            let _worker = site.start(&["worker", "--slots", "32"]);
            until("ten thousand items", async || n_done(&doors, &run).await >= 10_000).await;
            print(&format!("{name}10M-noops/rss"), rss_mib(&coordinator), "MiB", &coordinator, started);
            assert!(rss_mib(&coordinator) < 200.0);
        });
    }
}

#[test]
#[ignore = "a measurement: make bench-scale"]
fn scale_a_scene_of_ten_million_items_begins_at_once_in_bounded_memory() {
    let site = Site::new(Kind::Embedded);
    block_on(async {
        let doors = site.doors().await;
        let (_, lot) = huge_scene(&site, &doors, 64).await;
        assert!(lot.scenes[0].grid.len() > ITEMS);
        let (coordinator, started) = (site.start(&["coordinator"]), Instant::now());
        until("a first item", async || is_published(&doors).await).await;
        print("10M-predict/first", started.elapsed().as_secs_f64(), "s", &coordinator, started);
        tokio::time::sleep(Duration::from_secs(5)).await;
        print("10M-predict/rss", rss_mib(&coordinator), "MiB", &coordinator, started);
        assert!(rss_mib(&coordinator) < 200.0);
    });
}

async fn n_done(doors: &Doors, run: &RunId) -> u64 {
    doors.ledger.snapshot(run).await.expect("a snapshot").n_done()
}

/// Outputs as they lie under a root of folders; synced to no disk, since there are a million.
async fn outputs(record: &RunRecord, lot: &Lot, root: &Path, n: u32) {
    for stem in 0..=255_u8 {
        std::fs::create_dir_all(root.join(format!("items/{stem:02x}/{}", Stage::Predict))).expect("folders");
    }
    for index in 0..n {
        let item = plan::predict(record, lot, index).expect("an item");
        std::fs::write(root.join(keys::item_output(&item)), b"").expect("an output");
    }
}

fn a_million_outputs_are_found_again(site: &Site, name: &str) {
    block_on(async {
        let doors = site.doors().await;
        let (record, lot) = huge_scene(site, &doors, 64).await;
        outputs(&record, &lot, Path::new(&site.root), DONE).await;
        let (coordinator, started) = (site.start(&["coordinator"]), Instant::now());
        until("the first of them", async || n_done(&doors, &record.run).await > 1).await;
        print(
            &format!("1M-outputs/{name}/listed"),
            started.elapsed().as_secs_f64(),
            "s",
            &coordinator,
            started,
        );
        until("all of them", async || n_done(&doors, &record.run).await > u64::from(DONE)).await;
        print(
            &format!("1M-outputs/{name}/found"),
            started.elapsed().as_secs_f64(),
            "s",
            &coordinator,
            started,
        );
    });
}

#[test]
#[ignore = "a measurement: make bench-scale"]
fn scale_a_million_outputs_are_found_again_for_the_embedded_ledger() {
    a_million_outputs_are_found_again(&Site::new(Kind::Embedded), "embedded");
}

#[test]
#[ignore = "a measurement: make bench-scale"]
fn scale_a_million_outputs_are_found_again_for_redis() {
    let redis = swath_tests::redis::Redis::start();
    let mut site = Site::new(Kind::Embedded);
    site.ledger = redis.url();
    a_million_outputs_are_found_again(&site, "redis");
}
