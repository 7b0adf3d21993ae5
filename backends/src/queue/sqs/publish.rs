//! Publishing in batches, in which each message is taken or refused by itself.

use std::{ops::Range, time::Duration};

use anyhow::anyhow;
use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};

use super::{Server, failure};
use crate::{Error, Kind, Result, queue::Lane};

/// What SQS takes in one call: so many messages, together no longer than this.
const MOST: usize = 10;
const MOST_BYTES: usize = 256 * 1024;

/// How long a publish goes on sending what was refused for reasons that pass.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Cuts messages of these lengths into batches.
pub(super) fn batches(lengths: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, length) in lengths.enumerate() {
        match batches.last_mut() {
            Some(batch) if batch.len() < MOST && bytes + length <= MOST_BYTES => {
                batch.end = at + 1;
                bytes += length;
            }
            _ => {
                batches.push(at..at + 1);
                bytes = length;
            }
        }
    }
    batches
}

impl Server {
    /// Sends one batch until every message of it is taken. `first`: which of all messages is the batch's first.
    pub(super) async fn send(&self, lane: Lane, first: usize, messages: &[String]) -> Result<()> {
        let started = tokio::time::Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut left: Vec<usize> = (0..messages.len()).collect();
        loop {
            let refused = self.send_once(lane, messages, &mut left).await?;
            let Some(last) = refused.last() else { return Ok(()) };
            let doing = || self.doing("publishing to", &self.address.queue(lane));
            let at_fault =
                |entry: &&BatchResultErrorEntry| entry.sender_fault() && !failure::is_passing(entry.code());
            if let Some(entry) = refused.iter().find(at_fault) {
                let number = entry.id().parse().map_or(0, |at: usize| first + at + 1);
                let why = anyhow!("message {number} will never be taken: {}", words(entry));
                return Err(Error::new(Kind::Config, doing(), why));
            }
            if started.elapsed() >= PUBLISH_WITHIN {
                let why = anyhow!("{} messages were not taken: {}", left.len(), words(last));
                return Err(Error::new(Kind::Transient, doing(), why));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Leaves in `left` what was not taken, and returns what was said about it.
    async fn send_once(
        &self,
        lane: Lane,
        messages: &[String],
        left: &mut Vec<usize>,
    ) -> Result<Vec<BatchResultErrorEntry>> {
        let url = self.url(lane).await?;
        let entries: std::result::Result<Vec<_>, _> = left
            .iter()
            .map(|at| {
                let entry = SendMessageBatchRequestEntry::builder().id(at.to_string());
                entry.message_body(&messages[*at]).build()
            })
            .collect();
        let doing = || self.doing("publishing to", &self.address.queue(lane));
        let entries = entries.map_err(|error| Error::new(Kind::Config, doing(), error))?;
        let send = self.client.send_message_batch().queue_url(url).set_entries(Some(entries));
        let sent = match send.send().await {
            Ok(sent) => sent,
            Err(error) => return Err(self.failed("publishing to", lane, error).await),
        };
        // Not what it calls failed, but what it does not call taken.
        left.retain(|at| !sent.successful().iter().any(|entry| entry.id() == at.to_string()));
        let mut refused = sent.failed;
        if refused.is_empty() && !left.is_empty() {
            let why = anyhow!("the answer does not mention {} of the messages", left.len());
            return Err(Error::new(Kind::Transient, doing(), why));
        }
        refused.retain(|entry| left.iter().any(|at| entry.id() == at.to_string()));
        Ok(refused)
    }
}

fn words(entry: &BatchResultErrorEntry) -> String {
    format!("{}: {}", entry.code(), entry.message().unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_order_and_both_limits() {
        assert_eq!(batches([].into_iter()), []);
        assert_eq!(batches([1; 25].into_iter()), [0..10, 10..20, 20..25]);
        let k = 1024;
        assert_eq!(batches([100 * k, 100 * k, 57 * k, 1, 256 * k, 1].into_iter()), [0..2, 2..4, 4..5, 5..6]);
        assert_eq!(batches([128 * k, 128 * k, 0].into_iter()), [0..3]);
        // Nothing is left out, even what is too long: its refusal is an error.
        assert_eq!(batches([300 * k, 1].into_iter()), [0..1, 1..2]);
    }
}
