//! The queue on SQS: a standard queue a lane, long polls, a lease that is visibility. What nothing can settle
//! ends in a queue of its own.
//!
//! SQS deletes by old receipts: a delivery that has gone to another can still take the message away, and is
//! told that all went well. So each delivery watches its own clock ([`settle`]). Counts are estimates that
//! lag behind what was published ([`waiting`]). Both may be wrong without harm, since items are made for
//! that; here they are seldom wrong.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::{Client, types::QueueAttributeName};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use self::{address::Address, failure::failed, waiting::Estimate};
use super::{Lane, Queue, Receiver};
use crate::{Error, Result};

mod address;
mod check;
mod client;
mod failure;
mod publish;
mod queues;
mod receive;
mod settle;
mod text;
mod waiting;

/// Longer messages go by reference. Every server that speaks SQS takes 256 KiB, AWS itself more by now; a
/// queue made elsewhere may be set lower, and is refused then. What is left is room for what may be added to
/// a message.
pub const LONGEST: usize = 240 * 1024;

/// Batches under way at a time: a coordinator publishes hundreds of messages at once, ten a batch.
const SENDING: usize = 8;

#[derive(Clone)]
pub struct Sqs {
    server: Arc<Server>,
}

/// What all receivers and deliveries of one handle share.
struct Server {
    client: Client,
    address: Address,
    /// Who is asked, for people.
    at: String,
    /// Found or made when they are first used: who works on one lane asks for one queue.
    queues: Mutex<BTreeMap<Lane, String>>,
    estimates: std::sync::Mutex<BTreeMap<Lane, Estimate>>,
    /// Of receivers for which nothing comes, one polls at a time.
    turn: Semaphore,
}

impl Sqs {
    /// `sqs://REGION/PREFIX?endpoint=URL`; the prefix begins the names of all queues, and is `own` where
    /// there is none.
    pub async fn connect(url: &Url, own: &str) -> Result<Self> {
        let address = Address::read(url, own)?;
        let (client, at) = client::open(&address).await?;
        let server = Arc::new(Server {
            client,
            address,
            at,
            queues: Mutex::default(),
            estimates: std::sync::Mutex::default(),
            turn: Semaphore::new(1),
        });
        // Seen now and not in the middle of a run: wrong credentials, no server, no rights.
        server.url(Lane::Cpu).await?;
        Ok(Self { server })
    }
}

impl Server {
    fn doing(&self, verb: &str, queue: &str) -> String {
        format!("{verb} {}", self.address.shown(queue))
    }

    /// Of a call on a lane's queue. One that is gone is looked for again, and made where it may be.
    async fn failed<E>(&self, verb: &str, lane: Lane, error: aws_sdk_sqs::error::SdkError<E>) -> Error
    where
        E: aws_sdk_sqs::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let was_deleted = failure::is_no_queue(&error);
        let mut error = failed(self.doing(verb, &self.address.queue(lane)), &self.at, error);
        if was_deleted {
            self.queues.lock().await.remove(&lane);
            error.kind = crate::Kind::Transient;
        }
        error
    }
}

#[async_trait]
impl Queue for Sqs {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        let messages: Vec<String> = messages.iter().map(|body| text::to_text(body).into_owned()).collect();
        let batches = publish::batches(messages.iter().map(String::len));
        let server = &self.server;
        server.estimate(lane, |estimate| estimate.published(messages.len() as u64));
        let send = |batch: std::ops::Range<usize>| server.send(lane, batch.start, &messages[batch]);
        futures::stream::iter(batches).map(send).buffer_unordered(SENDING).try_collect().await
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        // Missing rights are to be seen now and not by retrying for ever.
        self.server.url(lane).await?;
        Ok(Box::new(receive::SqsReceiver::new(self.server.clone(), lane, slots)))
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        if let Some(known) = self.server.estimate(lane, |estimate| estimate.known()) {
            return Ok(known);
        }
        let url = self.server.url(lane).await?;
        let wanted = QueueAttributeName::ApproximateNumberOfMessages;
        let ask = self.server.client.get_queue_attributes().queue_url(url).attribute_names(wanted.clone());
        let told = match ask.send().await {
            Ok(told) => told,
            Err(error) => return Err(self.server.failed("counting", lane, error).await),
        };
        let count = told.attributes.and_then(|told| told.get(&wanted)?.parse().ok()).unwrap_or(0);
        Ok(self.server.estimate(lane, |estimate| estimate.told(count)))
    }

    /// SQS takes up to a minute for this, and may throw away what is published meanwhile.
    async fn purge(&self, lane: Lane) -> Result<()> {
        let url = self.server.url(lane).await?;
        if let Err(error) = self.server.client.purge_queue().queue_url(url).send().await {
            return Err(self.server.failed("purging", lane, error).await);
        }
        self.server.estimate(lane, |estimate| *estimate = Estimate::default());
        Ok(())
    }

    async fn check(&self) -> Result<Vec<String>> {
        for lane in Lane::ALL {
            self.server.url(lane).await?;
        }
        Ok(self.server.there_and_back().await?.into_iter().collect())
    }
}

/// Whole seconds, of which SQS takes nothing else; never fewer than asked for.
fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs() + u64::from(time.subsec_nanos() > 0)).unwrap_or(i32::MAX)
}
