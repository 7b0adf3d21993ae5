//! A connection with one channel, made anew where it was lost: a broker may go and come back at any moment.

use std::sync::Arc;

use lapin::{Channel, Connection, options::ConfirmSelectOptions};
use tokio::sync::Mutex;

use super::{ANSWER_WITHIN, CONNECT_WITHIN, alarm::Alarm, broker::Broker};
use crate::Result;

#[derive(Clone)]
pub(super) struct Link {
    broker: Arc<Broker>,
    open: Arc<Mutex<Option<Open>>>,
}

#[derive(Clone)]
pub(super) struct Open {
    connection: Arc<Connection>,
    pub(super) channel: Channel,
    pub(super) alarm: Alarm,
}

impl Open {
    fn lives(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }
}

impl Link {
    pub(super) fn to(broker: Arc<Broker>) -> Self {
        Self { broker, open: Arc::default() }
    }

    /// With a channel that confirms what is published, and all queues in place.
    pub(super) async fn open(&self) -> Result<Open> {
        let mut slot = self.open.lock().await;
        if let Some(open) = slot.as_ref().filter(|open| open.lives()) {
            return Ok(open.clone());
        }
        let open = tokio::time::timeout(CONNECT_WITHIN, self.connect()).await;
        let open = open.unwrap_or_else(|_| Err(self.broker.silent("connecting", CONNECT_WITHIN)))?;
        *slot = Some(open.clone());
        Ok(open)
    }

    async fn connect(&self) -> Result<Open> {
        let failed = |error| self.broker.failed("opening a channel", &error);
        let connection = self.broker.connect().await?;
        let alarm = Alarm::of(&connection, &self.broker.shown);
        let channel = connection.create_channel().await.map_err(failed)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
        self.broker.declare(&channel).await?;
        Ok(Open { connection: Arc::new(connection), channel, alarm })
    }

    /// Whoever opens it next gets another connection.
    pub(super) async fn leave(&self) {
        self.open.lock().await.take();
    }

    /// The connection of a broker that is silent is left behind.
    pub(super) async fn answered<T>(&self, verb: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(ANSWER_WITHIN, call).await {
            Ok(answer) => answer,
            Err(_) => {
                self.leave().await;
                Err(self.broker.silent(verb, ANSWER_WITHIN))
            }
        }
    }
}
