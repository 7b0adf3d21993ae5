//! Receiving: a connection a receiver, made again when it is lost; deliveries that settle on the channel they came by.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt as _;
use lapin::{
    Acker, Connection, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};

use super::{CONNECT_WITHIN, PAUSE, broker::Broker};
use crate::{
    Kind, Result,
    queue::{Delivery, Lane, Receiver, Settle},
};

pub(super) struct RabbitReceiver {
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
    /// A wrong password is to be seen now and not by retrying for ever.
    pub(super) async fn open(broker: Arc<Broker>, lane: Lane, slots: usize) -> Result<Self> {
        let mut this = Self { broker, lane, slots, open: None };
        this.open = Some(this.consume_soon().await?);
        Ok(this)
    }

    async fn consume_soon(&self) -> Result<Consuming> {
        let consume = tokio::time::timeout(CONNECT_WITHIN, self.consume()).await;
        consume.unwrap_or_else(|_| Err(self.broker.silent("receiving", CONNECT_WITHIN)))
    }

    async fn consume(&self) -> Result<Consuming> {
        let failed = |error| self.broker.failed("receiving", &error);
        let connection = self.broker.connect().await?;
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
                match self.consume_soon().await {
                    Ok(open) => self.open = Some(open),
                    Err(error) if error.kind == Kind::Transient => {
                        tracing::warn!(error = error.told(), "receiving goes on in a moment");
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
