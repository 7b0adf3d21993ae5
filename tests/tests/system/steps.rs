//! Commands of the user's own, between the program's stages.

use std::path::Path;

use swath_proto::status::RunState;

use crate::{
    same_bytes::run_name,
    site::{Kind, Site, pipeline},
};

const STEPS: &str = r#"
[[steps]]
name = "count"
for = "scene"
command = ["python3", "count.py", "{in:prediction}", "{in:image}", "{scene}", "{out:count.txt}"]
inputs = ["prediction", "image"]
outputs = ["count.txt"]

[[steps]]
name = "gather"
for = "run"
command = ["python3", "gather.py", "{in:count/count.txt}", "{in:eval}", "{out:all.txt}"]
inputs = ["count/count.txt", "eval"]
outputs = ["all.txt"]
"#;

const COUNT: &str = "
import os, sys
prediction, image, scene, out = sys.argv[1:]
assert os.path.exists(image) and os.path.basename(prediction) == scene + '.tif'
open(out, 'w').write(f'{scene} {os.path.getsize(prediction)}')
";

const GATHER: &str = "
import json, os, sys
folder, eval, out = sys.argv[1:]
files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
json.load(open(eval))
open(out, 'w').write(' '.join(open(file).read() for file in files))
";

fn with_steps(site: &Site, count: &str) -> String {
    let file = pipeline(site, "", "max_failures = 2");
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    std::fs::write(&file, text + STEPS).expect("writing the pipeline");
    std::fs::write(site.path("count.py"), count).expect("writing a script");
    std::fs::write(site.path("gather.py"), GATHER).expect("writing a script");
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn steps_are_run_once_their_inputs_are_there_and_only_where_that_is_allowed() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let file = with_steps(&site, COUNT);
        let refused = site.swath(&["run", &file], 2);
        let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.contains("--allow-steps") && refused.contains("count, gather"), "{refused}");
        let run = run_name(&site.swath(&["run", &file, "--allow-steps"], 0).stdout);
        let size = site.object(&format!("predict/{run}/scene-1.tif")).len();
        let all = site.object(&format!("steps/{run}/gather/all.txt"));
        assert_eq!(String::from_utf8_lossy(&all), format!("scene-1 {size}"));
        assert_eq!(site.object(&format!("steps/{run}/count/scene-1/count.txt")), all);
    }
}

#[test]
fn a_step_that_fails_is_told_with_what_it_said_and_can_be_replayed() {
    let site = Site::new(Kind::Embedded);
    let flag = site.path("flag");
    let count = format!(
        "import sys\nif not __import__('os').path.exists({:?}): sys.exit('the flag is not up')\n{COUNT}",
        flag.to_str().expect("UTF-8")
    );
    let file = with_steps(&site, &count);
    let run = run_name(&site.swath(&["run", &file, "--allow-steps"], 3).stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!(status.state, RunState::DoneWithFailures);
    let [failed] = status.failures.as_slice() else { panic!("{:?}", status.failures) };
    assert!(failed.failure.message.contains("the flag is not up"), "{}", failed.failure.message);
    // What has not failed is gathered: one bad scene never stops the others.
    assert!(site.object(&format!("steps/{run}/gather/all.txt")).is_empty());
    std::fs::write(&flag, "").expect("raising the flag");
    site.swath(&["items", &run, "replay", "--all"], 0);
    site.swath(&["run", &file, "--allow-steps"], 0);
    let count = site.object(&format!("steps/{run}/count/scene-1/count.txt"));
    assert!(!count.is_empty());
    // What had gathered nothing gathers again.
    assert_eq!(site.object(&format!("steps/{run}/gather/all.txt")), count);
    assert!(Path::new(&site.root).exists());
}
