//! Workers that come with the backlog and leave with it: processes of this machine, started and sent away by a
//! coordinator.

mod chart;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use swath_backends::open::{look_at_blobs, open_ledger};
use swath_proto::{
    fleet::{Crew, FleetStatus},
    ids::WorkerId,
    keys,
    status::RunState,
    worker::{GROUP, Worker, WorkerCard},
};

use crate::{
    counted::noops,
    same_bytes::run_name,
    site::{Kind, Made, Process, Site, pipeline},
};

/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(600);

/// Everything is to be done in a second: as many as are allowed.
const EAGER: [&str; 8] =
    ["coordinator", "--fleet", "local", "--drain-time", "1", "--cool-down", "2", "--workers-max"];
/// Of a lease so short that what dies with a worker is soon another's.
const SHORT: [&str; 2] = ["--worker-options", "--lease 2"];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn until<T>(site: &Site, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}; {:?}\n{}",
            fleet(site),
            site.worker_logs()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How the fleet stands, once anybody has said it.
fn fleet(site: &Site) -> Option<FleetStatus> {
    block_on(async {
        let root = look_at_blobs(&site.root).await.expect("opening the root");
        let json = root.get(keys::FLEET).await.ok()?;
        Some(FleetStatus::from_json(&json).expect("fleet.json"))
    })
}

const fn there(crew: &Crew) -> u32 {
    crew.working + crew.idle + crew.launching + crew.leaving
}

/// At work, or ready for it; never more than are allowed.
fn at_work(site: &Site, most: u32) -> Option<u32> {
    let crew = fleet(site)?.crews.cpu;
    assert!(there(&crew) <= most, "{crew:?}");
    Some(crew.working + crew.idle)
}

fn is_gone(site: &Site) -> Option<()> {
    let fleet = fleet(site)?;
    (there(&fleet.crews.cpu) == 0 && fleet.crews.cpu.target == 0).then_some(())
}

fn cards(site: &Site) -> Vec<(WorkerId, Worker)> {
    block_on(async {
        let ledger = open_ledger(&site.ledger, &site.root).await.expect("opening the ledger");
        let cards = ledger.announced(GROUP).await.expect("cards");
        let card = |words: &str| serde_json::from_str::<WorkerCard>(words).expect("a card").into_newest();
        cards.into_iter().map(|(id, words)| (id, card(&words))).collect()
    })
}

/// The worker with its supervisor, as when its machine is taken away.
fn kill(card: &Worker) {
    let read =
        |pid: &str, name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let stat = read(&card.pid.to_string(), "stat");
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // One that is gone by itself has no parent any more, or a stranger.
    let Some(parent) = after_name.split_whitespace().nth(1) else { return };
    if let (true, Ok(parent)) = (read(parent, "cmdline").contains("swath-worker"), parent.parse()) {
        // SAFETY: a plain call; it is a supervisor that the coordinator under test has started.
        unsafe { libc::kill(parent, libc::SIGKILL) };
    }
}

/// Work for a while, on the way of `swath run` or `swath submit`.
fn slow(site: &Site) -> Vec<String> {
    let file = pipeline(site, "item_px = 256", "");
    let set = [
        "model.architecture=unet-resnet18",
        "predict.core_px=256",
        "predict.margin_px=32",
        "predict.augment=d4",
    ];
    let set = set.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]);
    std::iter::once(file.to_str().expect("UTF-8").to_owned()).chain(set).collect()
}

fn submit(site: &Site) -> String {
    let args = slow(site);
    let args: Vec<&str> = std::iter::once("submit").chain(args.iter().map(String::as_str)).collect();
    String::from_utf8_lossy(&site.swath(&args, 0).stdout).trim().to_owned()
}

/// What one worker makes of it.
fn reference() -> &'static Made {
    static REFERENCE: OnceLock<Made> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let site = Site::new(Kind::Embedded);
        let args = slow(&site);
        let args = std::iter::once("run").chain(args.iter().map(String::as_str)).chain(["--workers", "1"]);
        let output = site.swath(&args.collect::<Vec<_>>(), 0);
        Made::of(&site, &run_name(&output.stdout))
    })
}

fn coordinator(site: &Site, more: &[&str]) -> Process {
    site.start(&[&EAGER[..], more].concat())
}

fn from_none_to_four_and_back(site: &Site, mark: &dyn Fn(String)) {
    let _coordinator = coordinator(site, &[&["4"][..], &SHORT].concat());
    until(site, "a fleet of nobody", || is_gone(site));
    let run = submit(site);
    mark("a run is submitted".into());
    until(site, "three at work", || at_work(site, 4).filter(|n| *n >= 3));
    let before = cards(site);
    for (_, card) in before.iter().step_by(2) {
        kill(card);
    }
    mark(format!("{} of {} killed", before.len().div_ceil(2), before.len()));
    let status = {
        let started = Instant::now();
        let mut seen = BTreeSet::new();
        let status = until(site, "the end of the run", || {
            at_work(site, 4);
            seen.extend(cards(site).into_iter().map(|(id, _)| id));
            site.status(&run).filter(|status| status.state.is_final())
        });
        eprintln!("done after {:?}, by {} workers in all", started.elapsed(), seen.len());
        status
    };
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    until(site, "nobody", || is_gone(site));
    let told = String::from_utf8_lossy(&site.swath(&["fleet", "status"], 0).stdout).into_owned();
    assert!(told.contains("nothing to do") && told.contains("hours of workers"), "{told}");
    assert!(fleet(site).is_some_and(|fleet| fleet.spent.hours > 0.0 && fleet.crews.cpu.launch_s.is_some()));
    Made::of(site, &run).assert_same(reference(), "a fleet that comes and goes");
}

#[test]
fn a_fleet_of_this_machine_comes_with_the_backlog_and_goes_with_it_though_half_of_it_is_killed() {
    let site = Site::new(Kind::Embedded);
    chart::drawn(&site, "fleet-elastic", |mark| from_none_to_four_and_back(&site, mark));
}

#[test]
fn so_it_does_with_its_ledger_on_redis() {
    let redis = swath_tests::redis::Redis::start();
    let mut site = Site::new(Kind::Embedded);
    site.ledger = redis.url();
    from_none_to_four_and_back(&site, &|_| {});
}

/// What all workers of this machine have told.
fn logs(site: &Site) -> String {
    let logs = std::fs::read_dir(Path::new(&site.root).join("local/logs"));
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.ok()?.path()).ok();
    logs.into_iter().flatten().filter_map(read).collect()
}

#[test]
fn a_worker_that_is_told_to_leave_finishes_what_it_has_and_another_takes_its_place() {
    let site = Site::new(Kind::Embedded);
    // No lease runs out: what was not finished would be handed back, or missing.
    let _coordinator = coordinator(&site, &["1", "--worker-options", "--lease 600"]);
    let run = submit(&site);
    let first = until(&site, "a worker with items in hand", || {
        cards(&site).into_iter().find(|(_, card)| card.in_hand > 0).map(|(id, _)| id)
    });
    site.swath(&["fleet", "drain", first.as_str()], 0);
    until(&site, "another", || cards(&site).into_iter().find(|(id, _)| *id != first));
    until(&site, "the end of the first", || cards(&site).iter().all(|(id, _)| *id != first).then_some(()));
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    let logs = logs(&site);
    assert!(logs.contains("asked to leave") && !logs.contains("handed back"), "{logs}");
}

#[test]
fn a_number_is_kept_by_command_and_stop_sends_all_away() {
    let site = Site::new(Kind::Embedded);
    let _coordinator = coordinator(&site, &["3"]);
    until(&site, "a fleet of nobody", || is_gone(&site));
    site.swath(&["fleet", "scale", "2", "--kind", "cpu"], 0);
    until(&site, "two at work", || at_work(&site, 3).filter(|n| *n == 2));
    assert!(fleet(&site).expect("a fleet").crews.cpu.why.contains("2 by command"));
    site.swath(&["fleet", "stop"], 0);
    until(&site, "nobody", || is_gone(&site));
    let json = site.swath(&["fleet", "status", "--json"], 0).stdout;
    let told: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((&told["wish"]["stopped"], &told["served"]), (&true.into(), &true.into()), "{told}");
    site.swath(&["fleet", "scale", "auto"], 0);
    until(&site, "no wish", || fleet(&site).filter(|fleet| fleet.wish == Default::default()));
}

#[test]
fn a_budget_that_is_reached_sends_all_away_and_is_said_until_it_is_raised() {
    let site = Site::new(Kind::Embedded);
    let run = block_on(async { noops(&site, &site.doors().await, "many", 2_000_000).await });
    // 150 seconds of workers: enough for one to begin, and soon spent by eight.
    let mut coordinator_of_little = coordinator(&site, &["8", "--budget-hours", "0.0417"]);
    until(&site, "the end of the budget", || fleet(&site).filter(|fleet| fleet.exhausted.is_some()));
    until(&site, "nobody", || is_gone(&site));
    let told = fleet(&site).expect("a fleet");
    assert!(told.messages.iter().any(|message| message.contains("the budget is reached")), "{told:?}");
    assert!(told.crews.cpu.why.contains("the budget is reached") && told.spent.hours > 0.0, "{told:?}");
    let status = site.status(run.as_str()).expect("a status");
    assert!(!status.state.is_final(), "there is more to do: {status:?}");
    assert_eq!(coordinator_of_little.terminate(), Some(0));
    let _coordinator = coordinator(&site, &["2", "--budget-hours", "10"]);
    until(&site, "somebody at work again", || at_work(&site, 2).filter(|n| *n > 0));
    let again = fleet(&site).expect("a fleet");
    assert!(again.exhausted.is_none() && again.spent.hours >= told.spent.hours, "{again:?}");
}

#[test]
fn what_makes_no_sense_of_a_fleet_is_told_before_anything_is_started() {
    let site = Site::new(Kind::Embedded);
    let local = ["coordinator", "--fleet", "local"];
    for (args, wanted) in [
        (vec!["coordinator", "--workers-max", "3"], "give --fleet local"),
        ([&local[..], &["--workers-min", "3", "--workers-max", "2"]].concat(), "--workers-min 3"),
        ([&local[..], &["--budget-money", "2"]].concat(), "--price cpu-on-demand=MONEY"),
        ([&local[..], &["--worker-options", "--slots none"]].concat(), "--worker-options"),
        (vec!["coordinator", "--fleet", "moon"], "--fleet moon"),
        (vec!["fleet", "scale", "many"], "auto"),
        (vec!["fleet", "scale", "-3"], "must be a number of workers, or auto"),
        ([&local[..], &["--price", "cpu=-1"]].concat(), "0 or more"),
        ([&local[..], &["--metrics", "9464"]].concat(), "must be IP:PORT"),
        (vec!["coordinator", "--http", "127.0.0.1"], "must be IP:PORT"),
        (vec!["fleet", "drain"], "WORKERS"),
        (vec!["fleet", "drain", "worker-nobody"], "there is no worker worker-nobody"),
        ([&local[..], &["--workers-max", "0"]].concat(), "--workers-max 0"),
    ] {
        let output = site.swath(&args, 2);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(wanted), "{args:?}: {told}");
    }
    let output = site.swath(&["fleet", "status"], 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("no fleet yet"));
}
