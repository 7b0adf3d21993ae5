//! A trainer of one's own as a step: it is given the shards of the run, and what it makes is a bundle.

use std::process::Command;

use super::{example, header, told};
use crate::{
    same_bytes::run_name,
    site::{Kind, Site},
};

/// Reads all shards with Python's own library; says which folder holds which scene, and how many chips.
const COUNT: &str = "
import collections, json, pathlib, sys, tarfile
folder, out = map(pathlib.Path, sys.argv[1:])
found = collections.Counter()
for shard in folder.rglob('shard-*.tar'):
    chips = [name for name in tarfile.open(shard).getnames() if name.endswith('.img.png')]
    index = json.loads(shard.with_suffix('.idx').read_text())
    assert len(index['chips']) == len(chips), shard
    for chip in chips:
        found[shard.parent.name + '/' + chip.split('/')[0]] += 1
out.write_text(json.dumps(found, sort_keys=True))
";

/// Two scenes of 300 px with their labels.
fn scenes(site: &Site) -> String {
    let folder = site.path("data");
    site.swath(&["synth", folder.to_str().expect("UTF-8"), "--size", "300", "--count", "2"], 0);
    format!("{}/", folder.display())
}

#[test]
fn a_step_for_the_run_is_given_the_shards_of_all_chips() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let data = scenes(&site);
        let text = std::fs::read_to_string(example("trainer/pipeline.toml")).expect("the example");
        let (before, _) = text.split_once("[[steps]]").expect("a step");
        let step = "[[steps]]\nname = \"count\"\nfor = \"run\"\ninputs = [\"chips\"]\noutputs = [\"count.json\"]\n\
                    command = [\"{python}\", \"count.py\", \"{in:chips}\", \"{out:count.json}\"]\n";
        let file = site.path("pipeline.toml");
        std::fs::write(&file, format!("{before}{step}")).expect("writing the pipeline");
        std::fs::write(site.path("count.py"), COUNT).expect("writing a script");
        let file = file.to_str().expect("UTF-8");
        let words = ["-a", "data_uri", &data, "--set", "chips.size=128", "--set", "chips.stride=100"];
        let counted = |more: &[&str]| {
            let all = [&["run", file, "--allow-steps"][..], &words, more].concat();
            let run = run_name(&site.swath(&all, 0).stdout);
            told(&site.object(&format!("steps/{run}/count/count.json")))
        };
        assert_eq!(counted(&[]), r#"{"train/scene-1": 9, "validation/scene-2": 9}"#, "{kind:?}");
        // An item that keeps nothing has no shard.
        std::fs::write(format!("{data}scene-2.geojson"), r#"{"type": "FeatureCollection", "features": []}"#)
            .expect("writing labels");
        let only = ["--set", "chips.target_classes=[\"building\"]", "--set", "chips.min_target_pixels=1"];
        let found = counted(&only);
        assert!(found.contains("train/scene-1") && !found.contains("validation"), "{found}");

        let narrow = format!("{before}{}", step.replace("\"run\"", "\"scene\""));
        std::fs::write(file, narrow).expect("writing the pipeline");
        let refused = site.swath(&[&["plan", file][..], &words].concat(), 2);
        assert!(told(&refused.stderr).contains("for = \"run\""), "{}", told(&refused.stderr));
    }
}

/// DeepLabV3 sees four chips once: what is shown is that what it makes is a bundle, and is made once.
#[test]
#[ignore = "takes PyTorch: make test-experiments"]
fn the_worked_trainer_reads_shards_by_webdataset_and_makes_a_bundle_that_predicts() {
    let site = Site::new(Kind::Embedded);
    let data = scenes(&site);
    let python = swath_tests::cache().join("trainer-1/bin/python").display().to_string();
    let there = Command::new(&python).args(["-c", "import torch, torchvision, webdataset"]).status();
    assert!(there.is_ok_and(|status| status.success()), "PyTorch is missing: setup/install trainer");
    let file = example("trainer/pipeline.toml");
    let words =
        ["-a", "data_uri", &data, "-a", "python", &python, "-a", "epochs", "1", "--set", "chips.size=150"];
    let command = [&["run", &file, "--allow-steps"][..], &words].concat();
    let run = run_name(&site.swath(&command, 0).stdout);
    let scores: serde_json::Value =
        serde_json::from_slice(&site.object(&format!("steps/{run}/teach/scores.json"))).expect("JSON");
    assert_eq!(scores["iou"].as_array().expect("a number for each class").len(), 2, "{scores}");
    let bundle = site.object(&format!("steps/{run}/teach/bundle.zip"));

    let again = run_name(&site.swath(&command, 0).stdout);
    assert_eq!(again, run);
    assert!(site.object(&format!("steps/{run}/teach/bundle.zip")) == bundle, "it is not made again");

    let (zip, map) = (site.path("bundle.zip"), site.path("map.tif"));
    std::fs::write(&zip, bundle).expect("writing the bundle");
    let [zip, to] = [&zip, &map].map(|path| path.to_str().expect("UTF-8"));
    site.swath(&["predict", zip, &format!("{data}scene-2.tif"), to], 0);
    let map = header(&map);
    assert_eq!((map.size.width, map.size.height, map.bands), (300, 300, 1));
}
