//! Machines that train together (`swath train --gang`): jobs as others, plain or an array, that find each other through
//! the ledger. Nobody waits for all of them, and one that is lost comes back by the job's retries.

use std::collections::HashMap;

use anyhow::anyhow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use swath_proto::{
    fleet::Market,
    ids::{RunId, WorkerId},
    item::Stage,
};

use super::{
    names::{self, Named, Role},
    provider::Batch,
};
use crate::fleet::provider::{ErrorKind, JobId, JobState, ProviderError};

/// What trains together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gang {
    /// Of this order alone, for ever: letters, digits and '-', 40 at most.
    pub token: String,
    /// As which they find each other.
    pub name: WorkerId,
    /// The training's file, where the container finds it; `root:KEY` lies under the root.
    pub file: String,
    pub machines: u32,
    /// On each machine: cards, or processes.
    pub ranks: u32,
    /// Of all machines together: training begins with so many.
    pub least_ranks: u32,
    pub market: Market,
    pub run: Option<RunId>,
}

impl Gang {
    /// Of an order that is given now; `salt` keeps two of one moment apart.
    pub fn new_token(now: Timestamp, salt: u32) -> String {
        format!("gang-{}-{salt:08x}", now.as_millisecond())
    }

    /// When it was ordered, as its token says.
    pub(super) fn ordered(&self) -> Option<Timestamp> {
        let (ms, _) = self.token.strip_prefix("gang-")?.split_once('-')?;
        Timestamp::from_millisecond(ms.parse().ok()?).ok()
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.machines >= 1 && self.ranks >= 1,
            "a gang has one machine and one rank at least"
        );
        let all = u64::from(self.machines) * u64::from(self.ranks);
        anyhow::ensure!(
            self.least_ranks >= 1 && u64::from(self.least_ranks) <= all,
            "least_ranks = {}: {} machines with {} ranks each are {all}, and training would never begin",
            self.least_ranks,
            self.machines,
            self.ranks
        );
        Ok(())
    }

    /// The same, whenever it was ordered.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        *self == Self { token: self.token.clone(), ..other.clone() }
    }

    /// `program`: what comes before, behind the image's entry point.
    fn command(&self, program: &[String]) -> Vec<String> {
        let (ranks, least) = (self.ranks.to_string(), self.least_ranks.to_string());
        let words = [&*self.file, "--gang", self.name.as_str(), "--ranks", &*ranks, "--least-ranks", &*least];
        program.iter().cloned().chain(words.map(str::to_owned)).collect()
    }
}

impl Batch {
    /// As [`crate::fleet::provider::Provider::start`]: never more machines than the order says.
    pub async fn start_gang(&self, gang: &Gang) -> Result<Vec<JobId>, ProviderError> {
        let wrong = |why: anyhow::Error| {
            ProviderError::new(ErrorKind::Config, format!("starting the gang {}", gang.name), "", why)
        };
        gang.check().map_err(wrong)?;
        let server = &self.server;
        let Some(side) = &server.settings.trainer else {
            return Err(wrong(anyhow!("the profile has no [batch.trainer]")));
        };
        let program = side.command.clone().unwrap_or_else(|| vec!["train".to_owned()]);
        let mut way = server.way("trainer", gang.market, Some(gang.command(&program))).await?;
        way.tags = server.tags(gang.run.as_ref().map(|run| run.as_str()), Some(Stage::Train.name()));
        server.start(&way, &named(gang), gang.machines).await
    }

    /// Where its machines stand.
    pub async fn gang(&self, gang: &Gang) -> Result<Vec<(JobId, JobState)>, ProviderError> {
        let mut found = Vec::new();
        for part in names::parts(&self.server.fleet, &named(gang), gang.machines) {
            let seen = self.server.seen(&part.name, &mut HashMap::new(), usize::MAX).await?;
            found.extend(seen.into_iter().map(|seen| (seen.id, seen.state)));
        }
        Ok(found)
    }
}

fn named(gang: &Gang) -> Named {
    Named { role: Role::Trainer, market: gang.market, token: gang.token.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gang() -> Gang {
        Gang {
            token: "g-1".into(),
            name: "roofs".parse().unwrap(),
            file: "/etc/swath/train.toml".into(),
            machines: 2,
            ranks: 4,
            least_ranks: 8,
            market: Market::Spot,
            run: None,
        }
    }

    #[test]
    fn each_machine_is_told_who_it_trains_with() {
        let command = gang().command(&["train".to_owned()]).join(" ");
        assert_eq!(command, "train /etc/swath/train.toml --gang roofs --ranks 4 --least-ranks 8");
    }

    #[test]
    fn an_order_says_when_it_was_given() {
        let now = Timestamp::from_millisecond(1_795_960_647_231).unwrap();
        let gang = Gang { token: Gang::new_token(now, 7), ..gang() };
        assert_eq!((gang.token.as_str(), gang.ordered()), ("gang-1795960647231-00000007", Some(now)));
        assert_eq!(Gang { token: "g-1".into(), ..gang }.ordered(), None);
    }

    #[test]
    fn a_gang_that_would_never_begin_is_refused() {
        assert!(gang().check().is_ok());
        let words = Gang { least_ranks: 9, ..gang() }.check().unwrap_err().to_string();
        assert!(words.contains("never begin"), "{words}");
        assert!(Gang { machines: 0, ..gang() }.check().is_err());
    }
}
