//! What has become of this fleet's jobs: listed by the beginning of their names, described in hundreds. What is over
//! stays as it is, and is not asked for again; it is told for as long as Batch keeps it, seven days at least, so that a
//! coordinator that was away for a night still counts what was spent meanwhile.

use std::collections::{BTreeMap, HashMap};

use anyhow::anyhow;
use aws_sdk_batch::types::{JobDetail, JobStatus};
use jiff::Timestamp;

use super::{
    failure::failed,
    look::{Known, Look},
    names::{self, Named, Role},
    provider::{BATCH, Server},
    state::{Told, state},
};
use crate::fleet::provider::{ErrorKind, Job, JobId, JobState, ProviderError};

/// Ids a call.
pub(super) const MOST_DESCRIBED: usize = 100;

/// A worker, or a machine of a gang, as Batch told of it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    named: Named,
    pub(super) id: JobId,
    pub(super) state: JobState,
    asked: Timestamp,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
}

impl Seen {
    pub(super) fn of(told: &JobDetail, named: &Named, id: String, now: Timestamp) -> Self {
        let container = told.container.as_ref();
        let state = state(Told {
            status: told.status.as_ref().map_or("", |status| status.as_str()),
            status_reason: told.status_reason.as_deref(),
            exit_code: container.and_then(|container| container.exit_code),
            reason: container.and_then(|container| container.reason.as_deref()),
            is_cancelled: told.is_cancelled == Some(true) || told.is_terminated == Some(true),
        });
        // Batch counts milliseconds; a server that has none to tell says nought.
        let at = |ms: Option<i64>| Timestamp::from_millisecond(ms.filter(|ms| *ms > 0)?).ok();
        // What an earlier host has cost counts too.
        let first = told.attempts().first().and_then(|attempt| attempt.started_at);
        Self {
            named: named.clone(),
            id: JobId(format!("{BATCH}{id}")),
            asked: at(told.created_at).unwrap_or(now),
            began: at(first).or_else(|| at(told.started_at)),
            // One without an end would cost something for ever.
            ended: state.is_over().then(|| at(told.stopped_at).unwrap_or(now)),
            state,
        }
    }

    /// `None`: it trains.
    fn into_worker(self) -> Option<Job> {
        let Named { role: Role::Worker(kind), market, token } = self.named else { return None };
        let (id, state, asked, began, ended) = (self.id, self.state, self.asked, self.began, self.ended);
        Some(Job { id, token, kind, market, state, asked, began, ended })
    }
}

/// As Batch lists it.
pub(super) struct Listed {
    pub(super) named: Named,
    /// All of it, also of an array.
    is_over: bool,
}

impl Server {
    pub(super) async fn jobs(&self) -> Result<Vec<Job>, ProviderError> {
        // What was learned stays, should whoever asks not wait for the end.
        let mut known = self.known.lock().await;
        let seen = self.seen(&self.all(), &mut known, self.most_a_look).await?;
        Ok(seen.into_iter().filter_map(Seen::into_worker).collect())
    }

    /// `name`: of a job, or the beginning of names with an asterisk. Of jobs that are over `most_over` at most are
    /// described; while there are more, it is an error that says so, and the next call goes on where this one has
    /// stopped: with a part of the jobs alone nobody could tell how many workers there are, or what they have cost.
    pub(super) async fn seen(
        &self,
        name: &str,
        known: &mut HashMap<String, Known>,
        most_over: usize,
    ) -> Result<Vec<Seen>, ProviderError> {
        let listed = self.by_id(name).await?;
        known.retain(|id, _| listed.contains_key(id));
        let mut open: Vec<(&String, &Listed)> = listed.iter().collect();
        open.retain(|(id, _)| !known.get(*id).is_some_and(Known::is_over));
        let (over, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, listed)| listed.is_over);
        let ids = |of: &[(&String, &Listed)]| of.iter().map(|(id, _)| (*id).clone()).collect::<Vec<_>>();
        let mut look = Look::new(&listed, known);
        if !self.look(&ids(&over), most_over, &mut look).await? {
            let left = over.iter().filter(|(id, _)| !look.is_over(id)).count();
            let why = anyhow!(
                "{left} of the {} jobs that Batch remembers are over, and what became of them was not read yet: the next look \
                 goes on",
                listed.len()
            );
            return Err(ProviderError::new(ErrorKind::Away, "looking at jobs", "", why));
        }
        self.look(&ids(&others), usize::MAX, &mut look).await?;
        Ok(look.seen())
    }

    /// Whether they can be listed and described; how many Batch remembers.
    pub(super) async fn try_jobs(&self) -> Result<usize, ProviderError> {
        let listed = self.by_id(&self.all()).await?;
        let some: Vec<String> = listed.keys().take(MOST_DESCRIBED).cloned().collect();
        self.described(&some).await?;
        Ok(listed.len())
    }

    /// The names of all of this fleet's jobs.
    fn all(&self) -> String {
        format!("{}*", names::beginning(&self.fleet))
    }

    /// What was submitted, by its id.
    async fn by_id(&self, name: &str) -> Result<BTreeMap<String, Listed>, ProviderError> {
        let mut found = BTreeMap::new();
        for queue in self.queues() {
            for job in self.listed(&queue, name).await? {
                let (Some(id), Some(name)) = (job.job_id, job.job_name) else { continue };
                if let Some(named) = names::read(&self.fleet, &name) {
                    let is_over = matches!(job.status, Some(JobStatus::Succeeded | JobStatus::Failed));
                    found.insert(id, Listed { named, is_over });
                }
            }
        }
        Ok(found)
    }

    /// Those that are not there are left out.
    pub(super) async fn described(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, JobDetail>, ProviderError> {
        let mut found = HashMap::new();
        for ids in ids.chunks(MOST_DESCRIBED) {
            let described = self.client.describe_jobs().set_jobs(Some(ids.to_vec())).send().await;
            let described = described.map_err(|error| failed("looking at jobs", &self.at, error))?;
            for job in described.jobs.unwrap_or_default() {
                if let Some(id) = job.job_id.clone() {
                    found.insert(id, job);
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_batch::types::{AttemptDetail, ContainerDetail};
    use swath_proto::fleet::{Market, WorkerKind};

    use super::*;
    use crate::fleet::provider::Ending;

    fn named(role: Role) -> Named {
        Named { role, market: Market::Spot, token: "t-1".into() }
    }

    fn of(told: &JobDetail, role: Role) -> Seen {
        Seen::of(told, &named(role), "a:3".into(), Timestamp::from_second(9).unwrap())
    }

    #[test]
    fn what_batch_tells_of_a_job_becomes_a_worker() {
        let told = JobDetail::builder()
            .status(JobStatus::Failed)
            .status_reason("Essential container in task exited")
            .created_at(1_000)
            .started_at(3_000)
            .stopped_at(5_000)
            .attempts(AttemptDetail::builder().started_at(2_000).build())
            .container(ContainerDetail::builder().exit_code(2).build())
            .build();
        let job = of(&told, Role::Worker(WorkerKind::Gpu)).into_worker().expect("a worker");
        assert_eq!((job.id.0.as_str(), job.token.as_str()), ("batch:a:3", "t-1"));
        assert_eq!((job.kind, job.market), (WorkerKind::Gpu, Market::Spot));
        assert!(
            matches!(&job.state, JobState::Ended(Ending::Failed(why)) if why.contains("code 2")),
            "{job:?}"
        );
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!((job.asked, job.began, job.ended), (at(1), Some(at(2)), Some(at(5))));
        assert_eq!(of(&told, Role::Trainer).into_worker(), None);
    }

    #[test]
    fn a_job_that_waits_has_neither_begun_nor_ended() {
        let told = JobDetail::builder().status(JobStatus::Runnable).started_at(0).stopped_at(7_000).build();
        let seen = of(&told, Role::Worker(WorkerKind::Cpu));
        assert_eq!(seen.state, JobState::Queued { why: None });
        assert_eq!((seen.began, seen.ended), (None, None));
    }

    #[test]
    fn a_job_that_is_over_has_an_end_though_batch_tells_of_none() {
        let told = JobDetail::builder().status(JobStatus::Failed).started_at(2_000).build();
        let seen = of(&told, Role::Worker(WorkerKind::Cpu));
        assert_eq!(seen.ended, Some(Timestamp::from_second(9).unwrap()));
    }
}
