//! The queue on RabbitMQ: a quorum queue a lane, publisher confirms, manual acknowledgements. Lost
//! connections are made again here, so that a broker may go and come back at any moment.

mod alarm;
mod broker;
mod check;
mod link;
mod receive;
mod refusal;

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use async_trait::async_trait;
use lapin::{
    BasicProperties, Confirmation,
    options::{BasicPublishOptions, QueueDeclareOptions, QueuePurgeOptions},
    types::FieldTable,
};
use url::Url;

use self::{
    broker::{Broker, DURABLE},
    link::{Link, Open},
    receive::RabbitReceiver,
};
use super::{Lane, Queue, Receiver};
use crate::{Error, Kind, Result};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A broker that is there but says nothing (its host is gone) is given up after this, and the connection with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a publish goes on trying while the broker is away, or takes nothing.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

#[derive(Clone)]
pub struct RabbitMq {
    broker: Arc<Broker>,
    publishing: Link,
    /// A connection that publishes is not listened to while the broker's alarm is on; this one is.
    asking: Link,
}

impl RabbitMq {
    pub async fn connect(url: &Url) -> Result<Self> {
        let broker = Arc::new(Broker::read(url)?);
        let link = || Link::to(broker.clone());
        let this = Self { publishing: link(), asking: link(), broker };
        this.publishing.open().await?;
        Ok(this)
    }

    async fn publish_once(&self, lane: Lane, messages: &[Vec<u8>]) -> Result<()> {
        let open = self.publishing.open().await?;
        self.send(&open, &self.broker.queue(lane), messages).await
    }

    /// Returns at once where the broker takes no messages: the connection is kept to hear when it does again.
    async fn send(&self, open: &Open, queue: &str, messages: &[Vec<u8>]) -> Result<()> {
        let mut alarm = open.alarm.clone();
        tokio::select! {
            biased;
            error = alarm.is_on() => Err(error),
            sent = self.send_all(open, queue, messages) => sent,
        }
    }

    async fn send_all(&self, open: &Open, queue: &str, messages: &[Vec<u8>]) -> Result<()> {
        let failed = |error: lapin::Error| self.broker.failed("publishing", &error);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        // All are sent before the first is waited for: a round trip each would cost twenty times the time.
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let confirm = open.channel.basic_publish("".into(), queue.into(), options, message, properties);
            confirms.push(confirm.await.map_err(failed)?);
        }
        for confirm in confirms {
            match confirm.await.map_err(failed)? {
                Confirmation::Ack(None) => {}
                refused => {
                    let why = match refused {
                        Confirmation::Ack(Some(_)) => "the broker found no queue for a message",
                        _ => "the broker could not keep a message",
                    };
                    // A channel that has begun to publish while a queue had no leader goes on asking the dead one.
                    self.publishing.leave().await;
                    return Err(Error::new(Kind::Transient, format!("publishing to {queue}"), anyhow!(why)));
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for RabbitMq {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        let started = tokio::time::Instant::now();
        let mut pause = PAUSE.0;
        loop {
            match self.publishing.answered("publishing", self.publish_once(lane, &messages)).await {
                Err(error)
                    if matches!(error.kind, Kind::Transient | Kind::Full)
                        && started.elapsed() < PUBLISH_WITHIN =>
                {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                published => return published,
            }
        }
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        Ok(Box::new(RabbitReceiver::open(self.broker.clone(), lane, slots).await?))
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        let passive = QueueDeclareOptions { passive: true, ..DURABLE };
        let queue = self.broker.queue(lane);
        let count = async {
            let open = self.asking.open().await?;
            let declared = open.channel.queue_declare(queue.as_str().into(), passive, FieldTable::default());
            declared.await.map_err(|error| self.broker.failed("counting", &error))
        };
        Ok(u64::from(self.asking.answered("counting", count).await?.message_count()))
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        let queue = self.broker.queue(lane);
        let purge = async {
            let open = self.asking.open().await?;
            let purged = open.channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default());
            purged.await.map_err(|error| self.broker.failed("purging", &error))
        };
        self.asking.answered("purging", purge).await.map(drop)
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.publishing.answered("checking", self.there_and_back()).await?;
        Ok(self.asking.answered("checking", self.dead_letters()).await?.into_iter().collect())
    }
}
