//! A place to run in: a root, a queue and a ledger of its own, and the built `swath` program.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use swath_backends::open::{Doors, Urls, open, open_ledger};
use swath_proto::{ids::RunId, item::Stage, status::RunStatus};

pub use crate::process::Process;

/// How long the test itself tries to get in where servers are busy.
const LET_IN_WITHIN: Duration = Duration::from_secs(120);

/// What a pipeline needs beside its scenes: two classes, and a network that is quick.
pub const TINY: &str = r##"classes = [
    { name = "background", color = "#202020", null = true },
    { name = "building", color = "#ff8800" },
]
[model]
architecture = "tiny"
seed = 3
"##;

/// The embedded twins in a folder, or the real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    Servers,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Embedded, Kind::Servers];
}

pub struct Site {
    kind: Kind,
    pub folder: tempfile::TempDir,
    pub root: String,
    pub queue: String,
    pub ledger: String,
}

impl Site {
    pub fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        match kind {
            Kind::Embedded => {
                let root = folder.path().join("root").to_str().expect("UTF-8").to_owned();
                Self { kind, folder, root, queue: "local:".into(), ledger: "local:".into() }
            }
            Kind::Servers => {
                let name = format!("t{:08x}", rand::random::<u32>());
                let (root, queue, ledger) = crate::shared_servers::urls(&name);
                Self { kind, folder, root, queue, ledger }
            }
        }
    }

    /// On a broker and a Redis of the test's own, which it may kill.
    pub fn on(servers: &crate::shared_servers::Mortal) -> Self {
        let shared = Self::new(Kind::Servers);
        Self { queue: servers.rabbitmq.url("own"), ledger: servers.redis.url(), ..shared }
    }

    /// With its queue on SQS, or on whatever speaks like it.
    pub fn on_sqs(url: impl FnOnce(&str) -> String) -> Self {
        let shared = Self::new(Kind::Servers);
        let name = shared.root.rsplit('/').next().unwrap_or_default();
        Self { queue: url(name), ..shared }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .env("SWATH_ROOT", &self.root)
            .env("SWATH_QUEUE", &self.queue)
            .env("SWATH_LEDGER", &self.ledger)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if self.kind == Kind::Servers {
            command.envs(crate::shared_servers::shared().s3.environment());
        }
        command
    }

    /// Runs a command to its end and checks its exit code.
    pub fn swath(&self, args: &[&str], code: i32) -> Output {
        let output = self.command(args).output().expect("starting swath");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "swath {args:?}\n--- stdout\n{}\n--- stderr\n{}\n--- workers\n{}",
            text(&output.stdout),
            text(&output.stderr),
            self.worker_logs(),
        );
        output
    }

    /// Of real servers a busy one may let nobody in: whoever leaves for that is started again, here and in the two
    /// below.
    pub fn start(&self, args: &[&str]) -> Process {
        self.spawn(self.command(args), self.kind == Kind::Servers)
    }

    /// With variables of its own.
    pub fn start_with<'a>(
        &self,
        args: &[&str],
        variables: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Process {
        let mut command = self.command(args);
        command.envs(variables);
        self.spawn(command, self.kind == Kind::Servers)
    }

    /// In a process group of its own, for [`Process::kill_group`].
    pub fn start_group(&self, args: &[&str]) -> Process {
        let mut command = self.command(args);
        command.process_group(0);
        self.spawn(command, self.kind == Kind::Servers)
    }

    /// Never started again.
    pub fn start_command(&self, command: Command) -> Process {
        self.spawn(command, false)
    }

    fn spawn(&self, mut command: Command, again: bool) -> Process {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("processes.log"))
            .expect("opening the log");
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        Process::start(command, again)
    }

    /// What the processes of this site have told.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("processes.log")).unwrap_or_default()
    }

    pub fn worker_logs(&self) -> String {
        let logs = Path::new(&self.root).join("local/logs");
        let mut text = self.log();
        for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
            text += &std::fs::read_to_string(entry.path()).unwrap_or_default();
        }
        let tail = text.len().saturating_sub(6000);
        text.get(tail..).unwrap_or(&text).to_owned()
    }

    /// Opens the site's doors in this process.
    pub async fn doors(&self) -> Doors {
        let urls = Urls { root: self.root.clone(), queue: self.queue.clone(), ledger: self.ledger.clone() };
        patiently("opening the doors", async || open(&urls).await).await
    }

    pub fn status(&self, run: &str) -> Option<RunStatus> {
        let output = self.command(&["status", run, "--json"]).output().expect("starting swath");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Predict items that the ledger counts as done.
    pub fn predicted(&self, run: &str) -> u32 {
        self.done(run, Stage::Predict)
    }

    /// Items of a stage that the ledger counts as done.
    pub fn done(&self, run: &str, stage: Stage) -> u32 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let run: RunId = run.parse().expect("a run's name");
            let look = async || open_ledger(&self.ledger, &self.root).await?.snapshot(&run).await;
            let snapshot = patiently("looking at the ledger", look).await;
            let of_stage = snapshot.done.iter().filter(|((of, _), _)| *of == stage);
            of_stage.flat_map(|(_, bits)| bits).map(|byte| byte.count_ones()).sum()
        })
    }

    /// Waits until a run is over.
    pub fn wait(&self, run: &str, patience: Duration) -> RunStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.status(run).filter(|status| status.state.is_final()) {
                return status;
            }
            assert!(
                started.elapsed() < patience,
                "{run} is not over after {patience:?}: {:?}\n{}",
                self.status(run),
                self.worker_logs()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until nothing is asked of a run any more. A status that was written before says what one command
    /// has done, not what the last of several has.
    pub fn wait_obeyed(&self, run: &str, patience: Duration) {
        let started = Instant::now();
        let run = run.parse().expect("a run's name");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let blobs = swath_backends::open::open_blobs(&self.root).await.expect("opening the root");
            while swath_coordinator::commands::asked_of(&blobs).await.expect("commands").contains(&run) {
                assert!(started.elapsed() < patience, "{run}: not obeyed after {patience:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }

    /// An object under the root.
    pub fn object(&self, key: &str) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let blobs = swath_backends::open::open_blobs(&self.root).await.expect("opening the root");
            blobs.get(key).await.unwrap_or_else(|error| panic!("{key}: {error:?}")).to_vec()
        })
    }
}

/// Calls again while servers are too busy to answer.
async fn patiently<T>(what: &str, mut call: impl AsyncFnMut() -> swath_backends::Result<T>) -> T {
    let started = Instant::now();
    loop {
        match call().await {
            Err(error)
                if error.kind == swath_backends::Kind::Transient && started.elapsed() < LET_IN_WITHIN =>
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => return answer.expect(what),
        }
    }
}

/// The program under test: built before the tests by `make`.
pub fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("SWATH_BIN") {
        return program.into();
    }
    let test = std::env::current_exe().expect("the test's own path");
    let program = test.ancestors().nth(2).expect("target folder").join("swath");
    assert!(program.exists(), "{} is not built: run `make build`", program.display());
    program
}

/// One labelled scene for all tests, of an odd size: 1,500 pixels are no multiple of any tile.
pub fn scene() -> &'static Path {
    static SCENE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = SCENE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().to_str().expect("UTF-8");
        let output = Command::new(program())
            .args(["synth", target, "--size", "1500", "--count", "2"])
            .output()
            .expect("starting swath");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    folder.path()
}

/// A pipeline over the scene: a tiny network, small windows, so that there are many items.
pub fn pipeline(site: &Site, predict: &str, run: &str) -> PathBuf {
    let scene = scene();
    let text = format!(
        r##"
name = "test"
scenes = [{{ image = "{scene}/scene-1.tif", labels = "{scene}/scene-1.geojson" }}]
{TINY}
[predict]
core_px = 64
block_px = 64
margin_px = 8
batch = 4
scores = true
{predict}

[run]
{run}
"##,
        scene = scene.display(),
    );
    let file = site.path("pipeline.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    file
}

/// What a run makes, by name: everything that must be the same to the last byte.
#[derive(Debug, PartialEq)]
pub struct Made {
    pub classes: Vec<u8>,
    pub scores: Vec<u8>,
    pub eval: Vec<u8>,
}

impl Made {
    pub fn of(site: &Site, run: &str) -> Self {
        Self {
            classes: site.object(&format!("predict/{run}/scene-1.tif")),
            scores: site.object(&format!("predict/{run}/scene-1.scores.tif")),
            eval: site.object(&format!("eval/{run}/eval.json")),
        }
    }

    /// Names the first difference; two megabytes of bytes would not help anybody.
    pub fn assert_same(&self, other: &Made, what: &str) {
        for (name, a, b) in [
            ("classes", &self.classes, &other.classes),
            ("scores", &self.scores, &other.scores),
            ("eval", &self.eval, &other.eval),
        ] {
            let at = a.iter().zip(b).position(|(a, b)| a != b);
            assert!(a == b, "{what}: {name} differ: {} and {} bytes, first at {at:?}", a.len(), b.len());
        }
    }
}
