//! Receiving by long polls. A poll is a task of its own, which nobody cancels: SQS may have given a message
//! to it already, and that would be gone until its lease is out.

use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::{sync::oneshot, time::Instant};

use super::{
    Server, client, seconds,
    settle::{Out, SqsSettle},
    text,
};
use crate::{
    Kind, Result,
    queue::{Delivery, Lane, Receiver},
};

/// How long a poll waits for a message: the most that SQS offers, three calls a minute.
pub(super) const POLL: Duration = Duration::from_secs(20);

/// The lease of a delivery until it is extended for the first time. A worker does so after a third of its own
/// lease; our clock starts when the poll begins, so 20 s of these are gone already when a message comes late.
/// Nobody waits for it to run out: what a dead worker held is found in the ledger long before.
pub(super) const VISIBLE: Duration = Duration::from_secs(120);

/// Messages a call.
const MOST: usize = 10;

/// Whoever ends does not wait for long: messages come back by themselves.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// After a poll that came back empty, the next one begins no sooner than this after it began: some servers do
/// not wait.
const SPACING: Duration = Duration::from_secs(1);

pub(super) struct SqsReceiver {
    server: Arc<Server>,
    lane: Lane,
    slots: usize,
    out: Arc<Out>,
    /// Received, and not handed out yet. They have slots.
    here: VecDeque<Delivery>,
    poll: Option<oneshot::Receiver<Poll>>,
    /// The last poll brought nothing.
    is_idle: bool,
    pause: Duration,
    not_before: Instant,
}

struct Poll {
    began: Instant,
    got: Result<Vec<Delivery>>,
}

impl SqsReceiver {
    pub(super) fn new(server: Arc<Server>, lane: Lane, slots: usize) -> Self {
        Self {
            server,
            lane,
            slots,
            out: Arc::default(),
            here: VecDeque::new(),
            poll: None,
            is_idle: false,
            pause: PAUSE.0,
            not_before: Instant::now(),
        }
    }

    /// Begins a poll for as many messages as there are slots for.
    fn poll(&self, free: usize) -> oneshot::Receiver<Poll> {
        let (mut send, receive) = oneshot::channel();
        let (server, out, lane, is_idle) = (self.server.clone(), self.out.clone(), self.lane, self.is_idle);
        tokio::spawn(async move {
            // A worker of several lanes with nothing to do polls them in turn, at the price of one.
            let mut turn = if is_idle {
                tokio::select! {
                    turn = server.turn.acquire() => turn.ok(),
                    () = send.closed() => return,
                }
            } else {
                None
            };
            let began = Instant::now();
            let mut receiving = pin!(server.clone().receive_once(lane, free.min(MOST), &out));
            let got = loop {
                tokio::select! {
                    got = &mut receiving => break got,
                    // Whoever is still there need not wait for it.
                    () = send.closed(), if turn.is_some() => turn = None,
                }
            };
            drop(turn);
            if let Err(unwanted) = send.send(Poll { began, got }) {
                // The receiver has gone meanwhile.
                server.hand_back_later(lane, &out);
                drop(unwanted);
            }
        });
        receive
    }

    /// Err: no use in going on.
    fn take(&mut self, poll: Poll) -> Result<()> {
        match poll.got {
            Ok(deliveries) => {
                self.is_idle = deliveries.is_empty();
                if self.is_idle {
                    self.not_before = poll.began + SPACING;
                }
                self.pause = PAUSE.0;
                self.here.extend(deliveries);
            }
            Err(error) if error.kind == Kind::Transient => {
                let error = error.told();
                tracing::warn!(error, "receiving goes on in a moment");
                self.not_before = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE.1);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[async_trait]
impl Receiver for SqsReceiver {
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            if let Some(delivery) = self.here.pop_front() {
                return Ok(delivery);
            }
            if let Some(poll) = &mut self.poll {
                let ended = poll.await;
                self.poll = None;
                // Without an answer the task has panicked, and that was told.
                ended.map_or(Ok(()), |ended| self.take(ended))?;
                continue;
            }
            let out = self.out.clone();
            let settled = out.settled.notified();
            let free = self.slots.saturating_sub(out.count());
            if free == 0 {
                settled.await;
                continue;
            }
            tokio::time::sleep_until(self.not_before).await;
            self.poll = Some(self.poll(free));
        }
    }

    async fn close(mut self: Box<Self>) {
        // What a poll has brought by now, too. One that is under way is cut off when the process ends.
        if let Some(Ok(poll)) = self.poll.as_mut().map(oneshot::Receiver::try_recv) {
            self.here.extend(poll.got.unwrap_or_default());
        }
        let back = self.server.hand_back_all(self.lane, self.out.close());
        if tokio::time::timeout(CLOSE_WITHIN, back).await.is_err() {
            tracing::debug!(lane = self.lane.name(), "messages come back later");
        }
    }
}

impl Drop for SqsReceiver {
    fn drop(&mut self) {
        // From here on a poll that is under way sees to what it gets.
        self.poll = None;
        self.server.hand_back_later(self.lane, &self.out);
    }
}

impl Server {
    async fn receive_once(self: Arc<Self>, lane: Lane, most: usize, out: &Arc<Out>) -> Result<Vec<Delivery>> {
        let url = self.url(lane).await?;
        let asked = Instant::now();
        let receive = self.client.receive_message();
        let receive = receive
            .queue_url(&url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(1))
            .wait_time_seconds(seconds(POLL))
            .visibility_timeout(seconds(VISIBLE))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let received = match receive.customize().config_override(client::patient()).send().await {
            Ok(received) => received,
            Err(error) => return Err(self.failed("receiving from", lane, error).await),
        };
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages.filter_map(|message| self.delivery(lane, &url, message, asked, out)).collect())
    }

    fn delivery(
        self: &Arc<Self>,
        lane: Lane,
        url: &str,
        message: Message,
        asked: Instant,
        out: &Arc<Out>,
    ) -> Option<Delivery> {
        let received = MessageSystemAttributeName::ApproximateReceiveCount;
        let received = message.attributes.as_ref().and_then(|told| told.get(&received)?.parse::<u32>().ok());
        let body = text::from_text(message.body.unwrap_or_default());
        // Without one there is nothing to settle it by: it comes again.
        let receipt = message.receipt_handle?;
        let settle = SqsSettle::new(self.clone(), lane, url.to_owned(), receipt, asked, out.clone());
        Some(Delivery::new(body, received.is_some_and(|times| times > 1), Box::new(settle)))
    }
}
