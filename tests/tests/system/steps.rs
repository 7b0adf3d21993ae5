//! Commands of the user's own, between the program's stages.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use swath_proto::{item::Stage, status::RunState};

use crate::{
    same_bytes::run_name,
    site::{Kind, Site, pipeline},
    stragglers::signal,
};

const PATIENCE: Duration = Duration::from_secs(120);

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

/// Says in a file when it begins, in which process, and when it ends; in between it waits for another file, but not
/// for ever.
const WAIT: &str = "
import os, sys, time
note, go, out = sys.argv[1:]
say = lambda word: os.write(os.open(note, os.O_WRONLY | os.O_APPEND | os.O_CREAT), word.encode())
say(f'begun {os.getpid()} ')
for _ in range(3000):
    if os.path.exists(go):
        break
    time.sleep(0.1)
say('ended ')
open(out, 'w').write('waited')
";

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether it is a process, and one that has not ended: those have no command line any more.
fn lives(word: &str) -> bool {
    std::fs::read(format!("/proc/{word}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn a_step_whose_lease_went_to_another_is_ended_and_commits_nothing() {
    let site = Site::new(Kind::Servers);
    let file = pipeline(&site, "", "");
    let (note, go) = (site.path("note"), site.path("go"));
    let step = format!(
        "\n[[steps]]\nname = \"wait\"\nfor = \"scene\"\ncommand = [\"python3\", \"wait.py\", \"{}\", \"{}\", \
         \"{{out:waited.txt}}\"]\ninputs = [\"prediction\"]\noutputs = [\"waited.txt\"]\n",
        note.display(),
        go.display()
    );
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    std::fs::write(&file, text + &step).expect("writing the pipeline");
    std::fs::write(site.path("wait.py"), WAIT).expect("writing a script");
    let output = site.swath(&["submit", file.to_str().expect("UTF-8")], 0);
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let _coordinator = site.start(&["coordinator"]);
    let worker = || site.start(&["worker", "--lease", "5", "--allow-steps"]);
    let said = || std::fs::read_to_string(&note).unwrap_or_default();
    let begun = || said().matches("begun").count();
    let _first = worker();
    until("a command begins", || begun() > 0);
    // It stands still, and its command does not.
    let pid = holder(&site, &run);
    signal(pid, libc::SIGSTOP);
    let _second = worker();
    until("another worker begins", || begun() > 1);
    signal(pid, libc::SIGCONT);
    until("the first one hears of it", || site.log().contains("its lease is lost for good: stopped here"));
    until("its command is ended", || said().split_whitespace().filter(|word| lives(word)).count() < 2);
    std::fs::write(&go, "").expect("letting the other one end");
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    assert_eq!(said().matches("ended").count(), 1, "both commands went on to their end: {}", said());
    assert_eq!(site.object(&format!("steps/{run}/wait/scene-1/waited.txt")), b"waited");
}

/// The process that holds the step. One that was late with its lease holds it again in a moment.
fn holder(site: &Site, run: &str) -> libc::pid_t {
    let started = Instant::now();
    loop {
        let held = crate::heals::block_on(async {
            let ledger = site.doors().await.ledger;
            ledger.held(&run.parse().expect("a run's name")).await.expect("holds")
        });
        if let Some((_, worker)) = held.iter().find(|(place, _)| place.stage == Stage::Step) {
            // A worker's name says its process.
            return worker.as_str().rsplit('-').nth(1).and_then(|pid| pid.parse().ok()).expect("a process");
        }
        assert!(started.elapsed() < PATIENCE, "nobody holds the step");
        std::thread::sleep(Duration::from_millis(20));
    }
}
