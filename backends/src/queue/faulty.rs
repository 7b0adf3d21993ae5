//! Queues that do what brokers may do: hand messages out twice, in another order, hours late. Wrapped around a
//! real queue by tests; nothing in the program makes one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Turns each batch round, and keeps every `every`th message back until the next batch has gone: the last
/// ones for ever.
pub struct Disordered<Q> {
    inner: Q,
    every: usize,
    back: Mutex<Vec<(Lane, Vec<u8>)>>,
}

impl<Q> Disordered<Q> {
    pub fn new(inner: Q, every: usize) -> Self {
        Self { inner, every, back: Mutex::default() }
    }
}

#[async_trait]
impl<Q: Queue> Queue for Disordered<Q> {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for (at, message) in messages.into_iter().rev().enumerate() {
            if at % self.every == self.every - 1 { later.push((lane, message)) } else { now.push(message) }
        }
        let before = std::mem::replace(&mut *lock(&self.back), later);
        self.inner.publish(lane, now).await?;
        for (lane, message) in before {
            self.inner.publish(lane, vec![message]).await?;
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

type Published = Vec<(Lane, Vec<u8>)>;

/// Remembers all that was published, and can deliver it once more when everybody has forgotten it.
#[derive(Clone)]
pub struct Late<Q> {
    inner: Q,
    published: Arc<Mutex<Published>>,
}

impl<Q: Queue> Late<Q> {
    pub fn new(inner: Q) -> Self {
        Self { inner, published: Arc::default() }
    }

    /// The newest first. Returns how many there were.
    pub async fn deliver_again(&self) -> Result<usize> {
        let published = lock(&self.published).clone();
        for (lane, message) in published.iter().rev() {
            self.inner.publish(*lane, vec![message.clone()]).await?;
        }
        Ok(published.len())
    }
}

#[async_trait]
impl<Q: Queue> Queue for Late<Q> {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        lock(&self.published).extend(messages.iter().map(|message| (lane, message.clone())));
        self.inner.publish(lane, messages).await
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
