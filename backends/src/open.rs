//! URLs choose the doors: one word changes, nothing else does. The only place that asks which
//! backends were compiled in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use url::Url;

use crate::{
    Error, Kind, Result,
    blobs::{SharedBlobs, folder::Folder},
    ledger::{Ledger, embedded::EmbeddedLedger},
    queue::{Queue, embedded::EmbeddedQueue},
};

#[derive(Clone)]
pub struct Urls {
    pub root: String,
    pub queue: String,
    pub ledger: String,
}

#[derive(Clone)]
pub struct Doors {
    pub blobs: SharedBlobs,
    pub queue: Arc<dyn Queue>,
    pub ledger: Arc<dyn Ledger>,
}

pub async fn open(urls: &Urls) -> Result<Doors> {
    Ok(Doors {
        blobs: open_blobs(&urls.root).await?,
        queue: open_queue(&urls.queue, &urls.root).await?,
        ledger: open_ledger(&urls.ledger, &urls.root).await?,
    })
}

/// A folder, or `s3://bucket/prefix`.
pub async fn open_blobs(root: &str) -> Result<SharedBlobs> {
    if let Some(folder) = folder(root) {
        return Ok(Arc::new(Folder::open(&folder)?));
    }
    let url = parse("root", root)?;
    match url.scheme() {
        #[cfg(feature = "s3")]
        "s3" => {
            let bucket = url.host_str().ok_or_else(|| wrong("root", root, "it names no bucket"))?;
            Ok(Arc::new(crate::blobs::s3::S3Blobs::open(bucket, url.path().trim_matches('/')).await?))
        }
        #[cfg(not(feature = "s3"))]
        "s3" => Err(left_out("root", root)),
        _ => Err(wrong("root", root, "it must be a folder or s3://bucket/prefix")),
    }
}

pub async fn open_queue(queue: &str, root: &str) -> Result<Arc<dyn Queue>> {
    if queue == "local:" {
        return Ok(Arc::new(EmbeddedQueue::open(&local("queue", root)?.join("queue.db"))?));
    }
    let url = parse("queue", queue)?;
    match url.scheme() {
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => {
            Ok(Arc::new(crate::queue::rabbitmq::RabbitMq::connect(&of_root(url, root)).await?))
        }
        #[cfg(not(feature = "rabbitmq"))]
        "amqp" | "amqps" => Err(left_out("queue", queue)),
        _ => Err(wrong("queue", queue, "it must be local:, amqp://HOST/VHOST or amqps://HOST/VHOST")),
    }
}

pub async fn open_ledger(ledger: &str, root: &str) -> Result<Arc<dyn Ledger>> {
    if ledger == "local:" {
        return Ok(Arc::new(EmbeddedLedger::open(&local("ledger", root)?.join("ledger.db"))?));
    }
    let url = parse("ledger", ledger)?;
    match url.scheme() {
        #[cfg(feature = "redis")]
        "redis" | "rediss" => Ok(Arc::new(crate::ledger::redis::RedisLedger::connect(&url).await?)),
        #[cfg(not(feature = "redis"))]
        "redis" | "rediss" => Err(left_out("ledger", ledger)),
        _ => Err(wrong("ledger", ledger, "it must be local:, redis://HOST or rediss://HOST")),
    }
}

/// The URL without what must not be shown.
pub fn redacted(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Setting a password fails only on URLs that can't have one.
            let _ = parsed.set_password(Some("***"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// Queues are the root's own, unless the URL names a prefix: an item's keys mean something under its
/// own root only, so workers of another root must not get it.
#[cfg(feature = "rabbitmq")]
fn of_root(mut url: Url, root: &str) -> Url {
    if !url.query_pairs().any(|(key, _)| key == "prefix") {
        let place = match folder(root) {
            Some(folder) => std::path::absolute(&folder).unwrap_or(folder).display().to_string(),
            None => root.trim_end_matches('/').to_owned(),
        };
        let name = swath_proto::ids::ItemId::of(place.as_bytes()).to_string();
        url.query_pairs_mut().append_pair("prefix", &format!("swath-{}", &name[..8]));
    }
    url
}

fn folder(root: &str) -> Option<PathBuf> {
    match root.strip_prefix("file://") {
        Some(path) => Some(path.into()),
        None if root.contains("://") => None,
        None => Some(root.into()),
    }
}

/// Where the embedded twins of queue and ledger lie.
fn local(what: &str, root: &str) -> Result<PathBuf> {
    let folder = folder(root).ok_or_else(|| {
        let why =
            format!("local: lies in the root, and {root} is no folder: give --{what} the URL of a server");
        wrong(what, "local:", &why)
    })?;
    Ok(Path::new(&folder).join("local"))
}

fn parse(what: &str, url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| wrong(what, url, &format!("it is no URL: {error}")))
}

fn wrong(what: &str, url: &str, why: &str) -> Error {
    Error::new(Kind::Config, format!("opening --{what} {}", redacted(url)), anyhow!("{why}"))
}

#[cfg(not(all(feature = "s3", feature = "rabbitmq", feature = "redis")))]
fn left_out(what: &str, url: &str) -> Error {
    wrong(what, url, "this program was built without that server's client (feature \"servers\")")
}
