//! A delivery of SQS, and its own clock.
//!
//! The message is ours while it is invisible to others. SQS can't be asked whether it still is: it deletes by
//! an old receipt, and extends by one, whoever has the message by now. So a delivery counts from before each
//! request, in which the message can't have been ours for longer, and once its time is out it says "too late"
//! without a call. What remains: a request under way while its time runs out, or a machine that was suspended
//! (its clock stood still). Then somebody may lose the message from under their hands, which costs nothing:
//! their item has its lease in the ledger, and the message was only a way to it.
//!
//! SQS keeps a message from others for twelve hours after it was received and no longer: up to there an
//! extension reaches, and after that it is too late. Workers settle early where work takes long, hours
//! before.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::anyhow;
use async_trait::async_trait;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use tokio::{sync::Notify, time::Instant};

use super::{Server, failure, receive::VISIBLE, seconds};
use crate::{
    Error, Kind, Result,
    queue::{Lane, Settle},
};

const LONGEST_LEASE: Duration = Duration::from_secs(12 * 3600);
/// Entries a call.
const MOST: usize = 10;

/// What one receiver has out.
#[derive(Default)]
pub(super) struct Out {
    held: Mutex<Held>,
    /// The receiver is gone, and with it all that it had.
    closed: AtomicBool,
    pub(super) settled: Notify,
}

#[derive(Default)]
struct Held {
    last: u64,
    receipts: BTreeMap<u64, String>,
}

impl Out {
    pub(super) fn count(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).receipts.len()
    }

    fn add(&self, receipt: &str) -> u64 {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.last += 1;
        let number = held.last;
        held.receipts.insert(number, receipt.to_owned());
        number
    }

    fn remove(&self, number: u64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).receipts.remove(&number);
        self.settled.notify_waiters();
    }

    /// Returns what is to be handed back.
    pub(super) fn close(&self) -> Vec<String> {
        self.closed.store(true, Ordering::Release);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut held.receipts).into_values().collect()
    }
}

impl Server {
    /// Of a receiver that was dropped.
    pub(super) fn hand_back_later(self: &Arc<Self>, lane: Lane, out: &Out) {
        let receipts = out.close();
        // Without a runtime the process is about to end, and the messages come back when their time is out.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !receipts.is_empty()
        {
            let server = self.clone();
            runtime.spawn(async move { server.hand_back_all(lane, receipts).await });
        }
    }

    pub(super) async fn hand_back_all(&self, lane: Lane, receipts: Vec<String>) {
        for receipts in receipts.chunks(MOST) {
            if let Err(error) = self.hand_back(lane, receipts).await {
                let error = error.told();
                tracing::debug!(error, "messages come back later");
            }
        }
    }

    async fn hand_back(&self, lane: Lane, receipts: &[String]) -> Result<()> {
        let entry = |(at, receipt): (usize, &String)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(at.to_string());
            entry.receipt_handle(receipt).visibility_timeout(0).build()
        };
        let entries: std::result::Result<Vec<_>, _> = receipts.iter().enumerate().map(entry).collect();
        let doing = || self.doing("handing back to", &self.address.queue(lane));
        let entries = entries.map_err(|error| Error::new(Kind::Config, doing(), error))?;
        let url = self.url(lane).await?;
        let change = self.client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries));
        let changed = match change.send().await {
            Ok(changed) => changed,
            Err(error) => return Err(self.failed("handing back to", lane, error).await),
        };
        match changed.failed().first() {
            Some(first) => {
                let why =
                    anyhow!("{} of {} messages: {}", changed.failed().len(), receipts.len(), first.code());
                Err(Error::new(Kind::Transient, doing(), why))
            }
            None => Ok(()),
        }
    }
}

pub(super) struct SqsSettle {
    server: Arc<Server>,
    lane: Lane,
    url: String,
    receipt: String,
    received: Instant,
    /// The message is ours up to here.
    until: Mutex<Instant>,
    out: Arc<Out>,
    number: u64,
    is_settled: bool,
}

impl SqsSettle {
    pub(super) fn new(
        server: Arc<Server>,
        lane: Lane,
        url: String,
        receipt: String,
        received: Instant,
        out: Arc<Out>,
    ) -> Self {
        let number = out.add(&receipt);
        let until = Mutex::new(received + VISIBLE);
        Self { server, lane, url, receipt, received, until, out, number, is_settled: false }
    }

    fn is_ours(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.out.closed.load(Ordering::Acquire) && Instant::now() < until
    }

    /// How long a message can be kept from others, from now: what is asked for, up to what SQS allows.
    fn reach(&self, lease: Duration) -> i32 {
        // A second less, for the way there.
        let allowed = LONGEST_LEASE.saturating_sub(self.received.elapsed() + Duration::from_secs(1));
        seconds(lease).min(allowed.as_secs() as i32)
    }

    /// False: it was not ours any more.
    async fn make_visible_in(&self, seconds: i32) -> Result<bool> {
        let change = self.server.client.change_message_visibility().queue_url(&self.url);
        match change.receipt_handle(&self.receipt).visibility_timeout(seconds).send().await {
            Ok(_) => Ok(true),
            Err(error) if failure::is_late(&error) => Ok(false),
            Err(error) => Err(self.server.failed("extending a delivery of", self.lane, error).await),
        }
    }
}

#[async_trait]
impl Settle for SqsSettle {
    async fn done(mut self: Box<Self>) -> Result<bool> {
        if !self.is_ours() {
            return Ok(false);
        }
        let delete = self.server.client.delete_message().queue_url(&self.url).receipt_handle(&self.receipt);
        let deleted = delete.send().await;
        // Where it failed, nobody knows: the message is gone, or comes again when its time is out.
        self.is_settled = true;
        match deleted {
            Ok(_) => Ok(true),
            Err(error) if failure::is_late(&error) => Ok(false),
            Err(error) => Err(self.server.failed("deleting from", self.lane, error).await),
        }
    }

    async fn hand_back(mut self: Box<Self>) -> Result<bool> {
        if !self.is_ours() {
            return Ok(false);
        }
        let handed_back = self.make_visible_in(0).await;
        self.is_settled = true;
        handed_back
    }

    async fn extend(&self, lease: Duration) -> Result<bool> {
        let reach = self.reach(lease);
        if !self.is_ours() || reach < 1 {
            return Ok(false);
        }
        let asked = Instant::now();
        let is_extended = self.make_visible_in(reach).await?;
        let until = if is_extended { asked + Duration::from_secs(reach as u64) } else { asked };
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        Ok(is_extended)
    }
}

impl Drop for SqsSettle {
    fn drop(&mut self) {
        let gives_back = !self.is_settled && self.is_ours();
        self.out.remove(self.number);
        if gives_back && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (server, lane, receipt) = (self.server.clone(), self.lane, self.receipt.clone());
            runtime.spawn(async move { server.hand_back_all(lane, vec![receipt]).await });
        }
    }
}
