//! What is told to all who watch, as server-sent events. A frame is written once, however many listen, and copied to
//! nobody: they share its bytes.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use serde::Serialize;
use swath_proto::ids::RunId;
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, Receiver, Sender, error::RecvError},
};

/// Frames that a slow listener may be behind. Then it is told to read everything again.
const BEHIND: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Runs,
    Run(RunId),
}

/// Those that somebody listens to.
#[derive(Default)]
pub(super) struct Channels(Mutex<HashMap<Topic, Sender<Bytes>>>);

impl Channels {
    fn open(&self) -> MutexGuard<'_, HashMap<Topic, Sender<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first who listens also gets what is to be spoken into.
    pub(super) fn listen(&self, topic: &Topic) -> (Receiver<Bytes>, Option<Sender<Bytes>>) {
        let mut open = self.open();
        if let Some(sender) = open.get(topic) {
            return (sender.subscribe(), None);
        }
        let (sender, receiver) = broadcast::channel(BEHIND);
        open.insert(topic.clone(), sender.clone());
        (receiver, Some(sender))
    }

    /// Closes a topic that nobody listens to: whoever speaks may go.
    pub(super) fn close_if_idle(&self, topic: &Topic) -> bool {
        let mut open = self.open();
        let is_idle = open.get(topic).is_none_or(|sender| sender.receiver_count() == 0);
        if is_idle {
            open.remove(topic);
        }
        is_idle
    }

    /// Whoever spoke is gone: who listens next begins anew. Another who speaks by now is left alone.
    pub(super) fn close(&self, topic: &Topic, spoken: &Sender<Bytes>) {
        let mut open = self.open();
        if open.get(topic).is_some_and(|sender| sender.same_channel(spoken)) {
            open.remove(topic);
        }
    }
}

/// One event. JSON has no line breaks of its own.
pub(super) fn frame(event: &str, data: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "null".into());
    format!("event: {event}\ndata: {json}\n\n").into()
}

/// Says nothing, and keeps the connection from being taken for dead.
pub(super) const fn alive() -> Bytes {
    Bytes::from_static(b": alive\n\n")
}

/// What one listener is sent, until it goes or whoever speaks has said the last.
pub(super) fn told(
    receiver: Receiver<Bytes>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let begin = stream::once(async { Ok(Bytes::from_static(b"retry: 3000\n\n")) });
    let rest = stream::unfold((receiver, permit), |(mut receiver, permit)| async move {
        match receiver.recv().await {
            Ok(frame) => Some((Ok(frame), (receiver, permit))),
            Err(RecvError::Lagged(_)) => Some((Ok(frame("reload", &())), (receiver, permit))),
            Err(RecvError::Closed) => None,
        }
    });
    begin.chain(rest)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn all_who_listen_are_told_the_same_bytes_and_slow_ones_to_read_again() {
        let channels = Channels::default();
        let room = Arc::new(Semaphore::new(2));
        let (one, sender) = channels.listen(&Topic::Runs);
        let sender = sender.expect("the first one's");
        let (other, none) = channels.listen(&Topic::Runs);
        assert!(none.is_none() && !channels.close_if_idle(&Topic::Runs));
        let permit = async || room.clone().acquire_owned().await.unwrap();
        let mut one = Box::pin(told(one, permit().await));
        let mut other = Box::pin(told(other, permit().await));
        assert_eq!(one.next().await, Some(Ok(Bytes::from_static(b"retry: 3000\n\n"))));
        other.next().await;
        sender.send(frame("status", &7)).unwrap();
        let [Some(Ok(first)), Some(Ok(second))] = [one.next().await, other.next().await] else {
            panic!("told nothing")
        };
        assert_eq!(&first[..], b"event: status\ndata: 7\n\n");
        assert_eq!(first.as_ptr(), second.as_ptr(), "written once");
        for n in 0..2 * BEHIND {
            sender.send(frame("status", &n)).unwrap();
        }
        assert_eq!(other.next().await, Some(Ok(frame("reload", &()))));
        drop((one, other));
        assert!(channels.close_if_idle(&Topic::Runs));
        assert_eq!(room.available_permits(), 2);
        let (_receiver, next) = channels.listen(&Topic::Runs);
        channels.close(&Topic::Runs, &sender);
        assert!(channels.listen(&Topic::Runs).1.is_none(), "another speaks by now");
        channels.close(&Topic::Runs, &next.expect("another one"));
        assert!(channels.listen(&Topic::Runs).1.is_some());
    }

    #[tokio::test]
    async fn the_last_that_is_said_is_heard_before_the_line_ends() {
        let channels = Channels::default();
        let (receiver, sender) = channels.listen(&Topic::Runs);
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let sender = sender.expect("the first one's");
        sender.send(frame("status", &"done")).unwrap();
        channels.close(&Topic::Runs, &sender);
        drop(sender);
        let heard: Vec<_> = told(receiver, permit).collect().await;
        assert_eq!(heard[1..], [Ok(frame("status", &"done"))]);
    }
}
