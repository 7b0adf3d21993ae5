//! The page and its API, from outside: who is let in, what is told, what is asked, and all of it in a browser.

mod browser;
mod client;
mod lets_in;
mod scale;

use std::{
    io::{BufRead as _, BufReader},
    time::{Duration, Instant},
};

use swath_proto::status::RunState;

use self::client::{Served, png_size};
use crate::{
    failures,
    site::{Kind, Site, pipeline},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// Windows of 64 px, so that there are many items.
const MANY: &str = "item_px = 64";

fn submitted(site: &Site, predict: &str) -> String {
    let file = pipeline(site, predict, "").display().to_string();
    String::from_utf8_lossy(&site.swath(&["submit", &file], 0).stdout).trim().to_owned()
}

#[test]
fn what_is_asked_on_the_page_is_done() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let run = submitted(&site, MANY);
        let page = Served::coordinator(&site, &[]);
        let act = |what: &str, body: &str| page.post(&format!("/api/runs/{run}/{what}"), body).status;
        assert_eq!(act("pause", ""), 202);
        site.wait_obeyed(&run, PATIENCE);
        assert_eq!(page.json(&format!("/api/runs/{run}"))["status"]["state"], "paused");
        assert_eq!(act("priority", r#"{"priority":7,"share":2}"#), 202);
        site.wait_obeyed(&run, PATIENCE);
        let rank = site.status(&run).expect("a status").rank;
        assert_eq!((rank.priority, rank.share), (7, 2));
        for (what, body) in [
            ("priority", r#"{"priority":5000}"#),
            ("priority", "{}"),
            ("priority", "no JSON"),
            ("replay", r#"{"items":["predict.0.1"],"all":true}"#),
            ("drop", r#"{"items":[]}"#),
            ("drop", r#"{"items":["../../x"]}"#),
        ] {
            assert_eq!(act(what, body), 400, "{what} {body}");
        }
        assert_eq!(act("drop", r#"{"items":["survey.0.0"]}"#), 202);
        site.wait_obeyed(&run, PATIENCE);
        let failures = page.json(&format!("/api/runs/{run}/failures"));
        assert_eq!((&failures["total"], &failures["failures"][0]["is_dropped"]), (&1.into(), &true.into()));
        assert_eq!(act("cancel", ""), 202);
        assert_eq!(site.wait(&run, PATIENCE).state, RunState::Cancelled);
        assert_eq!(act("pause", ""), 409);
        assert_eq!(page.post("/api/runs/nobody-1/pause", "").status, 404);
    }
}

#[test]
fn runs_are_read_page_by_page_the_newest_first() {
    let site = Site::new(Kind::Embedded);
    let runs: Vec<String> =
        [64, 128, 256].iter().map(|edge| submitted(&site, &format!("item_px = {edge}"))).collect();
    let page = Served::coordinator(&site, &[]);
    let started = Instant::now();
    // Until they are taken up they stand elsewhere.
    let are_begun = || {
        let told = page.json("/api/runs");
        let all = told["runs"].as_array().expect("runs");
        all.len() == 3 && all.iter().all(|run| run["started"].is_string())
    };
    while !are_begun() {
        assert!(started.elapsed() < PATIENCE, "they are not taken up: {}", site.worker_logs());
        std::thread::sleep(Duration::from_millis(200));
    }
    let names = |told: &serde_json::Value| -> Vec<String> {
        let all = told["runs"].as_array().expect("runs").iter();
        all.map(|run| run["run"].as_str().expect("a name").to_owned()).collect()
    };
    let whole = page.json("/api/runs");
    let all = names(&whole);
    assert_eq!((all.len(), &whole["total"], &whole["next"]), (3, &3.into(), &serde_json::Value::Null));
    let (mut read, mut after) = (Vec::new(), String::new());
    for _ in 0..3 {
        let told = page.json(&format!("/api/runs?n=1{after}"));
        read.extend(names(&told));
        after = match told["next"].as_str() {
            Some(next) => format!("&after={}", next.replace(' ', "%20")),
            None => break,
        };
    }
    assert_eq!(read, all);
    let found = page.json(&format!("/api/runs?only=under_way&name={}", runs[1]));
    assert_eq!((names(&found), &found["found"]), (vec![runs[1].clone()], &1.into()));
    assert!(names(&page.json("/api/runs?only=failed")).is_empty());
    for wrong in ["n=-1", "only=other", format!("after={}", "x".repeat(600)).as_str()] {
        assert_eq!(page.get(&format!("/api/runs?{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn whoever_watches_is_told_what_happens() {
    let site = Site::new(Kind::Embedded);
    let run = submitted(&site, MANY);
    let page = Served::coordinator(&site, &[]);
    let _worker = site.start(&["worker"]);
    let started = Instant::now();
    while site.predicted(&run) == 0 {
        assert!(started.elapsed() < PATIENCE, "nothing is predicted: {}", site.worker_logs());
    }
    assert_eq!(page.post(&format!("/api/runs/{run}/pause"), "").status, 202);
    site.wait_obeyed(&run, PATIENCE);

    let stream = page.open(&format!("/api/runs/{run}/events"));
    let mut lines = BufReader::new(stream).lines();
    let mut next = |event: &str| {
        let wanted = format!("event: {event}");
        let found = lines.by_ref().map(|line| line.expect("a line")).find(|line| {
            assert!(started.elapsed() < 2 * PATIENCE, "{event} is not told");
            *line == wanted
        });
        assert!(found.is_some(), "the line was closed before {event} was told");
        let data = lines.next().expect("data").expect("a line");
        serde_json::from_str::<serde_json::Value>(data.strip_prefix("data: ").expect("data")).expect("JSON")
    };
    assert_eq!(next("status")["state"], "paused");
    assert!(next("parts")["layout"].is_string());
    assert_eq!(page.post(&format!("/api/runs/{run}/resume"), "").status, 202);
    while next("status")["state"] == "paused" {}
    // Parts change one by one, and are told so.
    while next("parts")["changes"].as_array().is_none_or(Vec::is_empty) {}
}

#[test]
fn who_watches_a_run_hears_of_its_end_from_the_program_that_ends_with_it() {
    let site = Site::new(Kind::Embedded);
    let run = submitted(&site, MANY);
    site.swath(&["pause", &run], 0);
    let file = pipeline(&site, MANY, "").display().to_string();
    let page = Served::start(&site, &["run", &file, "--workers", "1", "--http", "127.0.0.1:0"]);
    site.wait_obeyed(&run, PATIENCE);
    let lines = BufReader::new(page.open(&format!("/api/runs/{run}/events"))).lines();
    assert_eq!(page.post(&format!("/api/runs/{run}/resume"), "").status, 202);
    let told: Vec<String> = lines.map(|line| line.expect("a line")).collect();
    let last = told.iter().rposition(|line| line == "event: status").expect("a status");
    let status = told[last + 1].strip_prefix("data: ").expect("data");
    let status: serde_json::Value = serde_json::from_str(status).expect("JSON");
    assert_eq!(status["state"], "done", "{}", site.worker_logs());
}

#[test]
fn a_worker_counts_what_was_set_aside_in_its_hands() {
    let site = Site::new(Kind::Embedded);
    let victim = failures::victim(&site);
    let whole = std::fs::read(&victim).expect("a scene");
    std::fs::write(&victim, &whole[..whole.len() / 2]).expect("writing");
    let run = failures::submit(&site, &failures::with_victim(&site, &victim, ""));
    let page = Served::coordinator(&site, &[]);
    let _worker = site.start(&["worker"]);
    let n = site.wait(&run, PATIENCE).n_failures;
    assert!(n > 0, "nothing failed");
    let started = Instant::now();
    let failed = || page.json("/api/workers")["workers"][0]["card"]["failed"].as_u64();
    while failed() != Some(n) {
        assert!(started.elapsed() < PATIENCE, "{n} failed: {}", page.json("/api/workers"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_scene_is_shown_as_it_is_and_as_it_was_found() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site, "item_px = 256", "").display().to_string();
    let ran = site.swath(&["run", &file, "--workers", "1"], 0);
    let run = crate::same_bytes::run_name(&ran.stdout);
    let page = Served::coordinator(&site, &[]);
    let scenes = page.json(&format!("/api/runs/{run}/scenes"));
    let scene = &scenes["scenes"][0];
    assert_eq!((&scene["n"], &scene["done"], &scene["cols"]), (&36.into(), &36.into(), &6.into()));
    assert_eq!((&scene["state"], &scene["has_labels"]), (&"done".into(), &true.into()));
    let parts = page.get(&format!("/api/runs/{run}/parts"));
    assert_eq!(parts.body, [0b10_10_10_10; 9], "36 parts, all of them done");
    assert!(parts.header("swath-layout").is_some());
    assert_eq!(parts.header("swath-parts"), Some("36"));
    let script = page.ask("GET", "/assets/app.js", &[("Accept-Encoding", "gzip")], "");
    assert_eq!(script.header("content-encoding"), Some("gzip"));
    assert!(script.body.len() < page.get("/assets/app.js").body.len() / 2);

    let at = format!("/api/runs/{run}/scenes/scene-1");
    let one = page.json(&at);
    assert_eq!((&one["before"], &one["after"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    let layers = serde_json::json!(["imagery", "labels", "prediction", "errors"]);
    assert_eq!((&one["layers"], &one["levels"]), (&layers, &4.into()));
    for layer in ["imagery", "labels", "prediction", "errors"] {
        // The last tile of the scene's own pixels, of the level above, and the whole.
        for (tile, size) in [("0/5/5", (220, 220)), ("1/2/2", (238, 238)), ("3/0/0", (188, 188))] {
            let answer = page.get(&format!("{at}/tiles/{layer}/{tile}"));
            assert_eq!(answer.status, 200, "{layer} {tile}: {}", answer.text());
            assert_eq!(png_size(&answer.body), size, "{layer} {tile}");
        }
        for tile in ["0/6/0", "4/0/0", "99/0/0", "0/4294967295/0"] {
            assert_eq!(page.get(&format!("{at}/tiles/{layer}/{tile}")).status, 404, "{layer} {tile}");
        }
    }
    assert_eq!(page.get(&format!("{at}/tiles/confidence/0/0/0")).status, 404, "this run keeps none");
    assert_eq!(png_size(&page.get(&format!("{at}/thumbnail?px=200")).body), (188, 188));
    let scores = page.json(&format!("/api/runs/{run}/scores"));
    assert_eq!((&scores["total"], &scores["scenes"][0]["scene"]), (&1.into(), &"scene-1".into()));

    // What was told at its end stands alone, and may do nothing.
    let about = page.json(&format!("/api/runs/{run}"));
    assert_eq!(about["has_report"], true);
    let made = about["made"].as_array().expect("what it has made");
    let keys: Vec<&str> = made.iter().filter_map(|made| made["key"].as_str()).collect();
    let map = format!("predict/{run}/scene-1.tif");
    assert!(keys.contains(&map.as_str()), "{keys:?}");
    assert!(keys.iter().all(|key| !site.object(key).is_empty()), "{keys:?}");
    assert_eq!(one["made"][0]["key"], map);
    let report = page.get(&format!("/api/runs/{run}/report"));
    assert!(report.header("content-security-policy").is_some_and(|policy| policy.contains("sandbox")));
    let text = report.text();
    assert!(text.contains("building") && text.contains("predict") && !text.contains("<script"), "{text}");
    let told: serde_json::Value =
        serde_json::from_slice(&site.object(&format!("runs/{run}/report.json"))).expect("JSON");
    assert_eq!((&told["state"], &told["scenes"]), (&"done".into(), &1.into()));
    assert!(told["scores"][1]["metrics"]["f1"].is_number() && told["bottleneck"].is_string(), "{told}");
    // A worker has drawn the scene beside its scores.
    let shown = &told["shown"][0];
    assert_eq!(shown["scene"], "scene-1", "{told}");
    let picture = site.object(shown["key"].as_str().expect("a key"));
    assert_eq!(png_size(&picture).0, 16 + 4 * (375 + 16), "four panels");
    assert!(text.contains("<img alt=\"scene-1: imagery, labels, prediction, errors\" src=\"data:image/png"));
    outlives_whoever_draws(&page, &at);
}

/// Whoever draws may end at any picture: that is said, what is of the same file is left alone, and the rest drawn by another.
fn outlives_whoever_draws(page: &Served, at: &str) {
    // Each once: what was drawn is kept.
    let tile = |nth: u32| page.get(&format!("{at}/tiles/imagery/0/{}/{}", nth % 5, nth / 5));
    let coordinator = page.process.id();
    let drawn_by = drawing(coordinator);
    assert!(!drawn_by.is_empty(), "the coordinator draws by itself");
    signal(&drawn_by, libc::SIGKILL);
    let started = Instant::now();
    while !drawn_by.iter().all(has_ended) {
        assert!(started.elapsed() < PATIENCE, "they don't end");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(tile(0).status, 200, "one that has ended in the meantime is not asked");
    // In the middle of a picture, sooner or later.
    let mut answers = (1..24).map(|nth| {
        let drawing = drawing(coordinator);
        signal(&drawing, libc::SIGSTOP);
        let answer = std::thread::scope(|scope| {
            let asked = scope.spawn(|| tile(nth));
            std::thread::sleep(Duration::from_millis(200));
            signal(&drawing, libc::SIGKILL);
            asked.join().expect("an answer")
        });
        (nth, answer)
    });
    let (nth, lost) = answers.find(|(_, answer)| answer.status != 200).expect("a picture that is lost");
    assert_eq!(lost.status, 503, "{}", lost.text());
    assert!(lost.text().contains("the process that draws has ended at 'scene-1'"), "{}", lost.text());
    for again in [tile(nth), tile(24)] {
        assert_eq!(again.status, 503, "nobody is lost at this layer of the scene again");
        assert!(again.text().contains("'scene-1' is left alone for"), "{}", again.text());
    }
    assert_eq!(
        page.get(&format!("{at}/tiles/labels/0/0/0")).status,
        200,
        "another draws what is of other files"
    );
    assert_eq!(page.process.id(), coordinator);
}

/// Processes that draw for a coordinator.
fn drawing(coordinator: u32) -> Vec<libc::pid_t> {
    let of_parent = |pid: &libc::pid_t| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        parent == Some(coordinator) && words.split(|byte| *byte == 0).nth(1) == Some(&b"draw"[..])
    };
    let all = std::fs::read_dir("/proc").expect("processes");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(of_parent).collect()
}

/// Whoever has started it can be told so: it waits for that, or was seen to be gone. Its memory is given back before. While
/// threads of it are left nobody is told, though the first one has ended.
fn has_ended(pid: &libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let words: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Its state, and how many threads it has.
    words.first().is_none_or(|state| *state == "Z" && words.get(17) == Some(&"1"))
}

fn signal(pids: &[libc::pid_t], signal: libc::c_int) {
    for pid in pids {
        // SAFETY: a plain call. They are children of a process of ours, which was seen a moment ago.
        unsafe { libc::kill(*pid, signal) };
    }
}
