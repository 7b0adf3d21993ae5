//! A queue that carries what is too long for it by reference: the body lies under the root, and a short
//! document goes over the queue in its place.
//!
//! Each message has a blob of its own, so that whoever settles the message can take the blob away: a body
//! that is published again lies under another name. A message may be delivered twice, and the second delivery
//! may find the blob gone. Then the first was done, and with it the message: the second is settled as well
//! and nobody hears of it. Blobs of messages that nobody settles (a queue was purged, or they grew too old
//! for it) stay; they are small, few and harmless, and a lifecycle rule may remove what has lain there for
//! longer than the queue keeps messages.

use std::time::Duration;

use async_trait::async_trait;
use swath_proto::{
    ids::Digest,
    keys,
    reference::{self, BadReference},
};
use tokio::{sync::OnceCell, time::Instant};

use super::{Delivery, Lane, Queue, Receiver, Settle};
use crate::{Error, Kind, Result, blobs::SharedBlobs, open::open_blobs};

/// From handing a message back that can't be read now until the next one is looked at.
const PAUSE: Duration = Duration::from_secs(5);

pub struct ByReference<Q> {
    inner: Q,
    root: Root,
    longest: usize,
}

impl<Q: Queue> ByReference<Q> {
    /// Messages of more than `longest` bytes lie under the root.
    pub fn new(inner: Q, root: &str, longest: usize) -> Self {
        Self { inner, root: Root { url: root.into(), blobs: OnceCell::new().into() }, longest }
    }

    async fn set_down(&self, body: Vec<u8>) -> Result<Vec<u8>> {
        // Drawn and not derived: see above.
        let name = Digest::of(&rand::random::<[u8; 32]>());
        let sha256 = Digest::of(&body);
        self.root.blobs().await?.put(&keys::message(&name), body.into()).await?;
        reference::encode(name, sha256)
            .map_err(|error| Error::new(Kind::Config, "writing a message by reference", error))
    }
}

/// Opened when the first long message comes, which for most queues is never.
#[derive(Clone)]
struct Root {
    url: String,
    blobs: std::sync::Arc<OnceCell<SharedBlobs>>,
}

impl Root {
    async fn blobs(&self) -> Result<&SharedBlobs> {
        self.blobs.get_or_try_init(|| open_blobs(&self.url)).await
    }
}

#[async_trait]
impl<Q: Queue> Queue for ByReference<Q> {
    async fn publish(&self, lane: Lane, mut messages: Vec<Vec<u8>>) -> Result<()> {
        // Whatever looks like a reference is sent as one, so that none but ours are followed.
        for message in &mut messages {
            if message.len() > self.longest || reference::decode(message).is_some() {
                *message = self.set_down(std::mem::take(message)).await?;
            }
        }
        self.inner.publish(lane, messages).await
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        let inner = self.inner.receive(lane, slots).await?;
        Ok(Box::new(Following { inner, root: self.root.clone(), here: None, not_before: Instant::now() }))
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        self.inner.waiting(lane).await
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        self.inner.purge(lane).await
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.inner.check().await
    }
}

struct Following {
    inner: Box<dyn Receiver>,
    root: Root,
    /// Received, and its body not fetched yet: kept here, so that a call may be cancelled.
    here: Option<Delivery>,
    not_before: Instant,
}

/// What a message stands for.
enum Found {
    Itself,
    Body {
        body: Vec<u8>,
        key: String,
    },
    /// Its blob is gone: it was done by somebody else.
    Gone,
}

#[async_trait]
impl Receiver for Following {
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            tokio::time::sleep_until(self.not_before).await;
            if self.here.is_none() {
                self.here = Some(self.inner.next().await?);
            }
            let Some(delivery) = &self.here else { continue };
            let found = follow(&self.root, &delivery.body).await;
            let Some(delivery) = self.here.take() else { continue };
            match found {
                Ok(Found::Itself) => return Ok(delivery),
                Ok(Found::Body { body, key }) => {
                    let redelivered = delivery.redelivered;
                    let settle = Followed { inner: delivery, root: self.root.clone(), key };
                    return Ok(Delivery::new(body, redelivered, Box::new(settle)));
                }
                Ok(Found::Gone) => {
                    tracing::debug!("a message came again after it was done");
                    let settled = delivery.done().await;
                    settled.map(drop).or_else(|error| passes(error, "it comes once more"))?;
                }
                Err(error) if error.kind == Kind::Transient => {
                    let error = error.told();
                    tracing::warn!(error, "a long message can't be read now and is handed back");
                    self.not_before = Instant::now() + PAUSE;
                    let settled = delivery.hand_back().await;
                    settled.map(drop).or_else(|error| passes(error, "it comes back by itself"))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn close(self: Box<Self>) {
        let Self { inner, here, .. } = *self;
        inner.close().await;
        // It was among what the inner one has handed back.
        drop(here);
    }
}

/// A queue that is away for a moment does not end the receiving.
fn passes(error: Error, so: &str) -> Result<()> {
    match error.kind {
        Kind::Transient => {
            let error = error.told();
            tracing::debug!(error, "a message could not be settled: {so}");
            Ok(())
        }
        _ => Err(error),
    }
}

async fn follow(root: &Root, message: &[u8]) -> Result<Found> {
    let reference = match reference::decode(message) {
        None => return Ok(Found::Itself),
        Some(Ok(reference)) => reference,
        // A newer worker can follow it.
        Some(Err(error @ BadReference::Newer(_))) => {
            return Err(Error::new(Kind::Transient, "following a reference", error));
        }
        // Whoever gets it sets it aside as no item.
        Some(Err(BadReference::Malformed(_))) => return Ok(Found::Itself),
    };
    let key = keys::message(&reference.name);
    let body = match root.blobs().await?.get(&key).await {
        Ok(body) => body.to_vec(),
        Err(error) if error.kind == Kind::NotFound => return Ok(Found::Gone),
        Err(error) => return Err(error),
    };
    if Digest::of(&body) != reference.sha256 {
        tracing::error!(key, "a long message is not what was sent");
        return Ok(Found::Itself);
    }
    Ok(Found::Body { body, key })
}

struct Followed {
    inner: Delivery,
    root: Root,
    key: String,
}

#[async_trait]
impl Settle for Followed {
    async fn done(self: Box<Self>) -> Result<bool> {
        let Self { inner, root, key } = *self;
        let was_ours = inner.done().await?;
        // Too late: somebody else has the message, and may not have read it yet.
        if was_ours {
            let deleted = async { root.blobs().await?.delete(&key).await };
            if let Err(error) = deleted.await {
                let error = error.told();
                tracing::debug!(key, error, "what a message stood for stays behind");
            }
        }
        Ok(was_ours)
    }

    async fn hand_back(self: Box<Self>) -> Result<bool> {
        self.inner.hand_back().await
    }

    async fn extend(&self, lease: Duration) -> Result<bool> {
        self.inner.extend(lease).await
    }
}

#[cfg(test)]
mod tests;
