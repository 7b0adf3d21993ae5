//! What each server carries by itself, call by call, beside what a fleet of ten thousand workers with items of a minute
//! asks of it. Not a test but a measurement: `make bench-scale`.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use swath_backends::{
    ledger::{Cursor, Events, Ledger},
    queue::Lane,
};
use swath_coordinator::{discovery, plan};
use swath_proto::{
    envelope,
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    outcome::Report,
    worker::{GROUP, drain_office},
};
use swath_tests::redis::Redis;

use super::{block_on, noops::verbs};
use crate::{
    counted::frozen,
    shared_servers::Mortal,
    site::{Kind, Site},
};

const WORKERS: u32 = 10_000;
const SLOTS: u32 = 3;
const ITEM_S: f64 = 60.0;
/// A worker says that it is there, and asks whether it is to leave, so often; and extends its holds.
const SAYS_EVERY_S: f64 = 5.0;
const EXTENDS_EVERY_S: f64 = 10.0;
/// Leases do not run out meanwhile.
const LEASE: Duration = Duration::from_secs(3600);
/// Calls under way at a time.
const AT_ONCE: usize = 64;
/// How often a list is read.
const LOOKS: u32 = 5;
const MESSAGES: u32 = 50_000;

fn print(name: &str, value: f64, unit: &str, server_us: Option<f64>, needed: f64) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let line = serde_json::json!({
        "name": format!("limits/{name}"), "value": value, "unit": unit, "server_us_a_call": server_us,
        "needed_a_second": needed, "workers": WORKERS, "item_s": ITEM_S, "load": load.split(' ').next(),
    });
    println!("{line}");
}

/// Microseconds that the server takes for each verb in between.
struct Verbs<'a>(&'a Redis, (f64, f64));

impl<'a> Verbs<'a> {
    fn of(redis: &'a Redis) -> Self {
        Self(redis, verbs(redis))
    }

    fn each_us(&self) -> Option<f64> {
        let (calls, us) = verbs(self.0);
        let (calls, us) = (calls - self.1.0, us - self.1.1);
        (calls > 0.0).then(|| us / calls)
    }
}

/// So many calls, some of them at a time; how many go through in a second.
async fn many<F: Future<Output = ()>>(
    redis: &Redis,
    name: &str,
    needed: f64,
    n: u32,
    call: impl Fn(u32) -> F,
) {
    let (verbs, started) = (Verbs::of(redis), Instant::now());
    let calls = futures::stream::iter((0..n).map(call)).buffer_unordered(AT_ONCE);
    calls.for_each(|()| std::future::ready(())).await;
    let a_second = f64::from(n) / started.elapsed().as_secs_f64();
    print(name, a_second, "calls/s", verbs.each_us(), needed);
}

/// One long call, a few times; how many milliseconds it takes.
async fn long<F: Future<Output = usize>>(
    redis: &Redis,
    name: &str,
    needed: f64,
    wanted: u32,
    call: impl Fn() -> F,
) {
    let (verbs, started) = (Verbs::of(redis), Instant::now());
    for _ in 0..LOOKS {
        assert_eq!(call().await, wanted as usize, "{name}");
    }
    let each_ms = 1000.0 * started.elapsed().as_secs_f64() / f64::from(LOOKS);
    print(name, each_ms, "ms", verbs.each_us(), needed);
}

fn place(index: u32) -> Place {
    Place::new(Stage::Noop, 0, index)
}

fn worker(n: u32) -> WorkerId {
    format!("worker-{n:05}").parse().expect("a name")
}

/// As long as real ones are.
fn card() -> String {
    let sample = include_str!("../../../../proto/samples/worker-v1.json");
    serde_json::from_str::<serde_json::Value>(sample).expect("JSON").to_string()
}

async fn of_redis(redis: &Redis, ledger: &dyn Ledger) {
    let run: RunId = format!("limits-{:08x}", rand::random::<u32>()).parse().expect("a run's name");
    ledger.restore(&run, &[]).await.expect("beginning");
    let begin = ledger.snapshot(&run).await.expect("a snapshot").cursor;
    let words = card();
    let (run, words, held) = (&run, words.as_str(), SLOTS * WORKERS);
    let (items, says) = (f64::from(WORKERS) / ITEM_S, f64::from(WORKERS) / SAYS_EVERY_S);
    let of = |index: u32| worker(index / SLOTS);
    many(redis, "redis/claim", items, held, |index| async move {
        ledger.claim(run, place(index), &of(index), LEASE).await.map(drop).expect("claiming");
    })
    .await;
    many(redis, "redis/extend", f64::from(WORKERS) / EXTENDS_EVERY_S, WORKERS, |n| async move {
        let places: Vec<Place> = (SLOTS * n..SLOTS * (n + 1)).map(place).collect();
        let lost = ledger.extend(run, &places, &worker(n), LEASE).await.expect("extending");
        assert!(lost.is_empty());
    })
    .await;
    many(redis, "redis/announce", says, WORKERS, |n| async move {
        ledger.announce(GROUP, &worker(n), words, LEASE).await.expect("announcing");
    })
    .await;
    many(redis, "redis/asked-to-leave", says, WORKERS, |n| async move {
        ledger.leader(&drain_office(&worker(n))).await.map(drop).expect("asking");
    })
    .await;
    // For the fleet and for the money, every ten seconds each; of the holds every second.
    long(redis, "redis/cards-of-10k-workers", 0.2, WORKERS, || async move {
        discovery::workers(ledger).await.expect("cards").len()
    })
    .await;
    long(redis, "redis/holds-of-30k-items", 1.0, held, || async move {
        ledger.held(run).await.expect("holds").len()
    })
    .await;
    many(redis, "redis/finish", items, held, |index| async move {
        let report = Report { seconds: ITEM_S, pixels: 1, bytes: 1 };
        ledger.finish(run, place(index), report).await.map(drop).expect("finishing");
    })
    .await;
    let started = Instant::now();
    assert_eq!(hear(ledger, run, begin).await, held as usize);
    let a_second = f64::from(held) / started.elapsed().as_secs_f64();
    print("redis/events", a_second, "events/s", None, items);
    ledger.finish(run, place(9_999_999), Report::default()).await.expect("finishing");
    long(redis, "redis/snapshot-of-10M-items", 0.0, held + 1, || async move {
        ledger.snapshot(run).await.expect("a snapshot").n_done() as usize
    })
    .await;
    ledger.forget(run).await.expect("forgetting");
}

/// All that has happened since.
async fn hear(ledger: &dyn Ledger, run: &RunId, mut cursor: Cursor) -> usize {
    let mut heard = 0;
    loop {
        let events = ledger.events(run, &cursor).await.expect("hearing");
        let Events::Some { events, next } = events else { panic!("the ledger has lost its history") };
        if events.is_empty() {
            return heard;
        }
        heard += events.len();
        cursor = next;
    }
}

#[test]
#[ignore = "a measurement: make bench-scale"]
fn scale_what_each_server_carries() {
    let servers = Mortal::start();
    let mut site = Site::new(Kind::Embedded);
    site.queue = servers.rabbitmq.url("limits");
    site.ledger = servers.redis.url();
    block_on(async {
        let doors = site.doors().await;
        of_redis(&servers.redis, &*doors.ledger).await;
        let record = frozen(&site, &doors).await;
        let items = f64::from(WORKERS) / ITEM_S;
        let started = Instant::now();
        for from in (0..MESSAGES).step_by(500) {
            let bodies = (from..from + 500)
                .map(|index| envelope::encode(&plan::noop(&record, index)).expect("a body"));
            doors.queue.publish(Lane::Cpu, bodies.collect()).await.expect("publishing");
        }
        let a_second = |started: Instant| f64::from(MESSAGES) / started.elapsed().as_secs_f64();
        print("rabbitmq/publish", a_second(started), "messages/s", None, items);
        let started = Instant::now();
        let mut receiver = doors.queue.receive(Lane::Cpu, AT_ONCE).await.expect("receiving");
        for _ in 0..MESSAGES {
            let delivery = receiver.next().await.expect("a message");
            assert!(delivery.done().await.expect("settling"));
        }
        print("rabbitmq/receive-and-settle", a_second(started), "messages/s", None, items);
    });
}
