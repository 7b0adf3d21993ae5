//! Workers and trainers as jobs of an emulated Batch that are real containers, of an image of the built program. Takes
//! root and podman: `make test-containers`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use swath_proto::status::RunState;
use swath_tests::{moto::Moto, moto_batch::REGION, podman::Podman};

use crate::{
    same_bytes::run_name,
    shared_servers::shared,
    site::{self, Kind, Made, Process, Site, scene},
};

const MAKE_IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/containers/image");
const IMAGE: &str = "localhost/swath-test:latest";
/// Begins the names of this fleet's jobs, and so those of its containers.
const FLEET: &str = "boxes";
/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(900);

struct Boxes {
    site: Site,
    podman: Podman,
    moto: Moto,
}

impl Boxes {
    fn new() -> Self {
        let podman = Podman::start();
        let program = site::program();
        let folder = program.parent().and_then(Path::to_str).expect("UTF-8").to_owned();
        podman.run(Path::new(MAKE_IMAGE), &[folder.as_str(), IMAGE]);
        let moto = Moto::with_containers(podman.url());
        moto.queues("environment", &["cpu-spot"]);
        let boxes = Self { site: Site::new(Kind::Servers), podman, moto };
        // Leases that run out soon, so that what dies with a container is soon another's.
        boxes.define("worker", &["worker", "--kinds", "cpu", "--lease", "5", "--idle-exit", "900"]);
        boxes.define("trainer", &["train"]);
        boxes.put_profile();
        boxes
    }

    /// As the stack's own: a definition says where everything is.
    fn define(&self, name: &str, command: &[&str]) {
        let Site { root, queue, ledger, .. } = &self.site;
        let doors = [("SWATH_ROOT", root), ("SWATH_QUEUE", queue), ("SWATH_LEDGER", ledger)];
        let doors = doors.into_iter().map(|(name, url)| (name, url.clone()));
        let environment: Vec<Value> = doors
            .chain(shared().s3.environment())
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let needs = json!([{ "type": "VCPU", "value": "1" }, { "type": "MEMORY", "value": "2048" }]);
        let container = json!({
            "image": IMAGE, "command": command, "environment": environment, "resourceRequirements": needs,
        });
        let definition =
            json!({ "jobDefinitionName": name, "type": "container", "containerProperties": container });
        self.moto.batch("registerjobdefinition", &definition);
    }

    fn put_profile(&self) {
        let folder = self.site.path("config/swath");
        std::fs::create_dir_all(&folder).expect("a folder");
        let text = format!(
            "[fleet]\nfleet = 'batch'\nworkers_max = 3\ndrain_time = 1\ncool_down = 5\n[batch]\nregion = '{REGION}'\n\
             endpoint = 'http://127.0.0.1:{}'\nname = '{FLEET}'\n[batch.cpu]\nspot = 'cpu-spot'\n\
             definition = 'worker'\n[batch.trainer]\nspot = 'cpu-spot'\ndefinition = 'trainer'\n",
            self.moto.port()
        );
        std::fs::write(folder.join("boxes.toml"), text).expect("writing a profile");
    }

    /// With the profile.
    fn swath(&self, args: &[&str]) -> String {
        let mut command = self.site.command(args);
        command.args(["--profile", "boxes"]).env("XDG_CONFIG_HOME", self.site.path("config"));
        let output = command.output().expect("starting swath");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
        told
    }

    fn coordinator(&self) -> Process {
        let config = self.site.path("config").to_str().expect("UTF-8").to_owned();
        self.site.start_with(&["coordinator", "--profile", "boxes"], [("XDG_CONFIG_HOME", config)])
    }

    fn running(&self) -> Vec<String> {
        self.podman.running(FLEET)
    }

    fn until<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            let log = || self.site.log();
            assert!(started.elapsed() < PATIENCE, "{what}: {:?}\n{}", self.running(), log());
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Under the root, where containers find it.
    fn put(&self, key: &str, file: &Path) -> String {
        let body = std::fs::read(file).expect("reading a file");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let doors = self.site.doors().await;
            doors.blobs.put(key, body.into()).await.expect("writing an object");
            doors.blobs.uri(key)
        })
    }
}

/// Some minutes of work for three.
fn pipeline(boxes: &Boxes) -> String {
    let file = site::pipeline(&boxes.site, "item_px = 256", "");
    let mut text = std::fs::read_to_string(&file).expect("reading the pipeline");
    for name in ["scene-1.tif", "scene-1.geojson"] {
        let here = scene().join(name);
        let there = boxes.put(&format!("scenes/{name}"), &here);
        text = text.replace(here.to_str().expect("UTF-8"), &there);
    }
    std::fs::write(&file, text).expect("writing the pipeline");
    file.to_str().expect("UTF-8").to_owned()
}

const NETWORK: [&str; 8] = [
    "--set",
    "model.architecture=unet-resnet50",
    "--set",
    "predict.core_px=128",
    "--set",
    "predict.margin_px=32",
    "--set",
    "predict.augment=d4",
];

fn a_run_makes_the_same_bytes_though_a_container_is_killed(boxes: &Boxes) {
    let file = pipeline(boxes);
    let _coordinator = boxes.coordinator();
    let run = boxes.swath(&[&["submit", file.as_str()][..], &NETWORK].concat()).trim().to_owned();
    let running = boxes.until("two containers, and an item that is done", || {
        let running = boxes.running();
        (running.len() >= 2 && boxes.site.predicted(&run) > 0).then_some(running)
    });
    boxes.podman.kill(&running[0]);
    let status = boxes.site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    boxes.until("nobody", || boxes.running().is_empty().then_some(()));
    boxes.until("a fleet that has nothing to do", || {
        let told = boxes.swath(&["fleet", "status"]);
        assert!(told.contains("batch:boxes"), "{told}");
        told.contains("nothing to do").then_some(())
    });
    // By one process of this machine, which nobody disturbs.
    let alone = Site::new(Kind::Servers);
    let output = alone.swath(&[&["run", file.as_str()][..], &NETWORK, &["--workers", "1"]].concat(), 0);
    let reference = Made::of(&alone, &run_name(&output.stdout));
    Made::of(&boxes.site, &run).assert_same(&reference, "jobs of Batch in containers");
}

/// Where the machines of a gang stand, and how many are over.
fn gang(boxes: &Boxes) -> (Value, usize) {
    let told: Value =
        serde_json::from_str(&boxes.swath(&["fleet", "gang", "status", "mine", "--json"])).expect("JSON");
    let machines = told["machines"].as_array().expect("machines").clone();
    let n = machines.iter().filter(|machine| machine["is_over"] == true).count();
    (told, n)
}

fn two_jobs_train_together(boxes: &Boxes) {
    let shards = crate::learns::pipeline(&boxes.site);
    boxes.site.swath(&["run", shards.as_str(), "--stages", "survey,analyze,chip", "--workers", "1"], 0);
    let file = boxes.site.path("mine.toml");
    let text = "output = \"training/mine/\"\nshards.train = [\"chips/\"]\n[train]\narchitecture = \"tiny\"\nclasses = 2\n\
                epochs = 4\nlr = 0.01\n";
    std::fs::write(&file, text).expect("writing a training's file");
    let start =
        ["fleet", "gang", "start", file.to_str().expect("UTF-8"), "--machines", "2", "--least-ranks", "2"];
    let told = boxes.swath(&start);
    assert!(told.contains("the gang mine is started, with 2 machines (spot)"), "{told}");
    let told = boxes.swath(&start);
    assert!(told.contains("is there already, with 2 machines"), "{told}");
    boxes.until("two containers at once", || (boxes.running().len() == 2).then_some(()));
    let told = boxes.until("the end of both", || {
        let (told, over) = gang(boxes);
        (over == 2).then_some(told)
    });
    let states: Vec<&Value> =
        told["machines"].as_array().expect("machines").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["done", "done"], "{told}");
    let log = String::from_utf8(boxes.site.object("training/mine/log.csv")).expect("a log");
    assert_eq!(log.lines().count(), 5, "a line an epoch: {log}");
    assert!(!boxes.site.object("training/mine/weights.safetensors").is_empty());
}

#[test]
#[ignore = "root, podman and minutes: make test-containers"]
fn jobs_of_batch_that_are_containers_predict_and_train_as_processes_do() {
    let boxes = Boxes::new();
    two_jobs_train_together(&boxes);
    a_run_makes_the_same_bytes_though_a_container_is_killed(&boxes);
}
