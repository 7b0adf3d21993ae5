//! EC2's instance metadata, by its second version alone: a token first, then what it opens.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::imds::client::{Client, error::ImdsError};
use serde::Deserialize;
use swath_proto::worker::Instance;

use super::{AHEAD, Notice, Source};
use crate::{Error, Kind, Result};

const INTERRUPTION: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
const KIND: &str = "/latest/meta-data/instance-type";
const ZONE: &str = "/latest/meta-data/placement/availability-zone";
const LIFE_CYCLE: &str = "/latest/meta-data/instance-life-cycle";
/// Of a notice whose time can't be read: half of what they come ahead.
const UNKNOWN: Duration = Duration::from_secs(60);
/// It is on this machine's own link.
const WITHIN: Duration = Duration::from_secs(1);

/// AWS_EC2_METADATA_SERVICE_ENDPOINT is heeded, as everywhere.
pub(super) struct Metadata(Client);

impl Metadata {
    pub(super) fn new() -> Self {
        Self(Client::builder().max_attempts(2).connect_timeout(WITHIN).read_timeout(WITHIN).build())
    }

    /// None: there is no such thing, which is how it says that nothing is ahead.
    async fn get(&self, path: &str) -> Result<Option<String>> {
        match self.0.get(path).await {
            Ok(text) => Ok(Some(text.as_ref().to_owned())),
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => Ok(None),
            Err(error) => {
                Err(Error::new(Kind::Transient, format!("asking instance metadata for {path}"), error))
            }
        }
    }
}

#[async_trait]
impl Source for Metadata {
    async fn look(&self) -> Result<Option<Notice>> {
        if let Some(json) = self.get(INTERRUPTION).await? {
            return Ok(Some(interruption(&json, jiff::Timestamp::now())));
        }
        Ok(self.get(REBALANCE).await?.map(|_| Notice::Rebalance))
    }

    async fn instance(&self) -> Result<Instance> {
        let (kind, zone, cycle) = tokio::try_join!(self.get(KIND), self.get(ZONE), self.get(LIFE_CYCLE))?;
        Ok(Instance {
            kind: kind.unwrap_or_default(),
            zone: zone.unwrap_or_default(),
            is_spot: cycle.as_deref() == Some("spot"),
        })
    }
}

/// `spot/instance-action`: what will be done, and when.
fn interruption(json: &str, now: jiff::Timestamp) -> Notice {
    #[derive(Deserialize)]
    struct Action {
        time: jiff::Timestamp,
    }
    let left = match serde_json::from_str(json) {
        Ok(Action { time }) => Duration::try_from(time.duration_since(now)).unwrap_or_default().min(AHEAD),
        Err(_) => UNKNOWN,
    };
    Notice::Interruption { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_leaves_the_time_until_then() {
        let now: jiff::Timestamp = "2026-11-28T08:20:00Z".parse().unwrap();
        let left = |json: &str| match interruption(json, now) {
            Notice::Interruption { left } => left.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(left(r#"{"action": "terminate", "time": "2026-11-28T08:21:50Z"}"#), 110);
        assert_eq!(left(r#"{"action": "stop", "time": "2026-11-28T08:19:00Z"}"#), 0);
        assert_eq!(left(r#"{"action": "stop", "time": "2036-11-28T08:19:00Z"}"#), 120);
        assert_eq!(left("soon"), 60);
    }
}
