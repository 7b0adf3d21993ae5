//! URLs choose the doors: one word changes, nothing else does. The only place that asks which
//! backends were compiled in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use swath_proto::access::Access;
use url::Url;

use crate::{
    Error, Kind, Result,
    blobs::{SharedBlobs, folder::Folder},
    ledger::{Ledger, embedded::EmbeddedLedger},
    outside::Buckets,
    queue::{Queue, embedded::EmbeddedQueue},
};

/// The embedded ledger's file.
const LEDGER: &str = "ledger.db";
const REDIS_PORT: u16 = 6379;
const ROOTS: &str = "it must be a folder or s3://bucket/prefix";
const QUEUES: &str = "it must be local:, amqp://HOST/VHOST, amqps://HOST/VHOST or sqs://REGION";
const LEDGERS: &str = "it must be local:, redis://HOST or rediss://HOST";

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

/// What [`open`] says to words that mean no door: asks no server and makes nothing.
pub fn check(urls: &Urls) -> Result<()> {
    let Urls { root, queue, ledger } = urls;
    if folder(root).is_none() {
        bucket(root)?;
    }
    MeantQueue::of(queue)?;
    MeantLedger::of(ledger)?;
    Ok(())
}

/// What the words for a queue mean.
enum MeantQueue {
    Local,
    RabbitMq(Url),
    Sqs(Url),
}

impl MeantQueue {
    fn of(queue: &str) -> Result<Self> {
        if queue == "local:" {
            return Ok(Self::Local);
        }
        let wrong = || wrong("queue", queue, QUEUES);
        let url = Url::parse(queue).map_err(|_| wrong())?;
        match url.scheme() {
            "amqp" | "amqps" => Ok(Self::RabbitMq(url)),
            "sqs" => Ok(Self::Sqs(url)),
            _ => Err(wrong()),
        }
    }
}

/// What the words for a ledger mean.
enum MeantLedger {
    Local,
    Redis(Url),
}

impl MeantLedger {
    fn of(ledger: &str) -> Result<Self> {
        if ledger == "local:" {
            return Ok(Self::Local);
        }
        let wrong = || wrong("ledger", ledger, LEDGERS);
        let url = Url::parse(ledger).map_err(|_| wrong())?;
        match url.scheme() {
            "redis" | "rediss" => Ok(Self::Redis(url)),
            _ => Err(wrong()),
        }
    }
}

/// Whether a root is a folder that is not there.
pub fn is_missing(root: &str) -> bool {
    folder(root).is_some_and(|folder| !folder.exists())
}

/// A folder, or `s3://bucket/prefix`.
pub async fn open_blobs(root: &str) -> Result<SharedBlobs> {
    match folder(root) {
        Some(folder) => Ok(Arc::new(Folder::open(&folder)?)),
        None => open_store(root).await,
    }
}

/// For those who only look: makes no folder. A root that is not there is empty.
pub async fn look_at_blobs(root: &str) -> Result<SharedBlobs> {
    match folder(root) {
        Some(folder) => Ok(Arc::new(Folder::at(&folder)?)),
        None => open_store(root).await,
    }
}

async fn open_store(root: &str) -> Result<SharedBlobs> {
    match bucket(root)? {
        #[cfg(feature = "s3")]
        (bucket, prefix) => Ok(Arc::new(crate::blobs::s3::S3Blobs::open(&bucket, &prefix).await?)),
        #[cfg(not(feature = "s3"))]
        _ => Err(left_out("root", root)),
    }
}

/// A root's bucket and its prefix there.
fn bucket(root: &str) -> Result<(String, String)> {
    let url = Url::parse(root).ok().filter(|url| url.scheme() == "s3");
    let url = url.ok_or_else(|| wrong("root", root, ROOTS))?;
    let bucket = url.host_str().ok_or_else(|| wrong("root", root, "it names no bucket"))?;
    Ok((bucket.to_owned(), url.path().trim_matches('/').to_owned()))
}

/// Buckets outside the root, as an entry of the pipeline says or, without one, the environment. Asks for nothing yet.
pub async fn open_buckets(access: Option<&Access>) -> Result<Arc<dyn Buckets>> {
    #[cfg(feature = "s3")]
    return Ok(Arc::new(crate::blobs::s3::Reach::settle(access).await?));
    #[cfg(not(feature = "s3"))]
    {
        let prefix = access.map_or("s3://", |access| &access.prefix);
        let why = anyhow!("this program was built without that server's client (feature \"servers\")");
        Err(Error::new(Kind::Config, format!("opening {prefix}"), why))
    }
}

pub async fn open_queue(queue: &str, root: &str) -> Result<Arc<dyn Queue>> {
    match MeantQueue::of(queue)? {
        MeantQueue::Local => Ok(Arc::new(EmbeddedQueue::open(&local("queue", root)?.join("queue.db"))?)),
        #[cfg(feature = "rabbitmq")]
        MeantQueue::RabbitMq(url) => {
            Ok(Arc::new(crate::queue::rabbitmq::RabbitMq::connect(&of_root(url, root)).await?))
        }
        #[cfg(not(feature = "rabbitmq"))]
        MeantQueue::RabbitMq(url) => Err(left_out("queue", url.as_str())),
        #[cfg(feature = "sqs")]
        MeantQueue::Sqs(url) => {
            use crate::queue::{by_reference::ByReference, sqs};
            let inner = sqs::Sqs::connect(&url, &own_name(root)).await?;
            Ok(Arc::new(ByReference::new(inner, root, sqs::LONGEST)))
        }
        #[cfg(not(feature = "sqs"))]
        MeantQueue::Sqs(url) => Err(left_out("queue", url.as_str())),
    }
}

pub async fn open_ledger(ledger: &str, root: &str) -> Result<Arc<dyn Ledger>> {
    match MeantLedger::of(ledger)? {
        MeantLedger::Local => Ok(Arc::new(EmbeddedLedger::open(&local("ledger", root)?.join(LEDGER))?)),
        #[cfg(feature = "redis")]
        MeantLedger::Redis(url) => Ok(Arc::new(crate::ledger::redis::RedisLedger::connect(&url).await?)),
        #[cfg(not(feature = "redis"))]
        MeantLedger::Redis(url) => Err(left_out("ledger", url.as_str())),
    }
}

/// Host and port of the ledger's server; none of a file.
pub fn ledger_server(ledger: &str) -> Option<(String, u16)> {
    let url = Url::parse(ledger).ok()?;
    Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(REDIS_PORT)))
}

/// For those who only look: none where no file of the embedded ledger has been made yet.
pub async fn look_at_ledger(ledger: &str, root: &str) -> Result<Option<Arc<dyn Ledger>>> {
    if matches!(MeantLedger::of(ledger)?, MeantLedger::Local) && !local("ledger", root)?.join(LEDGER).exists()
    {
        return Ok(None);
    }
    open_ledger(ledger, root).await.map(Some)
}

/// The URL without what must not be shown. Wrong ones have passwords too: what can't be told apart is hidden
/// up to the last `@`.
pub fn redacted(url: &str) -> String {
    if let Ok(mut parsed) = Url::parse(url)
        && parsed.has_host()
    {
        // Setting either fails only on URLs that can't have one. A user alone may be a password in the wrong place.
        let hidden = match parsed.password() {
            Some(_) => parsed.set_password(Some("***")),
            None if !parsed.username().is_empty() => parsed.set_username("***"),
            None => return url.to_owned(),
        };
        return hidden.map_or_else(|()| url.to_owned(), |()| parsed.to_string());
    }
    let Some((hidden, shown)) = url.rsplit_once('@') else { return url.to_owned() };
    match hidden.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{shown}"),
        None => format!("***@{shown}"),
    }
}

/// Queues are the root's own, unless the URL names a prefix: an item's keys mean something under its
/// own root only, so workers of another root must not get it.
#[cfg(feature = "rabbitmq")]
fn of_root(mut url: Url, root: &str) -> Url {
    if !url.query_pairs().any(|(key, _)| key == "prefix") {
        url.query_pairs_mut().append_pair("prefix", &own_name(root));
    }
    url
}

/// Every region is named so: words and a number, `us-gov-west-1`. Which there are, changes.
pub fn is_region(name: &str) -> bool {
    let mut words: Vec<&str> = name.split('-').collect();
    let is_number = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    let is_word = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    words.pop().is_some_and(is_number) && words.len() >= 2 && words.iter().all(is_word)
}

/// What belongs to a root alone is called so, where nothing else is said: queues, a fleet's jobs.
pub fn own_name(root: &str) -> String {
    let place = match folder(root) {
        Some(folder) => std::path::absolute(&folder).unwrap_or(folder).display().to_string(),
        None => root.trim_end_matches('/').to_owned(),
    };
    let name = swath_proto::ids::ItemId::of(place.as_bytes()).to_string();
    format!("swath-{}", &name[..8])
}

fn folder(root: &str) -> Option<PathBuf> {
    if root.starts_with("file://") {
        return Url::parse(root).ok()?.to_file_path().ok();
    }
    // `s3:/bucket` is a slip, and no folder of that name.
    let is_url =
        root.split_once(":/").is_some_and(|(word, _)| word.chars().all(|c| c.is_ascii_alphanumeric()));
    (!root.is_empty() && !is_url && !root.contains("://")).then(|| root.into())
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

fn wrong(what: &str, url: &str, why: &str) -> Error {
    Error::new(Kind::Config, format!("opening --{what} {}", redacted(url)), anyhow!("{why}"))
}

#[cfg(not(all(feature = "s3", feature = "rabbitmq", feature = "redis", feature = "sqs")))]
fn left_out(what: &str, url: &str) -> Error {
    wrong(what, url, "this program was built without that server's client (feature \"servers\")")
}

#[cfg(test)]
mod tests;
