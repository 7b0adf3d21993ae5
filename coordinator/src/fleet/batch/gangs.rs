//! Gangs by their names. An order lies under the root before Batch is asked for anything, so that whoever gives it again
//! starts nothing twice; orders are numbered, and the newest counts.

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use swath_backends::{
    Error,
    blobs::{Put, SharedBlobs},
};
use swath_proto::{ids::WorkerId, keys};

use super::{gang::Gang, provider::Batch};
use crate::fleet::provider::{JobId, JobState, Provider as _};

/// Machines of an order that is younger may be started though Batch lists none of them yet.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// What came of an order.
pub struct Started {
    pub jobs: Vec<JobId>,
    /// The gang was there already, as it is asked for.
    pub was_there: bool,
}

/// A gang as it was ordered last, and where its machines stand.
pub struct Seen {
    pub gang: Gang,
    pub machines: Vec<(JobId, JobState)>,
}

impl Seen {
    /// Machines that are not over yet.
    pub fn left(&self) -> impl Iterator<Item = &JobId> {
        self.machines.iter().filter(|(_, state)| !state.is_over()).map(|(id, _)| id)
    }

    /// Its machines have ended. Where there are none, nobody knows whether they were started.
    fn is_over(&self) -> bool {
        !self.machines.is_empty() && self.left().next().is_none()
    }

    /// None of its machines is seen, and some may be on their way.
    fn may_begin(&self, now: Timestamp) -> bool {
        let is_young = |ordered| now.duration_since(ordered).abs() < LISTED_WITHIN;
        self.machines.is_empty() && self.gang.ordered().is_some_and(is_young)
    }
}

/// Starts it, unless one of this name is at work: the same is left as it is, another is in its way.
pub async fn start(batch: &Batch, blobs: &SharedBlobs, wanted: &Gang) -> anyhow::Result<Started> {
    let name = &wanted.name;
    wanted.check()?;
    let last = newest(blobs, name).await?;
    let number = last.as_ref().map_or(0, |(number, _)| *number) + 1;
    if let Some((_, gang)) = last {
        let seen = look_at(batch, gang).await?;
        if !seen.is_over() && seen.gang.is_like(wanted) {
            let jobs = batch.start_gang(&seen.gang).await.map_err(Error::from)?;
            return Ok(Started { jobs, was_there: true });
        }
        if seen.may_begin(Timestamp::now()) {
            bail!(
                "the gang {name} was ordered within the last {} minutes, as another one, and its machines are not listed \
                 yet: wait until they are (swath fleet gang status {name}) and end it (swath fleet gang stop {name}), or \
                 give this one another name",
                LISTED_WITHIN.as_mins()
            );
        }
        let left = seen.left().count();
        if left > 0 {
            let Gang { machines, ranks, .. } = seen.gang;
            bail!(
                "the gang {name} is at work with {left} of {machines} machines, {ranks} ranks each, or with another file: end \
                 it first (swath fleet gang stop {name}), or give this one another name"
            );
        }
    }
    let order = serde_json::to_vec(wanted).context("writing an order")?;
    let key = keys::gang_order(name, number);
    if blobs.put_new(&key, order.into()).await? == Put::Exists {
        bail!("somebody else has just started a gang {name}; see: swath fleet gang status {name}");
    }
    let jobs = batch.start_gang(wanted).await.map_err(Error::from)?;
    Ok(Started { jobs, was_there: false })
}

/// `None`: none of this name was ever started under this root.
pub async fn look(batch: &Batch, blobs: &SharedBlobs, name: &WorkerId) -> anyhow::Result<Option<Seen>> {
    match newest(blobs, name).await? {
        Some((_, gang)) => look_at(batch, gang).await.map(Some),
        None => Ok(None),
    }
}

/// Ends all that is left of it: ranks hear it as SIGTERM, and write a checkpoint. Returns how many machines that are.
pub async fn stop(batch: &Batch, seen: &Seen) -> anyhow::Result<usize> {
    let mut n = 0;
    for job in seen.left() {
        batch.cancel(job, "the gang is to stop").await.map_err(Error::from)?;
        n += 1;
    }
    Ok(n)
}

async fn look_at(batch: &Batch, gang: Gang) -> anyhow::Result<Seen> {
    let machines = batch.gang(&gang).await.map_err(Error::from)?;
    Ok(Seen { gang, machines })
}

/// With its number.
async fn newest(blobs: &SharedBlobs, name: &WorkerId) -> anyhow::Result<Option<(u32, Gang)>> {
    let folder = keys::gang(name);
    let found: Vec<String> = blobs.list(&folder).map_ok(|object| object.key).try_collect().await?;
    let number = |key: &String| key.strip_prefix(&folder)?.strip_suffix(".json")?.parse::<u32>().ok();
    let Some(number) = found.iter().filter_map(number).max() else { return Ok(None) };
    let key = keys::gang_order(name, number);
    let json = blobs.get(&key).await?;
    let gang = serde_json::from_slice(&json)
        .with_context(|| format!("reading {key}: was it written by a newer program? Then update this one"))?;
    Ok(Some((number, gang)))
}

#[cfg(test)]
mod tests {
    use swath_proto::fleet::Market;

    use super::*;
    use crate::fleet::provider::Ending;

    #[test]
    fn an_order_whose_machines_nobody_has_seen_is_in_the_way_of_another_for_a_while() {
        let ordered: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let gang = Gang {
            token: Gang::new_token(ordered, 0),
            name: "roofs".parse().unwrap(),
            file: "root:roofs.toml".into(),
            machines: 1,
            ranks: 1,
            least_ranks: 1,
            market: Market::Spot,
            run: None,
        };
        let over = (JobId("1".into()), JobState::Ended(Ending::Done));
        let seen = |machines| Seen { gang: gang.clone(), machines };
        assert!(seen(Vec::new()).may_begin(ordered + SignedDuration::from_secs(5)));
        assert!(!seen(Vec::new()).may_begin(ordered + LISTED_WITHIN));
        assert!(!seen(vec![over]).may_begin(ordered), "it is seen, and over");
    }
}
