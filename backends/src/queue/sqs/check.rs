//! A message there and back, on the queue that no worker reads.

use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_sqs::types::{Message, QueueAttributeName};

use super::{Server, failure::failed, seconds};
use crate::{Error, Kind, Result};

/// Receiving is asked for so often: what others have there may come first.
const TRIES: u32 = 10;
/// For others, whose messages are looked at and left where they are.
const HIDDEN: Duration = Duration::from_secs(5);

impl Server {
    /// Sends, receives and deletes what only we know. Returns what people have to know: that there is no such queue,
    /// which those may do without who make queues by hand; or what lies there besides.
    pub(super) async fn there_and_back(&self) -> Result<Option<String>> {
        let name = self.address.dead();
        let Some(url) = self.find(&name).await? else {
            return Ok(Some(format!("there is no queue {name}: sending and receiving were not tried")));
        };
        let dead = self.attributes(&name, &url, &[QueueAttributeName::ApproximateNumberOfMessages]).await?;
        let n = dead.values().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let token = format!("swath doctor {:016x}", rand::random::<u64>());
        let sent = self.client.send_message().queue_url(&url).message_body(&token).send().await;
        sent.map_err(|error| failed(self.doing("publishing to", &name), &self.at, error))?;
        for _ in 0..TRIES {
            if let Some(receipt) = self.receipt(&name, &url, &token).await? {
                let delete =
                    self.client.delete_message().queue_url(&url).receipt_handle(receipt).send().await;
                delete
                    .map_err(|error| failed(self.doing("settling a message of", &name), &self.at, error))?;
                return Ok((n > 0).then(|| told(n, &name)));
            }
        }
        if n > 0 {
            // Ours stands behind them.
            return Ok(Some(told(n, &name)));
        }
        let why = anyhow!("a message that was published did not come back");
        Err(Error::new(Kind::Transient, self.doing("receiving from", &name), why))
    }

    /// Of our own message, if it is among those that come.
    async fn receipt(&self, name: &str, url: &str, token: &str) -> Result<Option<String>> {
        let receive = self.client.receive_message().queue_url(url).max_number_of_messages(10);
        let receive = receive.wait_time_seconds(1).visibility_timeout(seconds(HIDDEN)).send().await;
        let received =
            receive.map_err(|error| failed(self.doing("receiving from", name), &self.at, error))?;
        let is_ours = |message: &Message| message.body.as_deref() == Some(token);
        let ours = received.messages.unwrap_or_default().into_iter().find(is_ours);
        Ok(ours.and_then(|message| message.receipt_handle))
    }
}

fn told(n: u64, name: &str) -> String {
    format!(
        "{n} messages in the queue {name} were handed out a thousand times and settled by nobody: their items were \
         published again; look at the workers' logs, then purge it (aws sqs purge-queue)"
    )
}
