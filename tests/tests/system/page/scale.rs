//! What the page costs where a run is large and many watch it, and how long a browser takes to draw it. Not tests but
//! measurements, beside what must hold: `make bench-scale` and `make bench-page`.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use swath_backends::{ledger::Claim, open::Doors};
use swath_coordinator::plan;
use swath_proto::{
    item::{Place, Stage},
    keys,
    outcome::Report,
    run::RunRecord,
    scene::{SceneFiles, Surveyed, SurveyedScene},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::client::Served;
use crate::{
    counted::{frozen, put},
    scale::{block_on, class, cpu_s, header, print, until},
    site::{Kind, Site},
};

const SCENES: u32 = 10_000;
/// 10 x 10 parts of 64 pixels.
const EDGE_PX: u32 = 640;
const PARTS: u32 = 100 * SCENES;
const WATCHERS: usize = 200;
const LOOKED_AT: Duration = Duration::from_secs(20);

/// A run of a million parts, surveyed already.
async fn many_scenes(site: &Site, doors: &Doors) -> RunRecord {
    let mut record = frozen(site, doors).await;
    record.run = format!("large-{:08x}", rand::random::<u32>()).parse().expect("a run's name");
    record.predict.item_px = Some(64);
    record.predict.class = Some(class(&record));
    let like = record.scenes[0].clone();
    let scene = |n: u32| SceneFiles { id: format!("tile-{n}").parse().expect("a name"), ..like.clone() };
    record.scenes = (0..SCENES).map(scene).collect();
    for lot in 0..record.lots() {
        let read = |files: &SceneFiles| SurveyedScene::Readable(header(files, EDGE_PX));
        let surveyed = Surveyed::V1 { scenes: record.lot(lot).iter().map(read).collect() };
        let key = keys::item_output(&plan::survey(&record, lot));
        let json = serde_json::to_vec(&surveyed).expect("JSON");
        doors.blobs.put(&key, json.into()).await.expect("writing a survey");
    }
    put(doors, &record).await;
    record
}

/// Does nothing, and says that it is done: some fifty parts a second.
async fn work(doors: Doors, record: RunRecord) {
    let (run, me) = (&record.run, "nobody".parse().expect("a name"));
    for n in 0.. {
        let place = Place::new(Stage::Predict, n % record.lots(), n / record.lots());
        let claimed = doors.ledger.claim(run, place, &me, Duration::from_secs(60)).await.expect("claiming");
        if matches!(claimed, Claim::Go { .. }) {
            let report = Report { seconds: 0.01, pixels: 64 * 64, bytes: 1 };
            doors.ledger.finish(run, place, report).await.expect("finishing");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads what it is told, until it is dropped.
async fn watch(address: String, path: String) {
    let mut stream = TcpStream::connect(&address).await.expect("connecting");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asking");
    let mut bytes = vec![0; 64 << 10];
    while stream.read(&mut bytes).await.expect("reading") > 0 {}
}

/// Of the coordinator: seconds of CPU a second.
async fn cores(page: &Served) -> f64 {
    let (before, began) = (cpu_s(&page.process), Instant::now());
    tokio::time::sleep(LOOKED_AT).await;
    (cpu_s(&page.process) - before) / began.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement: make bench-scale"]
fn scale_a_million_parts_are_drawn_at_once_and_two_hundred_may_watch_them() {
    let site = Site::new(Kind::Embedded);
    block_on(async {
        let doors = site.doors().await;
        let record = many_scenes(&site, &doors).await;
        let (page, started) = (Served::coordinator(&site, &[]), Instant::now());
        let at = format!("/api/runs/{}", record.run);
        until("all parts", async || page.json(&format!("{at}/scenes?n=1"))["parts"] == PARTS).await;
        // What was looked at is old by then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asked = Instant::now();
        page.json(&at);
        assert_eq!(page.get(&format!("{at}/parts")).body.len(), PARTS as usize / 4);
        assert_eq!(page.json(&format!("{at}/scenes?n=120"))["total"], SCENES);
        print("1M-parts/page", asked.elapsed().as_secs_f64(), "s", &page.process, started);

        let work = tokio::spawn(work(doors.clone(), record.clone()));
        let alone = cores(&page).await;
        let watchers: Vec<_> = (0..WATCHERS)
            .map(|_| tokio::spawn(watch(page.address.clone(), format!("{at}/events"))))
            .collect();
        let watched = cores(&page).await;
        print("1M-parts/unwatched", alone, "cores", &page.process, started);
        print("1M-parts/200-watchers", watched - alone, "cores", &page.process, started);
        assert!(watchers.iter().all(|watcher| !watcher.is_finished()), "a line was closed");
        assert!(!work.is_finished());
        assert!(watched - alone < 0.5, "those who watch cost {} cores", watched - alone);
    });
}

/// Loads of which the median is told.
const LOADS: &str = "7";

/// Six in ten parts of each lot but the last are done, whole scenes of them: what is drawn has more than one colour.
async fn do_in_part(doors: &Doors, record: &RunRecord) {
    for lot in 0..record.lots() {
        let n = if lot + 1 < record.lots() { PARTS / record.lots() / 10 * 6 } else { 0 };
        let survey = Place::new(Stage::Survey, lot, 0);
        let done: Vec<Place> =
            (0..n).map(|index| Place::new(Stage::Predict, lot, index)).chain([survey]).collect();
        doors.ledger.restore(&record.run, &done).await.expect("marking parts as done");
    }
}

#[test]
#[ignore = "a measurement that takes a browser: make bench-page"]
fn page_of_ten_thousand_scenes_in_a_browser() {
    let site = Site::new(Kind::Embedded);
    block_on(async {
        let doors = site.doors().await;
        let record = many_scenes(&site, &doors).await;
        do_in_part(&doors, &record).await;
        let page = Served::coordinator(&site, &[]);
        let at = format!("/api/runs/{}", record.run);
        until("all parts", async || page.json(&format!("{at}/scenes?n=1"))["parts"] == PARTS).await;
        let before = cpu_s(&page.process);
        let status = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/test/scale.mjs"))
            .arg(format!("http://{}/", page.address))
            .args([record.run.as_str(), LOADS])
            .status()
            .expect("starting node");
        assert!(status.success(), "see above; {}", site.worker_logs());
        println!(
            r#"{{"name":"page/coordinator","value":{:.2},"unit":"cpu_s of all loads"}}"#,
            cpu_s(&page.process) - before
        );
    });
}
