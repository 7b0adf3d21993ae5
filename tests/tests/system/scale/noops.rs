//! A million items that do nothing, through the real servers: how long a coordinator takes to have them drained, beside
//! a loop that decides nothing; what it costs, and what each server is asked.

use std::time::{Duration, Instant};

use futures::future::join;
use swath_backends::{
    ledger::{Event, Events},
    open::Doors,
    queue::Lane,
};
use swath_coordinator::{plan, presence, run::read_status};
use swath_proto::{
    envelope,
    run::{RunRecord, ScalePlan},
    status::RunState,
};
use swath_tests::{rabbitmq::RabbitMq, redis::Redis};

use super::{block_on, cpu_s, cpu_s_of, rss_mib, until};
use crate::{
    counted::{frozen, noops},
    idle::cpu_seconds,
    shared_servers::Mortal,
    site::{Kind, Process, Site},
};

const ITEMS: u32 = 1_000_000;
/// Published all at once by a loop that decides nothing.
const BARE: u32 = 100_000;
const WORKERS: usize = 2;
const SLOTS: &str = "32";
/// A coordinator has 20,000 out at most for so few slots; items that were offered once more, or were done a moment ago, have
/// messages besides.
const MOST_WAITING: u64 = 21_000;
/// A minute to an item would be a thousand times as long.
const WITHIN: Duration = Duration::from_secs(2 * 3600);

/// What the servers say of themselves; it goes up.
#[derive(Clone, Copy)]
struct Asked {
    redis_verbs: f64,
    redis_cpu_s: f64,
    rabbitmq_taken: f64,
    rabbitmq_settled: f64,
    rabbitmq_cpu_s: f64,
}

impl Asked {
    fn of(servers: &Mortal) -> Self {
        let broker = servers.rabbitmq.control(&["eval", "rabbit_global_counters:overview()."]);
        let counted = |name: &str| -> f64 { numbers(&broker, &format!("{name} => ")).sum() };
        Self {
            redis_verbs: verbs(&servers.redis).0,
            redis_cpu_s: cpu_s_of(servers.redis.server.id()),
            rabbitmq_taken: counted("messages_received_total"),
            rabbitmq_settled: counted("messages_acknowledged_total"),
            rabbitmq_cpu_s: cpu_of_broker(&servers.rabbitmq),
        }
    }
}

fn cpu_of_broker(rabbitmq: &RabbitMq) -> f64 {
    cpu_s_of(rabbitmq.server.id())
}

/// What stands behind each occurrence of some words.
fn numbers<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = f64> + 'a {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split(words).skip(1).map(move |rest| digits(rest).parse().expect("a number"))
}

/// The ledger's verbs are scripts: how many there were, and how many microseconds they took the server.
pub(super) fn verbs(redis: &Redis) -> (f64, f64) {
    let told = redis.asked("INFO commandstats");
    let line = told.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or_default();
    let number = |words: &str| numbers(line, words).next().unwrap_or_default();
    (number("calls="), number(",usec="))
}

/// Publishes items as fast as the broker takes them, and hears what becomes of them until all are done: what servers
/// and workers carry. Returns seconds.
async fn bare(doors: &Doors, like: &RunRecord, n: u32) -> f64 {
    let run = format!("bare-{:08x}", rand::random::<u32>()).parse().expect("a run's name");
    let record = RunRecord { run, noops: n, ..like.clone() };
    doors.ledger.restore(&record.run, &[]).await.expect("beginning");
    let mut cursor = doors.ledger.snapshot(&record.run).await.expect("a snapshot").cursor;
    let started = Instant::now();
    let publish = async {
        for from in (0..n).step_by(500) {
            let indices = from..(from + 500).min(n);
            let bodies = indices.map(|index| envelope::encode(&plan::noop(&record, index)).expect("a body"));
            doors.queue.publish(Lane::Cpu, bodies.collect()).await.expect("publishing");
        }
    };
    let hear = async {
        let mut n_done = 0;
        while n_done < n as usize {
            let events = doors.ledger.events(&record.run, &cursor).await.expect("hearing");
            let Events::Some { events, next } = events else { panic!("the ledger has lost its history") };
            cursor = next;
            n_done += events.iter().filter(|event| matches!(event, Event::Finished { .. })).count();
            if events.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    join(publish, hear).await;
    let seconds = started.elapsed().as_secs_f64();
    doors.ledger.forget(&record.run).await.expect("forgetting");
    seconds
}

#[test]
#[ignore = "a measurement: make bench-scale"]
fn scale_a_million_noops_through_rabbitmq_and_redis() {
    let servers = Mortal::start();
    let mut site = Site::new(Kind::Embedded);
    site.queue = servers.rabbitmq.url("scale");
    site.ledger = servers.redis.url();
    block_on(async {
        let doors = site.doors().await;
        let workers: Vec<Process> = (0..WORKERS).map(|_| site.start(&["worker", "--slots", SLOTS])).collect();
        let like = RunRecord {
            stages: Vec::new(),
            scenes: Vec::new(),
            scale: ScalePlan::Given,
            ..frozen(&site, &doors).await
        };
        // Workers take a second to start, which is not what is measured.
        bare(&doors, &like, 1000).await;
        let bare_s = bare(&doors, &like, BARE).await;
        let ideal_s = bare_s * f64::from(ITEMS) / f64::from(BARE);

        let coordinator = site.start(&["coordinator"]);
        until("a coordinator", async || {
            !presence::coordinators(&*doors.ledger, &doors.blobs.uri("")).await.expect("asking").is_empty()
        })
        .await;
        let (before, cpu_before_s) = (Asked::of(&servers), cpu_s(&coordinator));
        let of_workers = || workers.iter().map(cpu_seconds).sum::<f64>();
        let of_workers_before = of_workers();
        let run = noops(&site, &doors, "million", ITEMS).await;
        let (started, mut most_waiting) = (Instant::now(), 0);
        let status = loop {
            if let Some(status) = read_status(&doors.blobs, &run).await.expect("a status")
                && status.state.is_final()
            {
                break status;
            }
            most_waiting = most_waiting.max(doors.queue.waiting(Lane::Cpu).await.expect("counting"));
            assert!(started.elapsed() < WITHIN, "not done after {WITHIN:?}\n{}", site.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let drain_s = started.elapsed().as_secs_f64();
        let (cpu, rss) = (cpu_s(&coordinator) - cpu_before_s, rss_mib(&coordinator));
        let of_workers = of_workers() - of_workers_before;
        let after = Asked::of(&servers);
        assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
        assert!(most_waiting <= MOST_WAITING, "{most_waiting} were waiting");
        assert!(rss < 200.0, "{rss} MiB");
        let a_second = |of: fn(&Asked) -> f64| (of(&after) - of(&before)) / drain_s;
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let line = serde_json::json!({
            "name": "scale/1M-noops", "value": f64::from(ITEMS) / drain_s, "unit": "items/s",
            "items": ITEMS, "workers": WORKERS, "drain_s": drain_s, "ideal_s": ideal_s,
            "times_the_ideal": drain_s / ideal_s,
            "cpu_s": cpu, "coordinator_cores": cpu / drain_s, "rss_mib": rss,
            "worker_cores": of_workers / drain_s,
            "redis_cores": a_second(|asked| asked.redis_cpu_s),
            "redis_verbs_a_second": a_second(|asked| asked.redis_verbs),
            "redis_verbs_an_item": a_second(|asked| asked.redis_verbs) * drain_s / f64::from(ITEMS),
            "rabbitmq_cores": a_second(|asked| asked.rabbitmq_cpu_s),
            "rabbitmq_published_a_second": a_second(|asked| asked.rabbitmq_taken),
            "rabbitmq_settled_a_second": a_second(|asked| asked.rabbitmq_settled),
            "most_waiting": most_waiting, "wall_s": drain_s, "load": load.split(' ').next(),
        });
        println!("{line}");
    });
}
