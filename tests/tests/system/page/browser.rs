//! Every page and action in Chromium, and the API under what its description lets one ask. By `make test-page`: they
//! take a browser, npm and minutes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{PATIENCE, client::Served};
use crate::{
    learns,
    same_bytes::run_name,
    site::{Kind, Site, pipeline, scene},
};

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../web")
}

/// A run that is over and has learnt, one of which parts have failed, and one that is made to go on for long.
struct Runs {
    learnt: String,
    failed: String,
    live: String,
    page: Served,
}

fn runs(site: &Site) -> Runs {
    let file = learns::pipeline(site);
    let learnt = run_name(&site.swath(&["run", &file, "--workers", "1"], 0).stdout);

    // The second half of its pixels is cut off.
    let whole = std::fs::read(scene().join("scene-1.tif")).expect("a scene");
    let torn = site.path("torn.tif");
    std::fs::write(&torn, &whole[..whole.len() / 2]).expect("writing");
    let file = pipeline(site, "item_px = 512", "");
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    let image = format!("{}/scene-1.tif", scene().display());
    std::fs::write(&file, text.replacen(&image, &torn.display().to_string(), 1)).expect("writing");
    let failed = run_name(&site.swath(&["run", file.to_str().expect("UTF-8"), "--workers", "1"], 3).stdout);

    let file = pipeline(site, "item_px = 64", "");
    let file = file.to_str().expect("UTF-8");
    let live = String::from_utf8_lossy(&site.swath(&["submit", file], 0).stdout).trim().to_owned();
    site.swath(&["pause", &live], 0);
    let page = Served::start(site, &["run", file, "--workers", "1", "--http", "127.0.0.1:0"]);
    site.wait_obeyed(&live, PATIENCE);
    Runs { learnt, failed, live, page }
}

#[test]
#[ignore = "takes a browser: make test-page"]
fn every_page_and_action_in_a_browser() {
    let site = Site::new(Kind::Embedded);
    let Runs { learnt, failed, live, page } = runs(&site);
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&shots).expect("a folder");
    let status = Command::new("node")
        .arg(web().join("test/browser.mjs"))
        .args([&format!("http://{}/", page.address), &learnt, &failed, &live])
        .arg(&shots)
        .status()
        .expect("starting node");
    assert!(status.success(), "see above, and the pictures in {}", shots.display());
}

#[test]
#[ignore = "takes schemathesis: make test-page"]
fn nothing_that_the_description_allows_makes_the_api_stumble() {
    let site = Site::new(Kind::Embedded);
    let Runs { learnt, failed, page, .. } = runs(&site);
    // Names that are there, so that it gets further than to a run that nobody knows.
    let text = std::fs::read(web().join("openapi.json")).expect("the description");
    let mut told: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    for path in told["paths"].as_object_mut().expect("paths").values_mut() {
        for parameter in path.get_mut("parameters").and_then(|all| all.as_array_mut()).into_iter().flatten() {
            match parameter["name"].as_str() {
                Some("run") => {
                    parameter["schema"] = serde_json::json!({ "enum": [learnt, failed, "nobody-1"] })
                }
                Some("scene") => {
                    parameter["schema"] = serde_json::json!({ "enum": ["seen", "unseen", "torn"] })
                }
                _ => {}
            }
        }
    }
    let description = site.path("openapi.json");
    std::fs::write(&description, told.to_string()).expect("writing");
    let python = swath_tests::cache().join("schemathesis-4.32.5/bin/python");
    let status = Command::new(python)
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"])
        .arg(&description)
        .args(["--url", &format!("http://{}", page.address)])
        .args(["--header", &format!("Origin: http://{}", page.address)])
        // Lines that stay open have no end to wait for; the rate is below what one address may ask.
        .args(["--exclude-path-regex", "/events$", "--rate-limit", "100/s", "--request-timeout", "60"])
        .args(["--checks", "not_a_server_error,response_schema_conformance", "--max-examples", "40"])
        // What one answer names is not taken on to the next: nobody is to cancel the run that serves the page.
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--seed", "8", "--no-color"])
        .current_dir(site.folder.path())
        .status()
        .expect("starting schemathesis: run `make setup`");
    assert!(status.success(), "see above; {}", site.worker_logs());
}
