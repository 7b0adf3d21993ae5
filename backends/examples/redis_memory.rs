//! What a run costs in the memory of Redis: a million items done, a million held, the log of events at its full length.
//! `cargo run --release -p swath-backends --example redis_memory -- redis://127.0.0.1:6379`; an empty Redis, a minute.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_backends::open::open_ledger;
use swath_proto::{
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    outcome::{Failure, FailureClass, Report},
};

const MILLION: u32 = 1_000_000;
/// More than the log of events keeps.
const EVENTS: u32 = 150_000;
const GRAVES: u32 = 1_000;
const AT_ONCE: usize = 256;
const LEASE: Duration = Duration::from_secs(3600);

struct Meter {
    connection: redis::aio::MultiplexedConnection,
    before: u64,
}

impl Meter {
    async fn used(&mut self) -> anyhow::Result<u64> {
        let told: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connection).await?;
        let used = told.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.context("INFO tells no used_memory")?.trim().parse()?)
    }

    /// Prints by how much it has grown.
    async fn tell(&mut self, name: &str, n: u32, began: Instant) -> anyhow::Result<()> {
        let used = self.used().await?;
        let grown = used.saturating_sub(self.before);
        let (per, wall_s) = (grown as f64 / f64::from(n), began.elapsed().as_secs_f64());
        println!(
            r#"{{"name":"redis_{name}","value":{grown},"unit":"bytes","n":{n},"bytes_each":{per:.1},"wall_s":{wall_s:.1}}}"#
        );
        self.before = used;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("give the URL of an empty Redis")?;
    let ledger = open_ledger(&url, "unused").await?;
    let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut meter = Meter { connection, before: 0 };
    let run: RunId = "measured-0123456789ab".parse()?;
    let worker: WorkerId = "worker-a-host-of-usual-length-12345-abcdef".parse()?;
    ledger.restore(&run, &[]).await?;
    meter.before = meter.used().await?;

    let began = Instant::now();
    let done: Vec<Place> = (0..MILLION).map(|index| Place::new(Stage::Predict, 0, index)).collect();
    ledger.restore(&run, &done).await?;
    meter.tell("done", MILLION, began).await?;

    let began = Instant::now();
    let claim = |index| ledger.claim(&run, Place::new(Stage::Predict, 1, index), &worker, LEASE);
    futures::stream::iter((0..MILLION).map(claim))
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| ready())
        .await?;
    meter.tell("held", MILLION, began).await?;

    let began = Instant::now();
    let report = Report { seconds: 61.234_567_8, pixels: 16_777_216, bytes: 1_234_567 };
    let finish = |index| ledger.finish(&run, Place::new(Stage::Predict, 2, index), report);
    futures::stream::iter((0..EVENTS).map(finish))
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| ready())
        .await?;
    meter.tell("events", EVENTS, began).await?;

    let began = Instant::now();
    let message = "x".repeat(1000);
    let failure =
        Failure { class: FailureClass::Data, message, scene: None, rect: None, worker: worker.clone() };
    for index in 0..GRAVES {
        ledger.bury(&run, Place::new(Stage::Predict, 3, index), 3, &failure).await?;
    }
    meter.tell("buried", GRAVES, began).await?;

    let began = Instant::now();
    ledger.forget(&run).await?;
    println!(r#"{{"name":"redis_forget","value":{:.3},"unit":"s"}}"#, began.elapsed().as_secs_f64());
    Ok(())
}

async fn ready() -> swath_backends::Result<()> {
    Ok(())
}
