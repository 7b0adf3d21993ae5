//! Six classes by colour, and a run for each variant.

use super::{counted, eval, example, look_alike, told};
use crate::{
    same_bytes::run_name,
    site::{Kind, Site},
};

#[test]
fn potsdam_tells_six_classes_apart_and_has_a_run_for_each_variant() {
    let site = Site::new(Kind::Embedded);
    let data = look_alike(&site, "potsdam");
    let file = example("potsdam/pipeline.toml");
    let options = ["--test", "-a", "raw_uri", data.as_str()];
    let plan = site.swath(&[&["plan", &file, "-m", "*resnet18*"][..], &options].concat(), 0);
    let runs: Vec<String> = told(&plan.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("run     ").map(str::to_owned))
        .collect();
    let variants = ["better-resnet18", "resnet18", "resnet18-5k", "resnet18-half", "resnet18-oversample"];
    for (run, variant) in runs.iter().zip(variants) {
        assert!(run.starts_with(&format!("potsdam-{variant}-test-")), "{runs:?}");
    }
    assert_eq!(runs.len(), variants.len(), "{runs:?}");

    let command = ["run", &file, "-m", "resnet18", "--workers", "1", "--threads", "2"];
    let run = run_name(&site.swath(&[&command[..], &options].concat(), 0).stdout);
    assert_eq!(run, runs[1]);
    let eval = eval(&site, &run);
    let names = ["Car", "Building", "Low Vegetation", "Tree", "Impervious", "Clutter", "average"];
    let (found, pixels) = counted(&eval);
    assert_eq!(found, names);
    assert_eq!(pixels, 600.0 * 600.0, "a trial takes 600 px of one scene, with the labels of that square");
    let average = &eval["overall"][6]["metrics"]["f1"];
    assert!(average.is_number(), "what the plugin reports is the average F1: {average}");
    assert_eq!(eval["per_scene"].as_object().expect("scenes").keys().collect::<Vec<_>>(), ["2_12"]);
    for key in [format!("predict/{run}/2_12.tif"), format!("bundle/{run}/bundle.zip")] {
        assert!(!site.object(&key).is_empty(), "{key}");
    }
    let bad = site.swath(&["plan", &file, "-m", "resnet34"], 2);
    assert!(told(&bad.stderr).contains("no variant"), "{}", told(&bad.stderr));
}
