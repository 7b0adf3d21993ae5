//! Runs on a broker, a Redis and a store that are reached over roads which a test can block, slow and break.
//! Whatever happens: the same bytes, an exact ledger, and no hand.

use std::{
    cell::RefCell,
    process::Command,
    time::{Duration, Instant},
};

use swath_backends::{blobs::SharedBlobs, open::open_blobs};
use swath_proto::{
    keys,
    status::{RunState, RunStatus},
};
use swath_tests::proxy::{Proxy, Road};
use url::Url;

use crate::{
    same_bytes::reference,
    shared_servers::shared,
    site::{Kind, Made, Process, Site, pipeline},
};

mod disk;
mod kills;
mod ledger;
mod memory;
mod roads;
mod soak;
mod store;
mod time;

const PATIENCE: Duration = Duration::from_secs(300);
/// Of workers: what one has when it falls silent goes to another after that.
const LEASE: &str = "2";

/// The servers that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Broker,
    Ledger,
    Store,
}

impl Server {
    const ALL: [Self; 3] = [Self::Broker, Self::Ledger, Self::Store];
}

/// The only ways by which the processes of a run reach their servers. The test itself goes straight there.
struct Roads {
    broker: Proxy,
    ledger: Proxy,
    store: Proxy,
}

impl Roads {
    fn to(site: &Site) -> Self {
        Self {
            broker: Proxy::before(port(&site.queue)),
            ledger: Proxy::before(port(&site.ledger)),
            store: Proxy::before_http(port(&shared().s3.environment()[0].1)),
        }
    }

    fn of(&self, server: Server) -> &Proxy {
        match server {
            Server::Broker => &self.broker,
            Server::Ledger => &self.ledger,
            Server::Store => &self.store,
        }
    }

    /// Sets all three.
    fn set(&self, road: Road) {
        Server::ALL.into_iter().for_each(|server| self.of(server).set(road));
    }

    fn environment(&self, site: &Site) -> [(&'static str, String); 3] {
        [
            ("SWATH_QUEUE", by(&site.queue, &self.broker)),
            ("SWATH_LEDGER", by(&site.ledger, &self.ledger)),
            ("AWS_ENDPOINT_URL", by(&shared().s3.environment()[0].1, &self.store)),
        ]
    }
}

fn port(url: &str) -> u16 {
    Url::parse(url).ok().and_then(|url| url.port()).expect("a URL with a port")
}

/// The same URL by way of a proxy.
fn by(url: &str, proxy: &Proxy) -> String {
    let mut url = Url::parse(url).expect("a URL");
    url.set_port(Some(proxy.port())).expect("a URL with a port");
    url.to_string().trim_end_matches('/').to_owned()
}

/// A process, and what starts it again where it has left: a busy server may let nobody in for a while.
struct Running {
    command: Command,
    process: Process,
}

/// A run, and who works on it.
struct Exposed {
    site: Site,
    roads: Roads,
    run: String,
    processes: RefCell<Vec<Running>>,
    /// For the test's own look at the root.
    runtime: tokio::runtime::Runtime,
    blobs: SharedBlobs,
}

impl Exposed {
    /// Submitted; nobody works yet.
    fn submit(site: Site, settings: &[&str]) -> Self {
        let file = pipeline(&site, "item_px = 64", "");
        let output = site.swath(&[&["submit", file.to_str().expect("UTF-8")], settings].concat(), 0);
        let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let roads = Roads::to(&site);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let blobs = runtime.block_on(open_blobs(&site.root)).expect("opening the root");
        Self { site, roads, run, processes: RefCell::default(), runtime, blobs }
    }

    /// A coordinator and two workers, on shared servers.
    fn start() -> Self {
        Self::start_on(Site::new(Kind::Servers))
    }

    fn start_on(site: Site) -> Self {
        let this = Self::submit(site, &[]);
        this.add(&["coordinator", "--lease", LEASE]);
        (0..2).for_each(|_| this.add(&["worker", "--lease", LEASE, "--grace", "1"]));
        this
    }

    /// `swath`, with nothing but the roads to its servers.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.site.command(args);
        command.envs(self.roads.environment(&self.site));
        // Each attempt is told, and how it ended.
        command.env("RUST_LOG", "info,swath_worker=debug");
        command
    }

    fn add(&self, args: &[&str]) {
        self.add_command(self.command(args));
    }

    fn add_command(&self, command: Command) {
        let process = self.site.start_command(again(&command));
        self.processes.borrow_mut().push(Running { command, process });
    }

    /// As whoever looks after a fleet does.
    fn replace_the_gone(&self) {
        for running in self.processes.borrow_mut().iter_mut() {
            if running.process.has_ended() {
                running.process = self.site.start_command(again(&running.command));
            }
        }
    }

    /// Waits until so many items more are done.
    fn wait_for_more(&self, items: u32) {
        let (started, before) = (Instant::now(), self.site.predicted(&self.run));
        // What a ledger has lost is counted again from where it was.
        while self.site.predicted(&self.run) < before + items {
            assert!(started.elapsed() < PATIENCE, "nothing gets done\n{}", self.site.log());
            self.replace_the_gone();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_over(&self) -> bool {
        let key = keys::status(&self.run.parse().expect("a run's name"));
        let json = self.runtime.block_on(self.blobs.get(&key));
        let status = json.ok().and_then(|json| serde_json::from_slice::<RunStatus>(&json).ok());
        status.is_some_and(|status| status.state.is_final())
    }

    /// The fault has struck a run at work, not one that was over.
    fn is_at_work(&self, what: &str) {
        assert!(!self.is_over(), "{what}: too late to matter");
    }

    fn ends_well(&self, what: &str) {
        let started = Instant::now();
        while !self.is_over() && started.elapsed() < PATIENCE {
            self.replace_the_gone();
            std::thread::sleep(Duration::from_millis(100));
        }
        let status = self.site.wait(&self.run, Duration::ZERO);
        whole(&self.site, &self.run, &status, what);
        Made::of(&self.site, &self.run).assert_same(reference(), what);
    }
}

/// The same command once more.
fn again(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args()).stdin(std::process::Stdio::null());
    again.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        again.current_dir(folder);
    }
    again
}

/// The run is done, and the ledger says what is true: every item once, nothing set aside, nobody holds
/// anything.
fn whole(site: &Site, run: &str, status: &RunStatus, what: &str) {
    assert_eq!(status.state, RunState::Done, "{what}: {status:?}");
    for (stage, count) in &status.stages {
        assert_eq!((count.done, count.buried), (count.items, 0), "{what}: {stage}");
    }
    let items: u64 = status.stages.values().map(|count| count.items).sum();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let run = run.parse().expect("a run's name");
        let ledger = site.doors().await.ledger;
        let snapshot = ledger.snapshot(&run).await.expect("a snapshot");
        assert_eq!(snapshot.n_done(), items, "{what}: the ledger does not count each item once");
        assert!(snapshot.buried.is_empty(), "{what}: {:?}", snapshot.buried);
        assert_eq!(ledger.held(&run).await.expect("holds"), [], "{what}");
    });
}
