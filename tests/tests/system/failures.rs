//! Each class of failure on the real thing, with what becomes of its item; and what people see of it.

use std::{
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use swath_backends::queue::Lane;
use swath_proto::{
    item::{Place, Stage},
    outcome::{Buried, FailureClass},
    status::{FailedItem, RunState, RunStatus},
};
use swath_tests::faults::{self, Fault};
use swath_worker::{
    native::Suspect,
    supervise::{Cause, Crash, Inheritance},
};

use crate::{
    same_bytes::run_name,
    site::{Kind, Site, TINY, scene},
    stragglers::{signal, stop_with_items_in_hand},
};

const PATIENCE: Duration = Duration::from_secs(180);

/// Scenes of one predict item each.
fn write(site: &Site, scenes: &[(&str, &Path)], run: &str) -> String {
    let entry = |(id, image): &(&str, &Path)| format!("{{ id = \"{id}\", image = \"{}\" }}", image.display());
    let scenes: Vec<String> = scenes.iter().map(entry).collect();
    let text = format!(
        r##"
name = "failures"
stages = ["survey", "predict"]
scenes = [{}]
{TINY}
[predict]
core_px = 64
block_px = 64
margin_px = 8
batch = 4
item_px = 2048

[run]
{run}
"##,
        scenes.join(", ")
    );
    let file = site.path("failures.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    file.to_str().expect("UTF-8").to_owned()
}

/// Good scenes, and one in a file of its own.
pub(crate) fn with_victim(site: &Site, victim: &Path, run: &str) -> String {
    let good = scene().join("scene-1.tif");
    let scenes: Vec<(&str, &Path)> =
        vec![("a", &good), ("b", &good), ("victim", victim), ("c", &good), ("d", &good)];
    write(site, &scenes, run)
}

pub(crate) fn victim(site: &Site) -> std::path::PathBuf {
    let victim = site.path("victim.tif");
    std::fs::copy(scene().join("scene-2.tif"), &victim).expect("copying a scene");
    victim
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn submit(site: &Site, file: &str) -> String {
    stdout(&site.swath(&["submit", file], 0)).trim().to_owned()
}

pub(crate) fn only_failure(status: &RunStatus) -> &FailedItem {
    let [failed] = status.failures.as_slice() else { panic!("{status:?}") };
    assert_eq!((status.state, status.n_failures), (RunState::DoneWithFailures, 1), "{status:?}");
    let predict = status.stages[Stage::Predict.name()];
    assert_eq!((predict.done, predict.buried), (predict.items - 1, 1));
    assert_eq!(failed.failure.scene.as_ref().map(|scene| scene.as_str()), Some("victim"));
    assert!(failed.failure.rect.is_some_and(|rect| rect.width == 1500), "{failed:?}");
    failed
}

/// The run that was submitted comes to its end once nothing strikes any more.
pub(crate) fn is_whole_after_a_replay(site: &Site, run: &str) {
    site.swath(&["items", run, "replay", "--all"], 0);
    let started = Instant::now();
    while !site.status(run).is_some_and(|status| status.state == RunState::Done) {
        assert!(started.elapsed() < PATIENCE, "{:?}", site.status(run));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_item_that_crashes_its_worker_is_buried_by_the_runs_own_limit_and_no_neighbour_is() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let file = with_victim(&site, &victim(&site), "max_failures = 4");
        let run = submit(&site, &file);
        let coordinator = site.start(&["coordinator"]);
        let strikes = || faults::environment(Fault::Crash, "victim.tif");
        let worker = || site.start_with(&["worker", "--lease", "5"], strikes());
        let workers = [worker(), worker()];
        let status = site.wait(&run, PATIENCE);
        let failed = only_failure(&status);
        assert_eq!((failed.failure.class, failed.attempts), (FailureClass::Fault, 4), "{failed:?}");
        assert!(failed.failure.message.contains("SIGSEGV"), "{}", failed.failure.message);
        let shown = stdout(&site.swath(&["items", &run, "show", &failed.place.to_string()], 0));
        assert!(shown.contains("DEBUG claimed"), "what it had logged died with it: {shown}");
        drop(workers);
        let _worker = site.start(&["worker"]);
        is_whole_after_a_replay(&site, &run);
        drop(coordinator);
    }
}

#[test]
fn an_item_that_hangs_inside_native_code_is_ended_with_its_worker_and_buried() {
    let site = Site::new(Kind::Embedded);
    let file = with_victim(&site, &victim(&site), "max_failures = 2");
    let run = submit(&site, &file);
    let _coordinator = site.start(&["coordinator"]);
    // The lease is long: only its supervisor can end it.
    let args = ["worker", "--lease", "600", "--item-limit", "30"];
    let worker = site.start_with(&args, faults::environment(Fault::Hang, "victim.tif"));
    let status = site.wait(&run, PATIENCE);
    let failed = only_failure(&status);
    assert_eq!(failed.failure.class, FailureClass::Fault);
    assert!(failed.failure.message.contains("did not come out of native code"), "{failed:?}");
    drop(worker);
    let _worker = site.start(&["worker"]);
    is_whole_after_a_replay(&site, &run);
}

#[test]
fn bad_data_is_buried_at_once_with_all_that_is_needed_to_mend_it_and_can_be_dropped() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let victim = victim(&site);
        let whole = std::fs::read(&victim).expect("reading a scene");
        std::fs::write(&victim, &whole[..whole.len() / 2]).expect("tearing a scene");
        let file = with_victim(&site, &victim, "");
        let run = run_name(&site.swath(&["run", &file, "--workers", "1"], 3).stdout);
        let status = site.status(&run).expect("a status");
        let failed = only_failure(&status);
        assert_eq!((failed.failure.class, failed.attempts), (FailureClass::Data, 1), "{failed:?}");
        let place = failed.place.to_string();

        let list = stdout(&site.swath(&["items", &run], 0));
        let row = list.lines().nth(1).expect("a row");
        for word in [place.as_str(), "buried", "victim", "data", "victim.tif"] {
            assert!(row.contains(word), "{word}: {list}");
        }
        let shown = stdout(&site.swath(&["items", &run, "show", &place], 0));
        for line in
            ["scene     victim", "class     data", "rectangle 1500x1500 px at column 0, row 0", "cause "]
        {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        assert!(
            shown.contains("DEBUG claimed") && shown.contains("native work has ended"),
            "no log: {shown}"
        );
        let json = stdout(&site.swath(&["items", &run, "--json"], 0));
        let grave: Buried = serde_json::from_str(json.lines().next().expect("a line")).expect("a grave");
        assert!(!grave.log.is_empty() && grave.written.is_some(), "{grave:?}");
        let done = stdout(&site.swath(&["items", &run, "show", "predict.0.0"], 0));
        assert!(done.contains("predict.0.0 is not set aside: it is done"), "{done}");

        // Done without: nobody is told to mend it any more, and a replay of all leaves it where it is.
        site.swath(&["items", &run, "drop", &place], 0);
        let again = stdout(&site.swath(&["run", &file, "--workers", "1"], 3));
        assert!(again.contains("done without 1 item, by command") && !again.contains("replay"), "{again}");
        let status = site.status(&run).expect("a status");
        assert_eq!((status.state, status.n_failures, status.n_dropped), (RunState::DoneWithFailures, 0, 1));
        let dropped = stdout(&site.swath(&["items", &run, "--state", "dropped"], 0));
        assert!(
            dropped.contains(&place) && dropped.contains("dropped by command; it had failed:"),
            "{dropped}"
        );
        let buried = stdout(&site.swath(&["items", &run, "--state", "buried"], 0));
        assert!(buried.contains("nothing was set aside"), "{buried}");
        let replayed = stdout(&site.swath(&["items", &run, "replay", "--all"], 0));
        assert!(replayed.contains("nothing waits for another chance"), "{replayed}");

        // Named, it comes back all the same.
        site.swath(&["items", &run, "replay", &place], 0);
        site.swath(&["run", &file, "--workers", "1"], 3);
        let status = site.status(&run).expect("a status");
        assert_eq!((status.n_failures, status.n_dropped), (1, 0), "{status:?}");
        // Mended, it is another input, and so another run.
        std::fs::write(&victim, &whole).expect("mending a scene");
        assert_ne!(run_name(&site.swath(&["run", &file, "--workers", "1"], 0).stdout), run);
    }
}

#[test]
fn what_is_not_done_yet_can_be_dropped_and_the_run_ends_without_it() {
    let site = Site::new(Kind::Embedded);
    let file = with_victim(&site, &victim(&site), "");
    let run = submit(&site, &file);
    let _coordinator = site.start(&["coordinator"]);
    let args = ["worker", "--lease", "600", "--item-limit", "3600"];
    let mut worker = site.start_with(&args, faults::environment(Fault::Hang, "victim.tif"));
    let started = Instant::now();
    while site.predicted(&run) < 4 {
        assert!(started.elapsed() < PATIENCE, "the others are not done: {:?}", site.status(&run));
        std::thread::sleep(Duration::from_millis(50));
    }
    let shown = stdout(&site.swath(&["items", &run, "show", "predict.0.2"], 0));
    assert!(shown.contains("is at work on it"), "{shown}");
    site.swath(&["items", &run, "drop", "predict.0.2"], 0);
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures, status.n_dropped), (RunState::DoneWithFailures, 0, 1));
    worker.kill();
}

#[test]
fn a_wrong_set_up_stops_the_run_and_buries_nothing() {
    let site = Site::new(Kind::Embedded);
    let file = with_victim(&site, &victim(&site), "");
    let weights = site.path("weights.safetensors");
    // A file of weights as it should be, in which there are none.
    let header = b"{}      ";
    std::fs::write(&weights, [&(header.len() as u64).to_le_bytes()[..], header].concat()).expect("writing");
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    let text = text.replace("seed = 3", &format!("weights = \"{}\"", weights.display()));
    std::fs::write(&file, text).expect("writing the pipeline");
    let output = site.command(&["run", &file, "--workers", "1"]).output().expect("starting swath");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let run = run_name(&output.stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!((status.state, status.n_failures), (RunState::Failed, 0), "{status:?}");
}

/// Steps that all fail with the same words: the run's fault, and told once.
#[test]
fn a_run_in_which_item_after_item_fails_alike_stops_and_says_it_once() {
    let site = Site::new(Kind::Embedded);
    let good = scene().join("scene-1.tif");
    let ids: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
    let scenes: Vec<(&str, &Path)> = ids.iter().map(|id| (id.as_str(), good.as_path())).collect();
    let file = write(&site, &scenes, "max_failures = 50");
    let step = "[[steps]]\nname = \"check\"\nfor = \"scene\"\ncommand = [\"python3\", \"check.py\", \"{in:image}\", \
                \"{out:checked}\"]\ninputs = [\"image\"]\noutputs = [\"checked\"]\n";
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    let text = text.replace("\"survey\", \"predict\"", "\"survey\"") + step;
    std::fs::write(&file, text).expect("writing the pipeline");
    std::fs::write(site.path("check.py"), "import sys\nsys.exit('the licence server is away')")
        .expect("writing");
    let output =
        site.command(&["run", &file, "--workers", "1", "--allow-steps"]).output().expect("starting swath");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = stdout(&output);
    assert!(told.contains("different items have failed in a row with the same error"), "{told}");
    assert!(told.contains("the licence server is away"), "{told}");
    let run = run_name(&output.stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!((status.state, status.n_failures), (RunState::Failed, 0), "{status:?}");

    // Mended, the same command goes on.
    std::fs::write(site.path("check.py"), "import sys\nopen(sys.argv[2], 'w').write('ok')").expect("writing");
    let again =
        site.command(&["run", &file, "--workers", "1", "--allow-steps"]).output().expect("starting swath");
    assert_eq!(again.status.code(), Some(0), "{}{}", stdout(&again), String::from_utf8_lossy(&again.stderr));
}

/// A worker whose machine is not fit leaves before it has gone through the whole run, and says why.
#[test]
fn a_worker_that_fails_item_after_item_leaves_and_the_healthy_one_does_them() {
    let site = Site::new(Kind::Embedded);
    let image = site.path("mounted/scene.tif");
    std::fs::create_dir(site.path("mounted")).expect("a folder");
    std::fs::copy(scene().join("scene-1.tif"), &image).expect("copying a scene");
    let ids: Vec<String> = (0..30).map(|number| format!("s{number}")).collect();
    let scenes: Vec<(&str, &Path)> = ids.iter().map(|id| (id.as_str(), image.as_path())).collect();
    let file = write(&site, &scenes, "max_failures = 50");
    let run = submit(&site, &file);
    let _coordinator = site.start(&["coordinator"]);
    let mut healthy = site.start(&["worker", "--slots", "1", "--lease", "600"]);
    // One that holds an item and has not failed: as long as it is silent, the run is not given up.
    let pid = stop_with_items_in_hand(&site, &run, Stage::Predict, 1);
    let empty = "mount --make-rprivate / && mount -t tmpfs tmpfs mounted && exec \"$0\" worker --slots 1";
    let command = site.command(&[]);
    let mut unfit = std::process::Command::new("unshare");
    unfit.args(["--mount", "sh", "-c", empty]).arg(command.get_program());
    unfit.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = unfit.current_dir(site.folder.path()).output().expect("unshare");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("different items have failed here in a row"), "{told}");
    signal(pid, libc::SIGCONT);
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    assert_eq!(healthy.terminate(), Some(0));
}

/// What a supervisor tells of a worker that the system has killed for want of memory, while these places were
/// inside native code.
fn out_of_memory(run: &str, inside: &[Place], max_failures: u32) -> Inheritance {
    let suspect = |place: &Place| Suspect {
        run: run.parse().expect("a run's name"),
        place: *place,
        worker: "dead".parse().expect("a name"),
        attempt: 1,
        max_failures,
        scene: Some("victim".parse().expect("a scene")),
        rect: None,
        log: Vec::new(),
        limit: None,
    };
    let suspects = inside.iter().map(suspect).collect();
    Inheritance { crash: Some(Crash { cause: Cause::OutOfMemory, suspects }) }
}

/// A run in which a worker has died of these places at once, and the next one takes over.
fn after_running_out_of_memory(inside: &[Place], max_failures: u32) -> RunStatus {
    let site = Site::new(Kind::Embedded);
    let file = with_victim(&site, &victim(&site), &format!("max_failures = {max_failures}"));
    let run = submit(&site, &file);
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let doors = runtime.block_on(site.doors());
    let hold = async |place: Place| {
        let (run, dead) = (run.parse().expect("a run's name"), "dead".parse().expect("a name"));
        // A lease that would hold the run up for an hour.
        doors.ledger.claim(&run, place, &dead, Duration::from_secs(3600)).await.expect("claiming")
    };
    for place in inside {
        runtime.block_on(hold(*place));
    }
    let config = swath_worker::run::Config {
        me: "next".parse().expect("a name"),
        lanes: vec![Lane::Cpu],
        slots: 3,
        lease: Duration::from_secs(5),
        grace: Duration::from_secs(1),
        idle_exit: None,
        cache: site.path("models"),
        native_threads: 2,
        threads: 1,
        ranks: None,
        item_limit: Duration::from_secs(900),
        notices: None,
        metrics: None,
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let inheritance = out_of_memory(&run, inside, max_failures);
    let worker = runtime.spawn(swath_worker::run::run(config, doors.clone(), inheritance, stop.clone()));
    let _coordinator = site.start(&["coordinator"]);
    let status = site.wait(&run, PATIENCE);
    stop.cancel();
    runtime.block_on(worker).expect("a worker panicked").expect("a worker failed");
    status
}

const VICTIM: Place = Place::new(Stage::Predict, 0, 2);

#[test]
fn who_was_inside_when_memory_ran_out_is_blamed_only_if_nobody_else_was() {
    let neighbour = Place::new(Stage::Predict, 0, 3);
    let status = after_running_out_of_memory(&[VICTIM, neighbour], 1);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    let status = after_running_out_of_memory(&[VICTIM], 1);
    assert_eq!(status.state, RunState::DoneWithFailures, "{status:?}");
    let [failed] = status.failures.as_slice() else { panic!("{status:?}") };
    assert_eq!((failed.place, failed.failure.class), (VICTIM, FailureClass::Capacity), "{failed:?}");
    assert!(failed.failure.message.contains("no memory left"), "{failed:?}");
}
