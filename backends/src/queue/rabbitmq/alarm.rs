//! A broker that is short of memory or disk takes no more messages until it has some again, and says so
//! (`connection.blocked`). Whoever runs it is told once; a run goes on by itself afterwards.

use anyhow::anyhow;
use futures::StreamExt as _;
use lapin::{Connection, Event};
use tokio::sync::watch;

use crate::{Error, Kind};

/// The alarm of one connection; its reason while it is on.
#[derive(Clone)]
pub(super) struct Alarm {
    broker: String,
    reason: watch::Receiver<Option<String>>,
}

impl Alarm {
    /// Listens until the connection is gone.
    pub(super) fn of(connection: &Connection, broker: &str) -> Self {
        let (set, reason) = watch::channel(None);
        let mut events = Box::pin(connection.events_listener());
        let this = Self { broker: broker.to_owned(), reason };
        let broker = this.broker.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(
                            broker,
                            reason,
                            "the broker takes no messages: give it memory or disk (rabbitmq-diagnostics alarms tells \
                             which); what is under way goes on, the rest once the alarm is over"
                        );
                        set.send_replace(Some(reason));
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!(broker, "the broker takes messages again");
                        set.send_replace(None);
                    }
                    _ => {}
                }
            }
        });
        this
    }

    /// Returns as soon as the alarm is on.
    pub(super) async fn is_on(&mut self) -> Error {
        let reason = self.reason.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        let Some(reason) = reason else {
            // The connection is gone, and whoever uses it learns of that.
            return std::future::pending().await;
        };
        let why = anyhow!(
            "the broker has raised an alarm ({reason}) and takes no messages: give it memory or disk; \
             rabbitmq-diagnostics alarms tells which"
        );
        Error::new(Kind::Full, format!("publishing at {}", self.broker), why)
    }
}
