//! A message there and back through a queue that is made for it, so that whatever is shut is found before a run.

use anyhow::anyhow;
use lapin::{
    options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};

use super::{
    RabbitMq,
    broker::{DURABLE, quorum},
};
use crate::{Error, Kind, Result};

/// Where we are cut off, the broker takes the queue away by itself.
const EXPIRES_MS: i64 = 60_000;
const MESSAGE: &[u8] = b"there and back";

impl RabbitMq {
    pub(super) async fn there_and_back(&self) -> Result<()> {
        // All but the message itself goes by the connection that an alarm does not stop.
        let (publishing, open) = (self.publishing.open().await?, self.asking.open().await?);
        let queue = format!("{}.doctor-{:08x}", self.broker.prefix, rand::random::<u32>());
        let failed = |verb: &'static str| move |error| self.broker.failed(verb, &error);
        let mut arguments = quorum();
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(EXPIRES_MS));
        let declared = open.channel.queue_declare(queue.as_str().into(), DURABLE, arguments);
        declared.await.map_err(failed("making a queue"))?;
        self.send(&publishing, &queue, &[MESSAGE.to_vec()]).await?;
        let got = open.channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
        let message = got.await.map_err(failed("receiving a message"))?;
        let lost = || {
            Error::new(
                Kind::Corrupt,
                format!("receiving from {queue}"),
                anyhow!("a confirmed message is gone"),
            )
        };
        let delivery = message.ok_or_else(lost)?.delivery;
        if delivery.data != MESSAGE {
            return Err(lost());
        }
        delivery.acker.ack(BasicAckOptions::default()).await.map_err(failed("settling a message"))?;
        let deleted = open.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
        deleted.await.map_err(failed("deleting a queue")).map(drop)
    }

    /// What somebody has to look at.
    pub(super) async fn dead_letters(&self) -> Result<Option<String>> {
        let dead = self.broker.dead();
        let passive = QueueDeclareOptions { passive: true, ..DURABLE };
        let open = self.asking.open().await?;
        let declared = open.channel.queue_declare(dead.as_str().into(), passive, FieldTable::default());
        let declared = declared.await.map_err(|error| self.broker.failed("counting dead letters", &error))?;
        Ok((declared.message_count() > 0).then(|| {
            format!(
                "{} messages in the queue {dead} were handed out a thousand times and settled by nobody: their items \
                 were published again; look at the workers' logs, then purge it (rabbitmqctl purge_queue {dead})",
                declared.message_count()
            )
        }))
    }
}
