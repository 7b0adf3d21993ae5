//! A queue with a clock. Waiting for a message is no work of the broker's: that is not timed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Delivery, Lane, Queue, Receiver, Settle};
use crate::{
    Result,
    metrics::{calls, saw_waiting},
};

calls!(Calls of "queue": publish receive next waiting purge check done hand_back extend);

pub(crate) struct CountedQueue {
    inner: Arc<dyn Queue>,
    calls: Arc<Calls>,
}

impl CountedQueue {
    pub(crate) fn new(inner: Arc<dyn Queue>) -> Self {
        Self { inner, calls: Arc::default() }
    }
}

#[async_trait]
impl Queue for CountedQueue {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        self.calls.publish.of(self.inner.publish(lane, messages)).await
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        let inner = self.calls.receive.of(self.inner.receive(lane, slots)).await?;
        Ok(Box::new(CountedReceiver { inner, calls: self.calls.clone() }))
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        let waiting = self.calls.waiting.of(self.inner.waiting(lane)).await?;
        saw_waiting(lane.name(), waiting);
        Ok(waiting)
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        self.calls.purge.of(self.inner.purge(lane)).await
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.calls.check.of(self.inner.check()).await
    }
}

struct CountedReceiver {
    inner: Box<dyn Receiver>,
    calls: Arc<Calls>,
}

#[async_trait]
impl Receiver for CountedReceiver {
    async fn next(&mut self) -> Result<Delivery> {
        let Delivery { body, redelivered, settle } = match self.inner.next().await {
            Ok(delivery) => delivery,
            Err(error) => {
                self.calls.next.failed(&error);
                return Err(error);
            }
        };
        Ok(Delivery::new(
            body,
            redelivered,
            Box::new(CountedSettle { inner: settle, calls: self.calls.clone() }),
        ))
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}

struct CountedSettle {
    inner: Box<dyn Settle>,
    calls: Arc<Calls>,
}

#[async_trait]
impl Settle for CountedSettle {
    async fn done(self: Box<Self>) -> Result<bool> {
        let Self { inner, calls } = *self;
        calls.done.of(inner.done()).await
    }

    async fn hand_back(self: Box<Self>) -> Result<bool> {
        let Self { inner, calls } = *self;
        calls.hand_back.of(inner.hand_back()).await
    }

    async fn extend(&self, lease: Duration) -> Result<bool> {
        self.calls.extend.of(self.inner.extend(lease)).await
    }
}
