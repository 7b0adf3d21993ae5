//! `swath doctor`: every door by a round trip, and the engines by their names.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use swath_backends::{
    blobs::{Put, SharedBlobs},
    ledger::Ledger,
    open::{Doors, open, redacted},
    queue::{Lane, Queue},
};

use crate::{
    args::DoorArgs,
    config,
    exit::{self, Exit},
};

pub(super) async fn run(args: DoorArgs) -> anyhow::Result<Exit> {
    let urls = config::urls(&args);
    let names = [("root", &urls.root), ("queue", &urls.queue), ("ledger", &urls.ledger)];
    for (what, url) in names {
        println!("{what:<8}{}", redacted(url));
    }
    let Doors { blobs, queue, ledger } = open(&urls).await?;
    let mut worst = Exit::Done;
    let mut report = |what: &str, started: Instant, result: anyhow::Result<String>| match result {
        Ok(text) => println!("ok      {what}: {text} ({:.1} ms)", started.elapsed().as_secs_f64() * 1e3),
        Err(error) => {
            println!("FAILED  {what}");
            worst = exit::explain(&error);
        }
    };
    let started = Instant::now();
    report("root", started, check_root(&blobs).await);
    let started = Instant::now();
    report("queue", started, check_queue(&*queue).await);
    let started = Instant::now();
    report("ledger", started, check_ledger(&*ledger).await);
    engines();
    Ok(worst)
}

async fn check_root(blobs: &SharedBlobs) -> anyhow::Result<String> {
    let key = format!("doctor/{:016x}", rand::random::<u64>());
    let first = blobs.put_new(&key, "one".into()).await.context("writing a new object")?;
    let second = blobs.put_new(&key, "two".into()).await.context("writing it again")?;
    let read = blobs.get(&key).await.context("reading it")?;
    blobs.delete(&key).await.context("deleting it")?;
    anyhow::ensure!(
        first == Put::Created && second == Put::Exists && read == "one",
        "the store does not keep the first of two writers: conditional writes (If-None-Match) are needed"
    );
    Ok("wrote, refused to overwrite, read, deleted".into())
}

async fn check_queue(queue: &dyn Queue) -> anyhow::Result<String> {
    let mut waiting = Vec::new();
    for lane in Lane::ALL {
        waiting.push(format!("{} on lane {}", queue.waiting(lane).await?, lane.name()));
    }
    Ok(format!("{} waiting", waiting.join(", ")))
}

async fn check_ledger(ledger: &dyn Ledger) -> anyhow::Result<String> {
    let me = config::process_name("doctor");
    let office = format!("doctor/{me}");
    anyhow::ensure!(
        ledger.lead(&office, &me, Duration::from_secs(5)).await?,
        "a new office is taken already"
    );
    ledger.resign(&office, &me).await?;
    Ok("took and gave up an office".into())
}

#[cfg(feature = "worker")]
fn engines() {
    println!("ok      engines: {}, {}", swath_model::engine(), swath_raster::version());
}

#[cfg(not(feature = "worker"))]
fn engines() {
    println!("-       engines: none; this program was built as a coordinator only");
}
