//! A queue that does what brokers may do: it hands messages out twice. Wrapped around a real queue by
//! tests; nothing in the program makes one.

use async_trait::async_trait;

use super::{Lane, Queue, Receiver};
use crate::Result;

/// Publishes every message as often as `times` says.
pub struct Repeating<Q> {
    pub inner: Q,
    pub times: usize,
}

#[async_trait]
impl<Q: Queue> Queue for Repeating<Q> {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        for _ in 0..self.times {
            self.inner.publish(lane, messages.clone()).await?;
        }
        Ok(())
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        self.inner.receive(lane, slots).await
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        self.inner.waiting(lane).await
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        self.inner.purge(lane).await
    }
}
