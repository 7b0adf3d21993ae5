//! Documents of a program that came after this one: each is refused in words, and nothing else is disturbed.

use std::time::{Duration, Instant};

use swath_proto::{ids::RunId, keys, status::RunState};

use crate::site::{Kind, Site, pipeline};

const PATIENCE: Duration = Duration::from_secs(120);

fn submit(site: &Site, file: &str) -> RunId {
    let output = site.swath(&["submit", file, "--rerun"], 0);
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a run's name")
}

/// Changes a document under the root of a site of folders.
fn edit(site: &Site, key: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let path = std::path::Path::new(&site.root).join(key);
    let text = std::fs::read(&path).expect("a document");
    let mut json = serde_json::from_slice(&text).expect("JSON");
    change(&mut json);
    std::fs::write(&path, json.to_string()).expect("writing");
}

#[test]
fn a_run_of_a_newer_program_is_refused_in_words_and_the_others_are_served() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site, "item_px = 1024", "").display().to_string();
    let [newer, strange, plain] = [(); 3].map(|()| submit(&site, &file));
    edit(&site, &keys::run_record(&newer), |record| {
        record["version"] = "2".into();
        record["colour"] = "mauve".into();
    });
    site.swath(&["cancel", strange.as_str()], 0);
    edit(&site, &keys::status(&strange), |status| status["state"] = "hibernating".into());

    let processes = [site.start(&["coordinator"]), site.start(&["worker"])];
    assert_eq!(site.wait(plain.as_str(), PATIENCE).state, RunState::Done);
    let started = Instant::now();
    let told = || std::fs::read_to_string(site.path("processes.log")).expect("what was told");
    let words = ["it is of version 2, and this program knows 1 at most: update it", "this run is not served"];
    while !words.iter().all(|words| told().contains(words)) {
        assert!(started.elapsed() < PATIENCE, "{}", told());
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(processes);
    // What shows all runs shows those that it can read, and names the other.
    let shown = site.swath(&["status"], 0);
    let (out, err) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(out.contains(plain.as_str()), "{out}");
    assert!(err.contains(strange.as_str()) && err.contains("update"), "{err}");
    site.swath(&["plan", &file], 0);
}

#[test]
fn what_a_newer_program_adds_to_a_status_is_passed_over() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site, "item_px = 1024", "").display().to_string();
    let run = submit(&site, &file);
    site.swath(&["cancel", run.as_str()], 0);
    edit(&site, &keys::status(&run), |status| {
        status["mood"] = "fine".into();
        status["stages"]["dream"] = serde_json::json!({ "items": 1, "done": 0, "buried": 0 });
    });
    // And what an older one does not write yet is taken to be as it was.
    edit(&site, &keys::status(&run), |status| {
        for key in ["rank", "asks"] {
            status.as_object_mut().expect("an object").remove(key);
        }
    });
    let told = site.swath(&["status", run.as_str()], 1);
    assert!(String::from_utf8_lossy(&told.stdout).contains("cancelled"));
}
