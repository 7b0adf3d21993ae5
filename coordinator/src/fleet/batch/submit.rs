//! One order, never more jobs than it says. See [`super`] for why this is not one call.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use aws_sdk_batch::{
    error::SdkError,
    operation::submit_job::SubmitJobError,
    types::{ArrayProperties, ContainerOverrides, JobSummary, KeyValuePair, KeyValuesPair},
};

use super::{
    client::once,
    failure::{failed, is_in_doubt, is_throttled},
    names::{self, Named, Part},
    provider::{BATCH, Server},
    register::retries,
};
use crate::fleet::provider::{ErrorKind, JobId, ProviderError};

/// Throttled submissions are repeated so often; each pause is about twice the one before.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// What ECS takes of overrides, as JSON; Batch finds out only when it starts the job.
const LONGEST_OVERRIDES: usize = 8192;

/// How jobs are submitted: where, of what, and with which words of our own.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) queue: String,
    pub(super) definition: String,
    /// In the place of the definition's own.
    pub(super) command: Option<Vec<String>>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) attempts: u32,
    pub(super) tags: BTreeMap<String, String>,
}

impl Way {
    /// What Batch would take, and ECS refuse when the job is about to start.
    fn check(&self) -> anyhow::Result<()> {
        let variables: Vec<_> =
            self.environment.iter().map(|(name, value)| (("name", name), ("value", value))).collect();
        let length = serde_json::to_string(&(&self.command, &variables))?.len();
        anyhow::ensure!(
            length <= LONGEST_OVERRIDES,
            "command and environment take {length} bytes, of which {LONGEST_OVERRIDES} can be given to a job: put what is \
             long into the job definition"
        );
        Ok(())
    }

    fn overrides(&self) -> ContainerOverrides {
        let pair =
            |(name, value): (&String, &String)| KeyValuePair::builder().name(name).value(value).build();
        let environment: Vec<_> = self.environment.iter().map(pair).collect();
        ContainerOverrides::builder()
            .set_command(self.command.clone())
            .set_environment(Some(environment).filter(|all| !all.is_empty()))
            .build()
    }
}

impl Server {
    /// The jobs of an order, those too that an earlier call has started.
    pub(super) async fn start(&self, way: &Way, named: &Named, n: u32) -> Result<Vec<JobId>, ProviderError> {
        let wrong = |why: anyhow::Error| {
            let doing = format!("submitting to the job queue {}", way.queue);
            ProviderError::new(ErrorKind::Config, doing, "mend [batch] of the profile", why)
        };
        way.check().map_err(wrong)?;
        let mut started = Vec::new();
        for part in names::parts(&self.fleet, named, n) {
            let id = self.start_part(way, &part).await?;
            started.extend(ids(&id, part.n));
        }
        Ok(started)
    }

    async fn start_part(&self, way: &Way, part: &Part) -> Result<String, ProviderError> {
        if let Some(id) = self.submitted_before(&way.queue, &part.name).await? {
            return Ok(id);
        }
        if self.doubts().get(&part.name).is_some_and(|until| Instant::now() < *until) {
            return Err(self.in_doubt(way, part));
        }
        let mut tries = 1;
        loop {
            match self.submit(way, part).await {
                Ok(Some(id)) => return Ok(id),
                Err(error) if is_throttled(&error) && tries < TRIES => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                Err(error) if !is_in_doubt(&error) => return Err(self.explained(way, error).await),
                unknown => {
                    self.doubts().insert(part.name.clone(), Instant::now() + self.listed_within);
                    let error = unknown.err().map(|error| failed("submitting", &self.at, error).told());
                    tracing::warn!(
                        job = part.name,
                        error,
                        "nobody knows whether this job was started: it is looked for by its name"
                    );
                    let found = self.submitted_before(&way.queue, &part.name).await?;
                    return found.ok_or_else(|| self.in_doubt(way, part));
                }
            }
        }
    }

    /// The job's id; `None`: the answer has none.
    async fn submit(&self, way: &Way, part: &Part) -> Result<Option<String>, SdkError<SubmitJobError>> {
        let mut submit = self
            .client
            .submit_job()
            .job_name(&part.name)
            .job_queue(&way.queue)
            .job_definition(&way.definition)
            .container_overrides(way.overrides())
            .retry_strategy(retries(way.attempts))
            .set_tags(Some(way.tags.clone().into_iter().collect()))
            .propagate_tags(true);
        if part.n > 1 {
            let size = i32::try_from(part.n).unwrap_or(i32::MAX);
            submit = submit.array_properties(ArrayProperties::builder().size(size).build());
        }
        let submitted = submit.customize().config_override(once()).send().await?;
        Ok(submitted.job_id)
    }

    /// The job of this name. Should there be two all the same, the later ones are ended.
    async fn submitted_before(&self, queue: &str, name: &str) -> Result<Option<String>, ProviderError> {
        let mut found = self.listed(queue, name).await?;
        found.retain(|job| job.job_name.as_deref() == Some(name));
        found.sort_by(|one, other| (one.created_at, &one.job_id).cmp(&(other.created_at, &other.job_id)));
        let mut ids = found.into_iter().filter_map(|job| job.job_id);
        let Some(first) = ids.next() else { return Ok(None) };
        self.doubts().remove(name);
        for twin in ids {
            tracing::warn!(job = name, id = twin, "it was started twice: the later one is ended");
            self.end(&twin, "it was started twice").await?;
        }
        Ok(Some(first))
    }

    /// Of every status. A name that ends in an asterisk is the beginning of names. Children of arrays are not listed.
    pub(super) async fn listed(&self, queue: &str, name: &str) -> Result<Vec<JobSummary>, ProviderError> {
        let doing = || format!("listing the jobs of the queue {queue}");
        let by_name = KeyValuesPair::builder().name("JOB_NAME").values(name).build();
        let mut pages =
            self.client.list_jobs().job_queue(queue).filters(by_name).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(job) = pages.next().await {
            let job = job.map_err(|error| failed(doing(), &self.at, error))?;
            // Some servers list them all the same.
            if job.job_id.as_ref().is_some_and(|id| !id.contains(':')) {
                found.push(job);
            }
        }
        Ok(found)
    }

    fn in_doubt(&self, way: &Way, part: &Part) -> ProviderError {
        let doing = format!("submitting {} to the job queue {}", part.name, way.queue);
        let why =
            anyhow!("it is not known yet whether the job was started, and another is not started before");
        ProviderError::new(ErrorKind::Away, doing, "", why)
    }

    /// A refusal, with what is wrong with queue or definition where something is.
    async fn explained(&self, way: &Way, error: SdkError<SubmitJobError>) -> ProviderError {
        let refused = failed(format!("submitting to the job queue {}", way.queue), &self.at, error);
        if refused.kind != ErrorKind::Config {
            return refused;
        }
        self.forget_definitions().await;
        let found = match self.usable(&way.queue).await {
            Ok(_) => self.is_there(&way.definition).await,
            Err(error) => Err(error),
        };
        match found {
            Err(error) if error.kind == ErrorKind::Config => error,
            _ => refused,
        }
    }
}

/// Each job is one worker: of an array, each child.
fn ids(id: &str, n: u32) -> Vec<JobId> {
    match n {
        1 => vec![JobId(format!("{BATCH}{id}"))],
        n => (0..n).map(|index| JobId(format!("{BATCH}{id}:{index}"))).collect(),
    }
}

/// By chance: those who were refused together do not come back together.
fn pause(tries: u32) -> Duration {
    FIRST_PAUSE * (1_u32 << tries.min(6)) / 2 * rand::random_range(50..=100_u32) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(variable: &str) -> Way {
        Way {
            queue: "q".into(),
            definition: "d".into(),
            command: None,
            environment: BTreeMap::from([("A".to_owned(), variable.to_owned())]),
            attempts: 3,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn each_child_of_an_array_is_a_worker() {
        assert_eq!(ids("a", 1), [JobId("batch:a".into())]);
        assert_eq!(ids("a", 2), [JobId("batch:a:0".into()), JobId("batch:a:1".into())]);
    }

    #[test]
    fn what_a_job_can_be_given_has_an_end_and_that_is_said() {
        assert!(way("short").check().is_ok());
        let words = way(&"x".repeat(9000)).check().unwrap_err().to_string();
        assert!(words.contains("8192"), "{words}");
    }

    #[test]
    fn nothing_is_overridden_that_nobody_has_named() {
        let overrides = way("b").overrides();
        assert!(overrides.command.is_none(), "the definition's own stays");
        assert_eq!(overrides.environment().len(), 1);
    }

    #[test]
    fn pauses_grow_and_differ() {
        assert!(pause(1) <= Duration::from_millis(500) && pause(1) >= Duration::from_millis(250));
        assert!(pause(6) >= Duration::from_secs(8));
    }
}
