//! A whole coordinator in simulated time: the loop that serves a run and the loop that has the fleet, as they are, over
//! the embedded ledger in memory. What a run of ten million items and a fleet of ten thousand workers ask of a
//! coordinator is measured so, and that all of them are kept at work.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use swath_backends::{
    ledger::{Ledger, embedded::EmbeddedLedger},
    open::{Doors, open_blobs},
};
use swath_proto::{
    fleet::{FleetStatus, Market},
    keys,
    run::{RunRecord, ScalePlan},
    status::RunState,
};

use super::{
    hands::{Hands, LEASE, SLOTS, Went},
    world::{Machines, Messages},
};
use crate::{
    board::tests::record,
    fleet::{
        control::{Control, Setup},
        picture::{Panel, Point, picture},
        policy::{KindPolicy, Offer, Policy},
    },
    run::{Me, simulated::Served},
    sharing::Sharing,
};

/// Between two looks of the coordinator at its run; in real time there are many a second.
const TICK_S: u64 = 2;
/// Between two decisions on the fleet, as on AWS Batch.
const ROUND_S: u64 = 10;

#[derive(Clone, Copy)]
struct Size {
    items: u32,
    workers: u32,
    item_s: f64,
    launch_s: u64,
}

impl Size {
    fn setup(self, machines: Arc<Machines>) -> Setup {
        let kind = |max| {
            let offers = vec![Offer { market: Market::Spot, price_per_hour: None }];
            KindPolicy { min: 0, max, offers }
        };
        let policy = Policy::of_machines(kind(self.workers), kind(0));
        Setup {
            policy: Policy { launch_s: self.launch_s as f64, ..policy },
            provider: machines,
            provider_name: "simulated".into(),
            allow_steps: false,
            every: Duration::from_secs(ROUND_S),
        }
    }
}

#[derive(Default)]
struct Outcome {
    done_s: f64,
    hands: Went,
    /// Workers that were started, from first to last.
    started: usize,
    /// In the queue or in hand, in hand, and in the queue: at most.
    most: (usize, usize, usize),
    /// What serving the run and having the fleet took of a processor, and how often each was done.
    run: (f64, u64),
    fleet: (f64, u64),
    points: Vec<Point>,
}

impl Outcome {
    /// If all workers had been there from the first moment, and had always something to do.
    fn ideal_s(&self, size: Size) -> f64 {
        self.hands.work_s / f64::from(size.workers)
    }
}

async fn simulate(size: Size) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let messages = Messages::default();
    let ledger: Arc<dyn Ledger> =
        Arc::new(EmbeddedLedger::open(Path::new(":memory:")).expect("a ledger in memory"));
    let doors = Doors {
        blobs: open_blobs(folder.path().to_str().expect("UTF-8")).await.expect("opening the root"),
        queue: Arc::new(messages.clone()),
        ledger: ledger.clone(),
    };
    let (stages, scenes, scale) = (Vec::new(), Vec::new(), ScalePlan::Given);
    let record = RunRecord { noops: size.items, stages, scenes, scale, ..record() };
    let run = record.run.clone();
    doors.blobs.put(&keys::run_record(&run), record.to_json().into()).await.expect("writing run.json");

    let (began, zero) = (Instant::now(), Timestamp::now());
    let machines = Arc::new(Machines::new(Duration::from_secs(size.launch_s), zero));
    let sharing = Sharing::default();
    let me = Me { name: "simulated".parse().expect("a name"), lease: LEASE, prices: None };
    let mut control = Control::new(size.setup(machines.clone()), doors.clone(), me.clone(), sharing.clone());
    let mut served = Some(Served::load(&run, &doors, me, sharing.clone()).await.expect("loading the run"));
    let mut hands = Hands::new(run.clone(), ledger, messages.clone(), machines.clone(), size.item_s);
    let mut outcome = Outcome::default();
    let mut now_s = 0;
    loop {
        let (now, stamp) =
            (began + Duration::from_secs(now_s), zero + SignedDuration::from_secs(now_s as i64));
        hands.come(stamp);
        hands.work(now_s as f64, TICK_S as f64).await.expect("working");
        hands.take(now_s as f64).await.expect("taking");
        if let Some(serves) = &mut served {
            let (status, cpu_s) = timed(serves.at(now)).await;
            let status = status.expect("serving the run");
            outcome.run = (outcome.run.0 + cpu_s, outcome.run.1 + 1);
            let (out, held, waiting) = outcome.most;
            outcome.most = (out.max(serves.n_out()), held.max(hands.held()), waiting.max(messages.n()));
            if let Some(status) = status {
                assert_eq!((status.state, status.n_failures), (RunState::Done, 0));
                outcome.done_s = now_s as f64;
                sharing.withdraw(&run);
                served = None;
            }
        }
        if now_s.is_multiple_of(ROUND_S) {
            hands.tell().await.expect("telling");
            let (ended, cpu_s) = timed(control.round(stamp)).await;
            ended.expect("a round");
            outcome.fleet = (outcome.fleet.0 + cpu_s, outcome.fleet.1 + 1);
            hands.leave().await.expect("leaving");
            outcome.points.push(point(&doors, now_s).await);
        }
        let (there, started) = machines.n();
        if served.is_none() && there == 0 {
            outcome.started = started;
            break;
        }
        now_s += TICK_S;
        let all_s = f64::from(size.items) * size.item_s / f64::from(size.workers);
        assert!((now_s as f64) < 3.0 * all_s + 7200.0, "it never ends: {:?}", hands.went);
    }
    // All have left; the controller sees it.
    let stamp = zero + SignedDuration::from_secs((now_s + ROUND_S) as i64);
    control.round(stamp).await.expect("a last round");
    outcome.points.push(point(&doors, now_s + ROUND_S).await);
    outcome.hands = hands.went;
    outcome
}

/// As the coordinator has written it down.
async fn point(doors: &Doors, at_s: u64) -> Point {
    let json = doors.blobs.get(keys::FLEET).await.expect("fleet.json");
    let crew = FleetStatus::from_json(&json).expect("fleet.json").crews.cpu;
    let working = crew.working + crew.idle;
    let there = working + crew.launching + crew.leaving;
    Point { at_s: at_s as f64, backlog_s: crew.backlog_s, working, there, target: crew.target }
}

/// What a call takes of this thread's processor: ledger and root work on threads of their own, as servers would.
async fn timed<T>(call: impl Future<Output = T>) -> (T, f64) {
    let before_s = cpu_s();
    let answer = call.await;
    (answer, cpu_s() - before_s)
}

fn cpu_s() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a plain call that fills what it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// What holds however large it is.
fn assert_well_done(size: Size, outcome: &Outcome) {
    let (done_s, ideal_s) = (outcome.done_s, outcome.ideal_s(size));
    assert!(done_s <= 1.2 * ideal_s, "{done_s} s, and {ideal_s:.0} s if nothing were lost");
    assert_eq!(outcome.hands.finished, u64::from(size.items));
    assert_eq!(outcome.started, size.workers as usize, "as many as are allowed, and nobody twice");
    let all = SLOTS * size.workers as usize;
    assert_eq!(outcome.most.1, all, "every slot had an item at some time");
    let last = outcome.points.last().expect("points");
    assert_eq!((last.there, last.target, last.backlog_s), (0, 0, 0.0), "back to none");
}

#[tokio::test]
async fn a_whole_coordinator_keeps_its_fleet_at_work_to_the_end() {
    let size = Size { items: 5000, workers: 40, item_s: 20.0, launch_s: 60 };
    let outcome = simulate(size).await;
    assert_well_done(size, &outcome);
    assert!(outcome.most.0 <= 20_000);
}

/// Not a test but a measurement, beside what must hold. Draws docs/scale-simulated.svg.
#[tokio::test]
#[ignore = "a measurement: make bench-scale"]
async fn ten_million_items_by_ten_thousand_workers() {
    let items: u32 =
        std::env::var("SWATH_ITEMS").ok().and_then(|items| items.parse().ok()).unwrap_or(10_000_000);
    let size = Size { items, workers: (items / 1000).min(10_000), item_s: 20.0, launch_s: 180 };
    let began = Instant::now();
    let outcome = simulate(size).await;
    let (done_s, ideal_s) = (outcome.done_s, outcome.ideal_s(size));
    let each_ms = |(cpu_s, n): (f64, u64)| 1000.0 * cpu_s / n as f64;
    let (out, held, waiting) = outcome.most;
    let line = serde_json::json!({
        "name": "scale/simulated", "value": done_s / ideal_s, "unit": "times the ideal",
        "items": items, "workers": size.workers, "item_s": size.item_s, "slots": SLOTS,
        "drain_s": done_s, "ideal_s": ideal_s, "items_a_simulated_s": f64::from(items) / done_s,
        "idle": outcome.hands.idle_s / (outcome.hands.idle_s + outcome.hands.work_s),
        "most_out": out, "most_held": held, "most_waiting": waiting,
        "run_cpu_s": outcome.run.0, "look_ms": each_ms(outcome.run), "look_every_s": TICK_S,
        "fleet_cpu_s": outcome.fleet.0, "round_ms": each_ms(outcome.fleet), "round_every_s": ROUND_S,
        "cores": (outcome.run.0 + outcome.fleet.0) / done_s,
        "wall_s": began.elapsed().as_secs_f64(), "rss_mib": peak_mib(),
    });
    println!("{line}");
    let title = format!(
        "{items} items of {} s by {} workers: done after {:.2} h, ideal {:.2} h",
        size.item_s,
        size.workers,
        done_s / 3600.0,
        ideal_s / 3600.0
    );
    let svg = picture(&[Panel { title, points: outcome.points.clone(), marks: Vec::new() }]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scale-simulated.svg");
    std::fs::write(file, svg).expect("writing the picture");
    assert_well_done(size, &outcome);
}

/// Of the whole process, the simulated world and the ledger in memory included.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) / 1024.0
}
