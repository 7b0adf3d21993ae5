//! The provider's verbs, and what `swath doctor` tries.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use async_trait::async_trait;
use aws_sdk_batch::Client;
use swath_backends::open::{Urls, own_name, redacted};
use swath_proto::fleet::{Market, WorkerKind};

use super::{
    client,
    definition::Definition,
    failure::failed,
    look::Known,
    names::{self, Named, Role},
    settings::{Settings, Side},
    state::OURS,
    submit::Way,
};
use crate::fleet::provider::{ErrorKind, Job, JobId, Order, Provider, ProviderError};

/// What ids of our jobs begin with, here and on workers' cards.
pub(super) const BATCH: &str = "batch:";
/// A job is listed by its name so long after it was submitted at the latest. AWS names no number: its listings lag by
/// seconds.
const LISTED_WITHIN: Duration = Duration::from_secs(60);
/// A worker that nobody drains, since its coordinator is gone, leaves after so long without work.
const IDLE_EXIT: &str = "900";
/// Ids of jobs that are over, described in one look. Batch remembers a week of them, and a new coordinator goes through
/// them in several looks.
const MOST_A_LOOK: usize = 2_000;
/// Of a reason, in letters: Batch shows no more in its lists.
const LONGEST_REASON: usize = 200;

pub struct Batch {
    pub(super) server: Server,
}

pub(super) struct Server {
    pub(super) client: Client,
    pub(super) region: String,
    /// Who is asked, for people.
    pub(super) at: String,
    /// How the names of our jobs begin.
    pub(super) fleet: String,
    pub(super) settings: Settings,
    /// Where things are, as this process reaches them.
    urls: Urls,
    /// By the section, what jobs are submitted with: looked for or registered when it is first needed.
    definitions: tokio::sync::Mutex<HashMap<&'static str, String>>,
    /// Jobs of which nobody knows whether they were submitted, and until when that is so.
    doubts: Mutex<HashMap<String, Instant>>,
    pub(super) listed_within: Duration,
    pub(super) most_a_look: usize,
    pub(super) known: tokio::sync::Mutex<HashMap<String, Known>>,
}

/// What came of looking at a queue.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The environments behind it.
    pub told: String,
    /// It works, and has to be seen to all the same.
    pub warnings: Vec<String>,
}

/// Whether workers on other machines find what there is to do.
pub fn are_reachable(urls: &Urls) -> Result<(), ProviderError> {
    if urls.queue != "local:" && urls.ledger != "local:" && urls.root.contains("://") {
        return Ok(());
    }
    let why = anyhow!(
        "workers on other machines can't reach --root {}, --queue {}, --ledger {}",
        redacted(&urls.root),
        redacted(&urls.queue),
        redacted(&urls.ledger)
    );
    let remedy = "use s3:// for the root, and servers for queue and ledger (docs/servers.md)";
    Err(ProviderError::new(ErrorKind::Config, "opening AWS Batch", remedy, why))
}

impl Batch {
    /// Asks for nothing but credentials. `urls`: where the workers find what there is to do.
    pub async fn open(settings: &Settings, urls: &Urls) -> Result<Self, ProviderError> {
        let doing = "opening AWS Batch";
        let wrong = |why: anyhow::Error, next: &str| ProviderError::new(ErrorKind::Config, doing, next, why);
        settings.check().map_err(|why| wrong(why, "mend [batch] of the profile"))?;
        are_reachable(urls)?;
        let (client, region, at) = client::open(settings).await?;
        let server = Server {
            client,
            region,
            at,
            fleet: settings.name.clone().unwrap_or_else(|| own_name(&urls.root)),
            settings: settings.clone(),
            urls: urls.clone(),
            definitions: tokio::sync::Mutex::default(),
            doubts: Mutex::default(),
            listed_within: LISTED_WITHIN,
            most_a_look: MOST_A_LOOK,
            known: tokio::sync::Mutex::default(),
        };
        Ok(Self { server })
    }

    /// For servers whose lists lag less, or more.
    #[must_use]
    pub fn listing_within(mut self, time: Duration) -> Self {
        self.server.listed_within = time;
        self
    }

    /// For servers that are to be asked for less at a time, or may be for more.
    #[must_use]
    pub fn describing_at_most(mut self, ids: usize) -> Self {
        self.server.most_a_look = ids;
        self
    }

    /// How the names of this fleet's jobs begin.
    pub fn fleet(&self) -> &str {
        &self.server.fleet
    }

    /// Who is asked, for people.
    pub fn at(&self) -> &str {
        &self.server.at
    }

    /// All job queues of the profile, once each.
    pub fn queues(&self) -> BTreeSet<String> {
        self.server.queues()
    }

    /// Whether jobs can come to machines there.
    pub async fn try_queue(&self, queue: &str) -> Result<Tried, ProviderError> {
        let found = self.server.usable(queue).await?;
        Ok(Tried { told: found.told(), warnings: found.warnings() })
    }

    /// Whether jobs can be listed and described; how many of this fleet's Batch remembers.
    pub async fn try_jobs(&self) -> Result<usize, ProviderError> {
        self.server.try_jobs().await
    }

    /// Sections of the profile that say what jobs are made of.
    pub fn sections(&self) -> Vec<&'static str> {
        self.server.settings.sides().map(|(section, _)| section).collect()
    }

    /// Whether the job definition of a section is there. One that would be registered is not: nothing is left behind.
    pub async fn try_definition(&self, section: &str) -> Result<String, ProviderError> {
        let side = self.server.settings.sides().find(|(name, _)| *name == section).map(|(_, side)| side);
        match side.and_then(|side| side.definition.as_deref()) {
            Some(named) => self.server.is_there(named).await.map(|()| named.to_owned()),
            None => Ok("registered when it is first used".to_owned()),
        }
    }
}

impl Server {
    pub(super) fn queues(&self) -> BTreeSet<String> {
        let of_side = |side: &Side| side.spot.iter().chain(&side.on_demand).cloned().collect::<Vec<_>>();
        self.settings.sides().flat_map(|(_, side)| of_side(side)).collect()
    }

    /// A queue in which jobs can come to machines.
    pub(super) async fn usable(&self, name: &str) -> Result<super::queues::Queue, ProviderError> {
        let doing = || format!("looking at the job queue {name}");
        let Some(queue) = self.look_at(name).await? else {
            let next = "mend its name in the profile, or the region";
            let why = anyhow!("{} has no such job queue", self.at);
            return Err(ProviderError::new(ErrorKind::Config, doing(), next, why));
        };
        match &queue.problems()[..] {
            [] => Ok(queue),
            problems => Err(ProviderError::new(ErrorKind::Config, doing(), "", anyhow!(problems.join("; ")))),
        }
    }

    /// How jobs of a section are submitted.
    pub(super) async fn way(
        &self,
        section: &'static str,
        market: Market,
        command: Option<Vec<String>>,
    ) -> Result<Way, ProviderError> {
        let wrong = |why: anyhow::Error| {
            let doing = format!("starting {section} workers on {market} machines");
            ProviderError::new(ErrorKind::Config, doing, "add it to [batch] of the profile", why)
        };
        let side = self.settings.sides().find(|(name, _)| *name == section).map(|(_, side)| side);
        let side = side.ok_or_else(|| wrong(anyhow!("the profile has no [batch.{section}]")))?;
        let queue = match (section, side.queue(section, market)) {
            ("trainer", Err(_)) => match &self.settings.gpu {
                Some(gpu) => gpu.queue("gpu", market),
                None => side.queue(section, market),
            },
            (_, queue) => queue,
        };
        let queue = queue.map_err(wrong)?.to_owned();
        let definition = self.definition(section, side).await?;
        // A definition that somebody else has made says by itself where things are, as its machines reach them.
        let mut environment = match side.image {
            Some(_) => self.doors_for_others().map_err(wrong)?,
            None => BTreeMap::new(),
        };
        environment.extend(self.settings.environment.clone());
        Ok(Way {
            queue,
            definition,
            command: command.or_else(|| side.command.clone()),
            environment,
            attempts: self.settings.attempts,
            tags: BTreeMap::new(),
        })
    }

    /// Nothing that holds a secret: a job's variables are shown to all who may look at it. Those come by the definition.
    fn doors_for_others(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let Urls { root, queue, ledger } = &self.urls;
        let mut doors = BTreeMap::new();
        for (name, url) in [("SWATH_ROOT", root), ("SWATH_QUEUE", queue), ("SWATH_LEDGER", ledger)] {
            if self.settings.environment.contains_key(name) {
                continue;
            }
            anyhow::ensure!(
                !is_here(url),
                "other machines can't reach {}: say in [batch] environment how they do, as {name}",
                redacted(url)
            );
            if redacted(url) == *url {
                doors.insert(name.to_owned(), url.clone());
            }
        }
        Ok(doors)
    }

    async fn definition(&self, section: &'static str, side: &Side) -> Result<String, ProviderError> {
        let mut definitions = self.definitions.lock().await;
        if let Some(known) = definitions.get(section) {
            return Ok(known.clone());
        }
        let found = match (&side.definition, &side.image) {
            (Some(named), _) => {
                self.is_there(named).await?;
                named.clone()
            }
            (None, Some(image)) => {
                let command = side.command.clone().unwrap_or_else(|| usual_command(section));
                let attempts = self.settings.attempts;
                self.registered(&Definition::new(&self.fleet, section, command, image, attempts)).await?
            }
            (None, None) => unreachable!("settings are checked when they are read"),
        };
        definitions.insert(section, found.clone());
        Ok(found)
    }

    /// It may be gone: it is looked for again when it is needed next.
    pub(super) async fn forget_definitions(&self) {
        self.definitions.lock().await.clear();
    }

    pub(super) fn tags(&self, run: Option<&str>, stage: Option<&str>) -> BTreeMap<String, String> {
        let root = redacted(&self.urls.root);
        names::tags([
            ("run", run),
            ("stage", stage),
            ("owner", self.settings.owner.as_deref()),
            ("root", Some(&*root)),
            ("fleet", Some(&*self.fleet)),
        ])
    }

    pub(super) fn doubts(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn end(&self, id: &str, why: &str) -> Result<(), ProviderError> {
        let why: String = format!("{OURS}{why}").chars().take(LONGEST_REASON).collect();
        let ended = self.client.terminate_job().job_id(id).reason(why).send().await;
        ended.map(drop).map_err(|error| failed(format!("ending the job {id}"), &self.at, error))
    }
}

/// Whether a URL leads to this machine alone.
fn is_here(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

/// Behind the image's entry point, which is the program.
fn usual_command(section: &str) -> Vec<String> {
    let words: &[&str] = match section {
        "trainer" => &["train"],
        "gpu" => &["worker", "--kinds", "gpu", "--idle-exit", IDLE_EXIT],
        _ => &["worker", "--kinds", "cpu", "--idle-exit", IDLE_EXIT],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

const fn section(kind: WorkerKind) -> &'static str {
    match kind {
        WorkerKind::Cpu => "cpu",
        WorkerKind::Gpu => "gpu",
    }
}

#[async_trait]
impl Provider for Batch {
    async fn start(&self, order: &Order) -> Result<Vec<JobId>, ProviderError> {
        let mut way = self.server.way(section(order.kind), order.market, None).await?;
        way.tags = self
            .server
            .tags(order.run.as_ref().map(|run| run.as_str()), order.stage.map(|stage| stage.name()));
        let named =
            Named { role: Role::Worker(order.kind), market: order.market, token: order.token.clone() };
        self.server.start(&way, &named, order.n).await
    }

    async fn jobs(&self) -> Result<Vec<Job>, ProviderError> {
        self.server.jobs().await
    }

    async fn cancel(&self, job: &JobId, why: &str) -> Result<(), ProviderError> {
        let Some(id) = job.0.strip_prefix(BATCH) else {
            let why = anyhow!("it is no job of Batch");
            return Err(ProviderError::new(ErrorKind::Config, format!("ending the job {job}"), "", why));
        };
        // It ends those too that wait, and those that run within their grace: as a worker is told by SIGTERM.
        self.server.end(id, why).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_told_from_others() {
        for url in ["redis://127.0.0.1:6379/0", "amqp://user:a@localhost/%2f", "rediss://[::1]"] {
            assert!(is_here(url), "{url}");
        }
        for url in ["redis://10.0.0.7:6379/0", "s3://maps/localhost", "sqs://eu-central-1/maps"] {
            assert!(!is_here(url), "{url}");
        }
    }
}
