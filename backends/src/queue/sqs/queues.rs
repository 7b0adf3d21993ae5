//! Queues are found, or made where there are none. What others have made is taken as it is, unless items
//! would get stuck or lost in it.

use std::{collections::HashMap, time::Duration};

use anyhow::anyhow;
use aws_sdk_sqs::types::QueueAttributeName;

use super::{
    LONGEST, Server, failure,
    failure::failed,
    receive::{POLL, VISIBLE},
    seconds,
};
use crate::{Error, Kind, Result, queue::Lane};

/// The longest that SQS offers: a paused fleet finds its messages again.
const KEPT_FOR: Duration = Duration::from_secs(14 * 24 * 3600);
/// Our own retry engine buries an item long before; this only keeps a message that nothing can settle from
/// going round for ever. The most that SQS takes.
const DELIVERY_LIMIT: u32 = 1000;
/// Below this a queue made elsewhere would take items away from our retry engine.
const LEAST_DELIVERIES: u32 = 100;
/// A queue can be used a second after it was made.
const BECOMES: Duration = Duration::from_secs(1);

const CHECKED: [QueueAttributeName; 4] = [
    QueueAttributeName::DelaySeconds,
    QueueAttributeName::MaximumMessageSize,
    QueueAttributeName::MessageRetentionPeriod,
    QueueAttributeName::RedrivePolicy,
];

impl Server {
    /// Where the lane's queue is. Two calls the first time, where it is there.
    pub(super) async fn url(&self, lane: Lane) -> Result<String> {
        let mut queues = self.queues.lock().await;
        if let Some(url) = queues.get(&lane) {
            return Ok(url.clone());
        }
        let name = self.address.queue(lane);
        let url = match self.find(&name).await? {
            Some(url) => {
                self.check(&name, &url).await?;
                url
            }
            None => self.make_lane(&name).await?,
        };
        queues.insert(lane, url.clone());
        Ok(url)
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<String>> {
        match self.client.get_queue_url().queue_name(name).send().await {
            Ok(found) => Ok(found.queue_url),
            Err(error) if failure::is_no_queue(&error) => Ok(None),
            Err(error) => Err(failed(self.doing("looking for", name), &self.at, error)),
        }
    }

    async fn check(&self, name: &str, url: &str) -> Result<()> {
        let attributes = self.attributes(name, url, &CHECKED).await?;
        judge(&attributes).map_err(|why| {
            let why = anyhow!("{why} (docs/servers.md says how queues must be, under SQS)");
            Error::new(Kind::Config, self.doing("using", name), why)
        })
    }

    pub(super) async fn attributes(
        &self,
        name: &str,
        url: &str,
        wanted: &[QueueAttributeName],
    ) -> Result<HashMap<QueueAttributeName, String>> {
        let ask = self.client.get_queue_attributes().queue_url(url);
        let told = ask.set_attribute_names(Some(wanted.to_vec())).send().await;
        let told = told.map_err(|error| failed(self.doing("looking at", name), &self.at, error))?;
        Ok(told.attributes.unwrap_or_default())
    }

    async fn make_lane(&self, name: &str) -> Result<String> {
        let dead = self.address.dead();
        let dead_url = match self.find(&dead).await? {
            Some(url) => url,
            None => self.make(&dead, HashMap::new()).await?,
        };
        let arn = QueueAttributeName::QueueArn;
        let mut told = self.attributes(&dead, &dead_url, std::slice::from_ref(&arn)).await?;
        let arn = told.remove(&arn).unwrap_or_default();
        let redrive = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": DELIVERY_LIMIT });
        let of_lane = HashMap::from([
            (QueueAttributeName::VisibilityTimeout, seconds(VISIBLE).to_string()),
            (QueueAttributeName::ReceiveMessageWaitTimeSeconds, seconds(POLL).to_string()),
            (QueueAttributeName::RedrivePolicy, redrive.to_string()),
        ]);
        let url = self.make(name, of_lane).await?;
        tokio::time::sleep(BECOMES).await;
        Ok(url)
    }

    async fn make(&self, name: &str, mut attributes: HashMap<QueueAttributeName, String>) -> Result<String> {
        attributes.insert(QueueAttributeName::MessageRetentionPeriod, seconds(KEPT_FOR).to_string());
        let make = self.client.create_queue().queue_name(name).set_attributes(Some(attributes));
        let doing = || self.doing("making", name);
        match make.send().await {
            Ok(made) => {
                tracing::info!(queue = self.address.shown(name), "there was no such queue: it is made");
                made.queue_url.ok_or_else(|| Error::new(Kind::Config, doing(), anyhow!("it has no URL")))
            }
            // Somebody else was first, with other attributes.
            Err(error) if matches!(failure::code(&error), "QueueNameExists" | "QueueAlreadyExists") => {
                let found = self.find(name).await?;
                found.ok_or_else(|| failed(doing(), &self.at, error))
            }
            Err(error) => {
                let mut error = failed(doing(), &self.at, error);
                if error.kind == Kind::Refused {
                    let why = "there is no such queue, and these credentials may not make it: make it, or let \
                               them (sqs:CreateQueue)";
                    error.source = error.source.context(why);
                }
                Err(error)
            }
        }
    }
}

/// What would let items get stuck or lost. All else is a matter of taste.
fn judge(attributes: &HashMap<QueueAttributeName, String>) -> std::result::Result<(), String> {
    let number = |name: &QueueAttributeName| attributes.get(name).and_then(|value| value.parse::<u64>().ok());
    if let Some(delay @ 1..) = number(&QueueAttributeName::DelaySeconds) {
        return Err(format!(
            "the queue delays messages by {delay} s, and a coordinator takes what does not arrive for lost: set its \
             DelaySeconds to 0"
        ));
    }
    if let Some(size) = number(&QueueAttributeName::MaximumMessageSize).filter(|size| *size < LONGEST as u64)
    {
        return Err(format!(
            "the queue takes messages of {size} bytes at most: set its MaximumMessageSize to 262144"
        ));
    }
    let hour = 3600;
    if let Some(kept) = number(&QueueAttributeName::MessageRetentionPeriod).filter(|kept| *kept < hour) {
        return Err(format!(
            "the queue throws messages away after {kept} s: set its MessageRetentionPeriod to {hour} or more"
        ));
    }
    let redrive = attributes.get(&QueueAttributeName::RedrivePolicy);
    let redrive = redrive.and_then(|policy| serde_json::from_str::<serde_json::Value>(policy).ok());
    // A number, or a number in quotes.
    let limit = redrive.and_then(|policy| match &policy["maxReceiveCount"] {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    match limit {
        Some(limit) if limit < u64::from(LEAST_DELIVERIES) => Err(format!(
            "the queue sets a message aside after {limit} deliveries, and some come again by design: set \
             maxReceiveCount of its RedrivePolicy to {LEAST_DELIVERIES} or more"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(attributes: &[(QueueAttributeName, &str)]) -> std::result::Result<(), String> {
        judge(&attributes.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_queue_that_others_made_is_refused_only_where_items_would_get_stuck_or_lost() {
        use QueueAttributeName::{
            DelaySeconds, MaximumMessageSize, MessageRetentionPeriod, RedrivePolicy, VisibilityTimeout,
        };
        let policy = |limit: &str| format!("{{\"deadLetterTargetArn\":\"a:b\",\"maxReceiveCount\":{limit}}}");
        assert_eq!(judged(&[]), Ok(()));
        let fine = [
            (DelaySeconds, "0"),
            (MaximumMessageSize, "1048576"),
            (MessageRetentionPeriod, "345600"),
            (VisibilityTimeout, "5"),
            (RedrivePolicy, &policy("\"100\"")),
        ];
        assert_eq!(judged(&fine), Ok(()));
        for (name, value, word) in [
            (DelaySeconds, "5", "DelaySeconds"),
            (MaximumMessageSize, "65536", "MaximumMessageSize"),
            (MessageRetentionPeriod, "60", "MessageRetentionPeriod"),
            (RedrivePolicy, &policy("3"), "maxReceiveCount"),
            (RedrivePolicy, &policy("\"3\""), "maxReceiveCount"),
        ] {
            let why = judged(&[(name, value)]).expect_err("it was taken");
            assert!(why.contains(word), "{why}");
        }
    }
}
