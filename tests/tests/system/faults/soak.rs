//! Faults drawn from a seed, over run after run, for as long as asked: `make soak`. What strikes, for how long,
//! and after how many items follows from the seed alone; how far the work has come by then does not.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use swath_backends::queue::Lane;
use swath_proto::{item::Stage, keys};
use swath_tests::proxy::{Road, drawn};

use self::report::Report;
use super::{Exposed, LEASE, PATIENCE, Server};
use crate::{
    shared_servers::Mortal,
    site::{Process, Site},
};

mod report;

/// Progress that does not come for so long is disturbed all the same.
const STUCK: Duration = Duration::from_secs(5);
/// Of the store's answers while it fails, one in so many does.
const FAILS_ONE_IN: u32 = 4;

#[derive(Clone, Copy, Debug)]
enum Fault {
    WorkerKilled,
    WorkerCrashed,
    /// Stopped where it stands, and going on when its leases have run out.
    WorkerStopped,
    CoordinatorKilled,
    BrokerKilled,
    LedgerKilled,
    LedgerFlushed,
    Blocked(Server, Road),
    Cut(Server),
    StoreFails,
    QueuePurged,
    OutputDeleted,
}

/// A fault and how long it lasts; those that are over at once are followed by a pause.
struct Blow {
    fault: Fault,
    lasts: Duration,
    /// Struck once so many items more are done.
    after: u32,
    /// A worker is killed in the middle of it besides.
    kills: bool,
}

impl Blow {
    fn draw(draw: &mut StdRng) -> Self {
        let server = Server::ALL[draw.random_range(0..3)];
        let pause = Duration::from_millis(draw.random_range(20..200));
        let fault = match draw.random_range(0..20) {
            0..4 => Fault::WorkerKilled,
            4 => Fault::WorkerCrashed,
            5 => Fault::WorkerStopped,
            6..8 => Fault::CoordinatorKilled,
            8 => Fault::BrokerKilled,
            9 => Fault::LedgerKilled,
            10 => Fault::LedgerFlushed,
            11 => Fault::Blocked(server, Road::Refused),
            12 => Fault::Blocked(server, Road::Silent),
            13 => Fault::Blocked(server, Road::Slow { pause }),
            14..16 => Fault::Cut(server),
            16..18 => Fault::StoreFails,
            18 => Fault::QueuePurged,
            _ => Fault::OutputDeleted,
        };
        Self {
            fault,
            lasts: Duration::from_millis(draw.random_range(200..6000)),
            after: draw.random_range(5..80),
            kills: draw.random_bool(0.25),
        }
    }

    fn name(&self) -> String {
        let name = match self.fault {
            Fault::Blocked(server, Road::Slow { .. }) => format!("{server:?} slow"),
            Fault::Blocked(server, road) => format!("{server:?} {road:?}"),
            Fault::Cut(server) => format!("{server:?} cut"),
            fault => format!("{fault:?}"),
        };
        name.to_lowercase()
    }
}

/// A run with its fleet: what is killed is replaced.
struct Fleet<'a> {
    exposed: &'a Exposed,
    workers: Vec<Process>,
    coordinators: Vec<Process>,
}

impl<'a> Fleet<'a> {
    fn start(exposed: &'a Exposed) -> Self {
        let mut fleet = Self { exposed, workers: Vec::new(), coordinators: Vec::new() };
        (0..3).for_each(|_| fleet.add_worker());
        (0..2).for_each(|_| fleet.add_coordinator());
        fleet
    }

    fn add(&self, args: &[&str]) -> Process {
        let mut command = self.exposed.command(args);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        self.exposed.site.start_command(command)
    }

    fn add_worker(&mut self) {
        let worker = self.add(&["worker", "--lease", LEASE, "--grace", "1"]);
        self.workers.push(worker);
    }

    fn add_coordinator(&mut self) {
        let coordinator = self.add(&["coordinator", "--lease", LEASE]);
        self.coordinators.push(coordinator);
    }

    fn kill_worker(&mut self, draw: &mut StdRng) {
        let at = draw.random_range(0..self.workers.len());
        self.workers.swap_remove(at).kill_group();
        self.add_worker();
    }

    /// As whoever looks after a fleet does with a process that has left: a worker does when no server lets it in.
    fn replace_the_gone(&mut self) {
        let here = self.workers.len();
        self.workers.retain_mut(|worker| !worker.has_ended());
        (self.workers.len()..here).for_each(|_| self.add_worker());
        let here = self.coordinators.len();
        self.coordinators.retain_mut(|coordinator| !coordinator.has_ended());
        (self.coordinators.len()..here).for_each(|_| self.add_coordinator());
    }

    /// From the blow to the moment when all that was broken is whole again.
    fn suffer(&mut self, blow: &Blow, servers: &mut Mortal, draw: &mut StdRng) {
        let roads = &self.exposed.roads;
        match blow.fault {
            Fault::WorkerKilled => self.kill_worker(draw),
            Fault::WorkerCrashed => {
                let at = draw.random_range(0..self.workers.len());
                self.workers[at].crash_child();
            }
            Fault::WorkerStopped => {
                let at = draw.random_range(0..self.workers.len());
                self.workers[at].signal_group(libc::SIGSTOP);
                std::thread::sleep(blow.lasts + Duration::from_secs(3));
                self.workers[at].signal_group(libc::SIGCONT);
            }
            Fault::CoordinatorKilled => {
                let at = draw.random_range(0..self.coordinators.len());
                self.coordinators.swap_remove(at).kill_group();
                self.add_coordinator();
            }
            Fault::BrokerKilled => servers.rabbitmq.server.kill(),
            Fault::LedgerKilled => servers.redis.server.kill(),
            Fault::LedgerFlushed => servers.redis.flush(),
            Fault::Blocked(server, road) => roads.of(server).set(road),
            Fault::Cut(server) => roads.of(server).cut(),
            Fault::StoreFails => roads.store.answer(drawn(draw.random(), 100_000, FAILS_ONE_IN)),
            Fault::QueuePurged => purge(&self.exposed.site),
            Fault::OutputDeleted => delete_an_output(&self.exposed.site),
        }
        std::thread::sleep(blow.lasts / 2);
        if blow.kills {
            self.kill_worker(draw);
        }
        std::thread::sleep(blow.lasts / 2);
        match blow.fault {
            Fault::BrokerKilled => servers.rabbitmq.server.restart(),
            Fault::LedgerKilled => servers.redis.server.restart(),
            Fault::Blocked(server, _) => self.exposed.roads.of(server).set(Road::Open),
            Fault::StoreFails => self.exposed.roads.store.answer(Vec::new()),
            _ => {}
        }
    }

    /// Until so many items more are done, or for so long at most. False: the run is over, or does not end.
    fn wait_for_more(&mut self, items: u32, most: Duration) -> bool {
        let (started, before) = (Instant::now(), self.exposed.site.predicted(&self.exposed.run));
        loop {
            self.replace_the_gone();
            if self.exposed.is_over() {
                return false;
            }
            let is_stuck = started.elapsed() > most;
            if is_stuck || self.exposed.site.predicted(&self.exposed.run) >= before + items {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn purge(site: &Site) {
    block_on(async { site.doors().await.queue.purge(Lane::Cpu).await.expect("purging") });
}

/// The first that there is; none in a run that has just begun.
fn delete_an_output(site: &Site) {
    use futures::TryStreamExt as _;
    block_on(async {
        let blobs = site.doors().await.blobs;
        let outputs: Vec<_> = blobs.list("items/").try_collect().await.expect("listing");
        let is_predict =
            |key: &str| keys::parse_output(key).is_some_and(|(stage, _)| stage == Stage::Predict);
        if let Some(found) = outputs.into_iter().find(|output| is_predict(&output.key)) {
            blobs.delete(&found.key).await.expect("deleting");
        }
    });
}

/// One run from beginning to end. An error says what is not as it must be.
fn one(servers: &mut Mortal, number: u32, draw: &mut StdRng, report: &mut Report) -> Result<(), String> {
    let seed = draw.random_range(0..1000);
    let shuffle = format!("run.shuffle={seed}");
    let mut site = Site::on(servers);
    site.queue = servers.rabbitmq.url(&format!("soak{number}"));
    let exposed = Exposed::submit(site, &["--set", &shuffle]);
    let mut fleet = Fleet::start(&exposed);
    loop {
        let blow = Blow::draw(draw);
        if !fleet.wait_for_more(blow.after, STUCK) {
            break;
        }
        fleet.suffer(&blow, servers, draw);
        let whole_again = Instant::now();
        let goes_on = fleet.wait_for_more(1, PATIENCE);
        report.struck(&blow.name(), whole_again.elapsed());
        if !goes_on {
            break;
        }
        if whole_again.elapsed() > PATIENCE {
            return Err(format!("nothing gets done after '{}'\n{}", blow.name(), exposed.site.log()));
        }
    }
    let ended = catch_unwind(AssertUnwindSafe(|| exposed.ends_well(&format!("run {number}"))));
    drop(fleet);
    report.ran(&exposed.site.log(), exposed.site.status(&exposed.run).as_ref());
    ended.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.unwrap_or_else(|| format!("run {number} is not what it must be"))
    })
}

fn number(name: &str, default: u64) -> u64 {
    let said = std::env::var(name).ok().filter(|said| !said.is_empty());
    said.map_or(default, |said| said.parse().unwrap_or_else(|_| panic!("{name}={said}: must be a number")))
}

#[test]
#[ignore = "as long as SECONDS says: make soak"]
fn soak() {
    let (seconds, seed) = (number("SWATH_SECONDS", 900), number("SWATH_SEED", 20_261_128));
    let mut report = Report::new(seed);
    let mut draw = StdRng::seed_from_u64(seed);
    let mut servers = Mortal::start();
    let mut n = 0;
    while report.elapsed() < Duration::from_secs(seconds) {
        n += 1;
        if let Err(why) = one(&mut servers, n, &mut draw, &mut report) {
            report.mismatch(why);
        }
        report.tell();
    }
    report.print();
    assert!(report.mismatches().is_empty(), "{}", report.mismatches().join("\n"));
}
