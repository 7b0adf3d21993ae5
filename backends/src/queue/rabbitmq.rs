//! The queue on RabbitMQ: a quorum queue a lane, publisher confirms, manual acknowledgements. Lost
//! connections are made again here, so that a broker may go and come back at any moment.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use async_trait::async_trait;
use futures::StreamExt as _;
use lapin::{
    Acker, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::sync::Mutex;
use url::Url;

use super::{Delivery, Lane, Queue, Receiver, Settle};
use crate::{Error, Kind, Result};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A broker that is there but says nothing (its memory or disk alarm is on, its host is gone) is given
/// up after this, and the connection with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a publish goes on trying while the broker is away.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Our own retry engine buries an item long before; this only keeps a message that nothing can
/// settle from going round for ever.
const DELIVERY_LIMIT: i64 = 1000;

#[derive(Clone)]
pub struct RabbitMq {
    broker: Arc<Broker>,
    /// The channel for everything but receiving; made again when it is lost.
    channel: Arc<Mutex<Option<Open>>>,
}

/// Where the broker is and what its queues are called.
struct Broker {
    uri: String,
    prefix: String,
}

struct Open {
    connection: Connection,
    channel: Channel,
}

impl Open {
    fn lives(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }
}

impl RabbitMq {
    /// `amqp://USER:PASSWORD@HOST:PORT/VHOST?prefix=NAME`; the prefix begins the names of all queues.
    pub async fn connect(url: &Url) -> Result<Self> {
        let mut url = url.clone();
        let prefix = url.query_pairs().find(|(key, _)| key == "prefix").map(|(_, value)| value.into_owned());
        let rest: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != "prefix").collect();
        url.set_query(None);
        if !rest.is_empty() {
            url.query_pairs_mut().extend_pairs(rest);
        }
        let prefix = prefix.unwrap_or_else(|| "swath".into());
        url.as_str().parse::<lapin::uri::AMQPUri>().map_err(|why| {
            let doing = format!("reading {}", crate::open::redacted(url.as_str()));
            Error::new(Kind::Config, doing, anyhow!(why))
        })?;
        let this =
            Self { broker: Arc::new(Broker { uri: url.to_string(), prefix }), channel: Arc::default() };
        let open = this.broker.open().await?;
        *this.channel.lock().await = Some(open);
        Ok(this)
    }

    /// Runs one call on the common channel, which is made anew where it was lost.
    async fn channel(&self) -> Result<Channel> {
        let mut slot = self.channel.lock().await;
        if let Some(open) = slot.as_ref().filter(|open| open.lives()) {
            return Ok(open.channel.clone());
        }
        let open = self.broker.open().await?;
        let channel = open.channel.clone();
        *slot = Some(open);
        Ok(channel)
    }

    /// One call on the common channel. An answer that does not come takes the connection with it.
    async fn answered<T>(&self, verb: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(ANSWER_WITHIN, call).await {
            Ok(answer) => answer,
            Err(_) => {
                self.channel.lock().await.take();
                Err(self.broker.silent(verb, ANSWER_WITHIN))
            }
        }
    }

    async fn publish_once(&self, lane: Lane, messages: &[Vec<u8>]) -> Result<()> {
        let channel = self.channel().await?;
        let failed = |error: lapin::Error| self.broker.failed("publishing", error);
        let queue = self.broker.queue(lane);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        // All are sent before the first is waited for: a round trip each would cost twenty times the time.
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let confirm =
                channel.basic_publish("".into(), queue.as_str().into(), options, message, properties);
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
                    return Err(Error::new(Kind::Transient, format!("publishing to {queue}"), anyhow!(why)));
                }
            }
        }
        Ok(())
    }
}

impl Broker {
    fn queue(&self, lane: Lane) -> String {
        format!("{}.{}", self.prefix, lane.name())
    }

    fn failed(&self, verb: &str, error: lapin::Error) -> Error {
        let doing = format!("{verb} at {}", crate::open::redacted(&self.uri));
        Error::new(kind(&error), doing, anyhow!("{error}"))
    }

    async fn connection(&self) -> Result<Connection> {
        let properties = ConnectionProperties::default().with_connection_name("swath".into());
        let connecting = Connection::connect(&self.uri, properties);
        match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
            Ok(connected) => connected.map_err(|error| self.failed("connecting", error)),
            Err(_) => Err(self.silent("connecting", CONNECT_WITHIN)),
        }
    }

    fn silent(&self, verb: &str, waited: Duration) -> Error {
        let doing = format!("{verb} at {}", crate::open::redacted(&self.uri));
        let why = anyhow!(
            "no answer within {} s: is the broker up, and has it raised an alarm (rabbitmq-diagnostics alarms)?",
            waited.as_secs()
        );
        Error::new(Kind::Transient, doing, why)
    }

    /// A connection with a channel that confirms what is published, and all queues in place.
    async fn open(&self) -> Result<Open> {
        let open = tokio::time::timeout(CONNECT_WITHIN, self.open_patiently()).await;
        open.unwrap_or_else(|_| Err(self.silent("connecting", CONNECT_WITHIN)))
    }

    async fn open_patiently(&self) -> Result<Open> {
        let failed = |error| self.failed("opening a channel", error);
        let connection = self.connection().await?;
        let channel = connection.create_channel().await.map_err(failed)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
        self.declare(&channel).await?;
        Ok(Open { connection, channel })
    }

    async fn declare(&self, channel: &Channel) -> Result<()> {
        let failed = |error| self.failed("declaring queues", error);
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let text = |text: &str| AMQPValue::LongString(text.into());
        let dead = format!("{}.dead", self.prefix);
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        channel.queue_declare(dead.as_str().into(), durable, arguments.clone()).await.map_err(failed)?;
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
        arguments.insert("x-dead-letter-exchange".into(), text(""));
        arguments.insert("x-dead-letter-routing-key".into(), text(&dead));
        // Dead-lettering that loses nothing needs a queue that refuses what it can't keep.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish"));
        for lane in Lane::ALL {
            let queue = self.queue(lane);
            channel.queue_declare(queue.as_str().into(), durable, arguments.clone()).await.map_err(failed)?;
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
            match self.answered("publishing", self.publish_once(lane, &messages)).await {
                Err(error) if error.kind == Kind::Transient && started.elapsed() < PUBLISH_WITHIN => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                published => return published,
            }
        }
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        let mut receiver = RabbitReceiver { broker: self.broker.clone(), lane, slots, open: None };
        // A wrong password is to be seen now and not by retrying for ever.
        receiver.open = Some(receiver.consume().await?);
        Ok(Box::new(receiver))
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.broker.queue(lane);
        let count = async {
            let channel = self.channel().await?;
            let declared = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default());
            declared.await.map_err(|error| self.broker.failed("counting", error))
        };
        Ok(u64::from(self.answered("counting", count).await?.message_count()))
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        let queue = self.broker.queue(lane);
        let purge = async {
            let channel = self.channel().await?;
            let purged = channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default());
            purged.await.map_err(|error| self.broker.failed("purging", error))
        };
        self.answered("purging", purge).await.map(drop)
    }
}

struct RabbitReceiver {
    broker: Arc<Broker>,
    lane: Lane,
    slots: usize,
    open: Option<Consuming>,
}

/// Its connection is its own: closing it hands back what is unsettled, and nobody else notices.
struct Consuming {
    /// Gone once it is being closed.
    connection: Option<Connection>,
    consumer: Consumer,
}

impl RabbitReceiver {
    async fn consume(&self) -> Result<Consuming> {
        let failed = |error| self.broker.failed("receiving", error);
        let connection = self.broker.connection().await?;
        let channel = connection.create_channel().await.map_err(failed)?;
        self.broker.declare(&channel).await?;
        let slots = self.slots.clamp(1, usize::from(u16::MAX)) as u16;
        channel.basic_qos(slots, BasicQosOptions::default()).await.map_err(failed)?;
        let queue = self.broker.queue(self.lane);
        let consumer = channel
            .basic_consume(
                queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(failed)?;
        Ok(Consuming { connection: Some(connection), consumer })
    }
}

#[async_trait]
impl Receiver for RabbitReceiver {
    async fn next(&mut self) -> Result<Delivery> {
        let mut pause = PAUSE.0;
        loop {
            let Some(open) = &mut self.open else {
                let consume = tokio::time::timeout(CONNECT_WITHIN, self.consume()).await;
                match consume.unwrap_or_else(|_| Err(self.broker.silent("receiving", CONNECT_WITHIN))) {
                    Ok(open) => self.open = Some(open),
                    Err(error) if error.kind == Kind::Transient => {
                        tracing::warn!(
                            error = format!("{:#}", anyhow::Error::from(error)),
                            "receiving goes on in a moment"
                        );
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            match open.consumer.next().await {
                Some(Ok(delivery)) => {
                    let settle = RabbitSettle { acker: Some(delivery.acker) };
                    return Ok(Delivery::new(delivery.data, delivery.redelivered, Box::new(settle)));
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the connection to the broker was lost");
                    self.open = None;
                }
                None => self.open = None,
            }
        }
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        // Without a runtime the process is about to end, and the broker sees the socket close.
        if let (Some(connection), Ok(runtime)) =
            (self.connection.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                let _ = connection.close(200, "done".into()).await;
            });
        }
    }
}

struct RabbitSettle {
    /// Gone once it is settled.
    acker: Option<Acker>,
}

/// On a channel that is gone nothing can be settled: the broker has taken the message back.
fn late(error: &lapin::Error) -> Result<bool> {
    tracing::debug!(%error, "settled too late");
    Ok(false)
}

#[async_trait]
impl Settle for RabbitSettle {
    async fn done(mut self: Box<Self>) -> Result<bool> {
        let Some(acker) = self.acker.take() else { return Ok(false) };
        acker.ack(BasicAckOptions::default()).await.or_else(|error| late(&error))
    }

    async fn hand_back(mut self: Box<Self>) -> Result<bool> {
        let Some(acker) = self.acker.take() else { return Ok(false) };
        let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        acker.nack(requeue).await.or_else(|error| late(&error))
    }

    /// There is no lease to extend: the message is ours while the channel lives.
    async fn extend(&self, _: Duration) -> Result<bool> {
        Ok(self.acker.as_ref().is_some_and(Acker::usable))
    }
}

impl Drop for RabbitSettle {
    fn drop(&mut self) {
        if let (Some(acker), Ok(runtime)) = (self.acker.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
                let _ = acker.nack(requeue).await;
            });
        }
    }
}

/// By the broker's own code (AMQP 0-9-1, chapter 1.2).
fn kind(error: &lapin::Error) -> Kind {
    let lapin::ErrorKind::ProtocolError(refusal) = error.kind() else { return Kind::Transient };
    match refusal.get_id() {
        403 => Kind::Refused,
        // Precondition failed: a queue of that name has other arguments. Not allowed: no such vhost.
        406 | 530 => Kind::Config,
        _ => Kind::Transient,
    }
}
