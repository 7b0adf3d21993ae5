//! The queue: hands every published message to some worker, again if that worker does not settle
//! it. It may hand one out twice, late, or out of order; items are made for that.

use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

pub mod by_reference;
pub(crate) mod counted;
pub mod embedded;
pub mod faulty;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
#[cfg(feature = "sqs")]
pub mod sqs;

/// Which workers a message is for. Every lane is a queue of its own on the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    Cpu,
    Gpu,
    /// Commands of users' own.
    Steps,
}

impl Lane {
    pub const ALL: [Lane; 3] = [Lane::Cpu, Lane::Gpu, Lane::Steps];

    pub const fn name(self) -> &'static str {
        match self {
            Lane::Cpu => "cpu",
            Lane::Gpu => "gpu",
            Lane::Steps => "steps",
        }
    }
}

/// Contract, held against every implementation by [`crate::contract::queue`].
#[async_trait]
pub trait Queue: Send + Sync {
    /// Returns when the broker has taken every message into safe keeping; if it returns an error,
    /// any part of them may have been taken. Publishing a message again is harmless.
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()>;

    /// Begins to receive. At most `slots` deliveries of this receiver are unsettled at a time.
    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>>;

    /// Messages that wait for a receiver, without those that were delivered and not settled. An
    /// estimate: it feeds decisions that may be wrong without harm, never a count shown to users.
    async fn waiting(&self, lane: Lane) -> Result<u64>;

    /// Throws away what waits.
    async fn purge(&self, lane: Lane) -> Result<()>;

    /// Tries all that a run will need, with a message of its own that no worker sees, so that whatever is shut is
    /// found before. Returns what somebody has to see to, a sentence each.
    async fn check(&self) -> Result<Vec<String>> {
        for lane in Lane::ALL {
            self.waiting(lane).await?;
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl Queue for std::sync::Arc<dyn Queue> {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        (**self).publish(lane, messages).await
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        (**self).receive(lane, slots).await
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        (**self).waiting(lane).await
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        (**self).purge(lane).await
    }

    async fn check(&self) -> Result<Vec<String>> {
        (**self).check().await
    }
}

/// Dropping a receiver hands its unsettled deliveries back.
#[async_trait]
pub trait Receiver: Send {
    /// Waits for the next delivery, through lost connections. Safe to cancel: a delivery is never
    /// lost between two calls.
    async fn next(&mut self) -> Result<Delivery>;

    /// As dropping it, but returns when it has happened: for a process that is about to end.
    async fn close(self: Box<Self>) {}
}

/// A message in the hands of a worker. Settling consumes it; a delivery that is dropped unsettled
/// comes back by itself, at the latest when its lease has run out.
pub struct Delivery {
    pub body: Vec<u8>,
    /// The broker says that it has handed this message out before.
    pub redelivered: bool,
    settle: Box<dyn Settle>,
}

impl Delivery {
    pub fn new(body: Vec<u8>, redelivered: bool, settle: Box<dyn Settle>) -> Self {
        Self { body, redelivered, settle }
    }

    /// Takes the message off the queue for good. `Ok(false)`: the broker had already taken the
    /// delivery back (a late settle), so somebody may get it again.
    pub async fn done(self) -> Result<bool> {
        self.settle.done().await
    }

    /// Gives the message back at once, for any receiver.
    pub async fn hand_back(self) -> Result<bool> {
        self.settle.hand_back().await
    }

    /// Keeps the message from being handed to others for `lease` from now. `Ok(false)`: too late.
    pub async fn extend(&self, lease: Duration) -> Result<bool> {
        self.settle.extend(lease).await
    }
}

/// What a backend has to implement for a delivery.
#[async_trait]
pub trait Settle: Send + Sync {
    async fn done(self: Box<Self>) -> Result<bool>;
    async fn hand_back(self: Box<Self>) -> Result<bool>;
    async fn extend(&self, lease: Duration) -> Result<bool>;
}
