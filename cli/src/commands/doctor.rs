//! `swath doctor`: every door by a round trip, and the engines by their names. One that is shut does not keep
//! it from trying the others.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use swath_backends::{
    blobs::Put,
    open::{Urls, open_blobs, open_ledger, open_queue, redacted},
    queue::Lane,
};

use crate::{
    args::DoorArgs,
    config,
    exit::{self, Exit},
};

pub(super) async fn run(args: DoorArgs) -> anyhow::Result<Exit> {
    let urls = config::urls(&args);
    let checks = [
        told("root", &urls.root, check_root(&urls)).await,
        told("queue", &urls.queue, check_queue(&urls)).await,
        told("ledger", &urls.ledger, check_ledger(&urls)).await,
        engines(),
    ];
    Ok(worst(&checks))
}

/// Wrong usage is mended first, then servers, then the rest.
fn worst(checks: &[Exit]) -> Exit {
    let order = [Exit::WrongUsage, Exit::Unreachable, Exit::Failed];
    order.into_iter().find(|exit| checks.contains(exit)).unwrap_or(Exit::Done)
}

async fn told(what: &str, url: &str, check: impl Future<Output = anyhow::Result<String>>) -> Exit {
    let (started, url) = (Instant::now(), redacted(url));
    match check.await {
        Ok(text) => {
            say!("ok      {what:<8}{url}  {text} ({:.1} ms)", started.elapsed().as_secs_f64() * 1e3);
            Exit::Done
        }
        Err(error) => {
            let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            // Some causes tell their own cause too.
            causes.dedup_by(|cause, of| of.ends_with(cause.as_str()));
            say!("FAILED  {what:<8}{url}  {}", causes.join(": "));
            exit::code(&error)
        }
    }
}

async fn check_root(urls: &Urls) -> anyhow::Result<String> {
    let blobs = open_blobs(&urls.root).await?;
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

async fn check_queue(urls: &Urls) -> anyhow::Result<String> {
    let queue = open_queue(&urls.queue, &urls.root).await?;
    let mut waiting = Vec::new();
    for lane in Lane::ALL {
        waiting.push(format!("{} on lane {}", queue.waiting(lane).await?, lane.name()));
    }
    Ok(format!("{} waiting", waiting.join(", ")))
}

async fn check_ledger(urls: &Urls) -> anyhow::Result<String> {
    let ledger = open_ledger(&urls.ledger, &urls.root).await?;
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
fn engines() -> Exit {
    match crate::worker_program::engines() {
        Ok(engines) => {
            say!("ok      engines {engines}");
            Exit::Done
        }
        Err(error) => {
            say!("FAILED  engines {error:#}");
            Exit::Failed
        }
    }
}

#[cfg(not(feature = "worker"))]
fn engines() -> Exit {
    say!("-       engines none; this program was built as a coordinator only");
    Exit::Done
}
