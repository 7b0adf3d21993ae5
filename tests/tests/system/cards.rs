//! What is for cards, on machines that have none: it is refused in words, and falls back to no processor.

use crate::site::{Kind, Site};

fn has_card() -> bool {
    std::path::Path::new("/dev/nvidiactl").exists()
}

#[test]
fn what_takes_a_card_says_at_once_that_there_is_none() {
    if has_card() {
        return;
    }
    let site = Site::new(Kind::Embedded);
    let told = |args: &[&str]| String::from_utf8_lossy(&site.swath(args, 1).stderr).into_owned();
    let worker = told(&["worker", "--kinds", "cpu,gpu"]);
    assert!(worker.contains("--kinds gpu: this worker has no card"), "{worker}");
    assert!(worker.contains("libcuda.so.1"), "{worker}");
    let bench = told(&["bench", "forward", "--device", "cuda", "--precision", "bf16"]);
    assert!(bench.contains("libcuda.so.1"), "{bench}");
}

#[test]
fn a_training_on_cards_says_what_is_missing() {
    let site = Site::new(Kind::Embedded);
    let file = site.path("mine.toml");
    let text =
        "output = \"mine/\"\nshards.train = [\"chips/\"]\n[train]\narchitecture = \"tiny\"\nclasses = 2\n";
    std::fs::write(&file, text).expect("writing what to train");
    let file = file.to_str().expect("a path in words");
    let told = |args: &[&str], code| {
        let output = site.swath(&[&["train", file, "--ranks", "2"][..], args].concat(), code);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let nccl = told(&["--sums-by", "nccl"], 2);
    assert!(nccl.contains("this rank computes on the processor"), "{nccl}");
    if !has_card() {
        let card = told(&["--device", "cuda"], 1);
        assert!(card.contains("libcuda.so.1"), "{card}");
    }
}

#[test]
fn forward_passes_are_timed() {
    let site = Site::new(Kind::Embedded);
    let forward = ["bench", "forward", "--architecture", "tiny", "--window", "64", "--batches", "2"];
    let output = site.swath(&forward, 0);
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(line["name"], "forward/tiny/openvino-cpu/fp32/64px-x8/1-threads");
    assert!(line["value"].as_f64().is_some_and(|ms| ms > 0.0) && line["unit"] == "ms/window", "{line}");
    let odd = ["bench", "forward", "--window", "100"];
    assert!(String::from_utf8_lossy(&site.swath(&odd, 2).stderr).contains("multiple of 32"));
}
