use std::{path::Path, sync::Arc};

use futures::TryStreamExt as _;

use super::*;
use crate::{
    contract,
    queue::{embedded::EmbeddedQueue, faulty::Repeating},
};

const PATIENCE: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(5);
const LONG: &[u8] = b"longer than eight bytes";

fn embedded(folder: &Path) -> EmbeddedQueue {
    EmbeddedQueue::open_with_lease(&folder.join("queue.db"), LEASE).expect("opening")
}

fn by_reference<Q: Queue>(inner: Q, folder: &Path) -> ByReference<Q> {
    ByReference::new(inner, folder.to_str().expect("UTF-8"), 8)
}

async fn next(receiver: &mut dyn Receiver) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, receiver.next()).await;
    next.expect("a message is there, but none is delivered").expect("receiving")
}

async fn blobs(folder: &Path) -> Vec<String> {
    let blobs = open_blobs(folder.to_str().expect("UTF-8")).await.expect("the root");
    let listed: Vec<_> = blobs.list(keys::MESSAGES).try_collect().await.expect("listing");
    listed.into_iter().map(|listed| listed.key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_messages_keep_the_contract_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    // Every message is too long for it.
    let root = folder.path().to_str().expect("UTF-8");
    let open = || Arc::new(ByReference::new(embedded(folder.path()), root, 0));
    contract::queue::all(open(), open(), Some(LEASE)).await;
    // Seven messages of the contract are purged.
    assert_eq!(blobs(folder.path()).await.len(), 7);
}

#[tokio::test]
async fn short_messages_go_as_they_are_and_long_ones_lie_under_the_root_until_they_are_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, outer) = (embedded(folder.path()), by_reference(embedded(folder.path()), folder.path()));
    outer.publish(Lane::Cpu, vec![b"short".to_vec(), LONG.to_vec()]).await.expect("publishing");
    let mut receiver = inner.receive(Lane::Cpu, 2).await.expect("receiving");
    let (short, long) = (next(&mut *receiver).await, next(&mut *receiver).await);
    assert_eq!(short.body, b"short");
    assert!(reference::decode(&long.body).is_some_and(|read| read.is_ok()), "{:?}", long.body);
    assert_eq!(blobs(folder.path()).await.len(), 1);
    short.done().await.expect("settling");
    long.hand_back().await.expect("handing back");
    let mut receiver = outer.receive(Lane::Cpu, 1).await.expect("receiving");
    let long = next(&mut *receiver).await;
    assert_eq!(long.body, LONG);
    assert!(long.redelivered);
    assert!(long.done().await.expect("settling"));
    assert_eq!(blobs(folder.path()).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_comes_again_after_it_was_done_is_settled_in_silence() {
    let folder = tempfile::tempdir().expect("a folder");
    let twice = Repeating { inner: embedded(folder.path()), times: 2 };
    let queue = by_reference(twice, folder.path());
    queue.publish(Lane::Cpu, vec![LONG.to_vec()]).await.expect("publishing");
    assert_eq!(queue.waiting(Lane::Cpu).await.expect("counting"), 2);
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    assert!(next(&mut *receiver).await.done().await.expect("settling"));
    queue.publish(Lane::Cpu, vec![b"behind".to_vec()]).await.expect("publishing");
    let behind = next(&mut *receiver).await;
    assert_eq!(behind.body, b"behind");
    // Not published again by anybody, not out, not waiting.
    let left = queue.waiting(Lane::Cpu).await.expect("counting");
    assert_eq!(left, 1, "only the other copy of the one behind");
}

#[tokio::test]
async fn the_same_body_twice_is_two_messages() {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = by_reference(embedded(folder.path()), folder.path());
    let mut receiver = queue.receive(Lane::Cpu, 2).await.expect("receiving");
    queue.publish(Lane::Cpu, vec![LONG.to_vec()]).await.expect("publishing");
    let first = next(&mut *receiver).await;
    // As when an item has failed: it is published again before its first message is settled.
    queue.publish(Lane::Cpu, vec![LONG.to_vec()]).await.expect("publishing");
    assert!(first.done().await.expect("settling"));
    assert_eq!(next(&mut *receiver).await.body, LONG);
}

#[tokio::test]
async fn whoever_settles_too_late_leaves_the_body_to_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = by_reference(embedded(folder.path()), folder.path());
    queue.publish(Lane::Cpu, vec![LONG.to_vec()]).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 2).await.expect("receiving");
    let late = next(&mut *receiver).await;
    // It comes when the lease of the first is out.
    let second = next(&mut *receiver).await;
    assert!(!late.done().await.expect("settling"));
    assert_eq!(blobs(folder.path()).await.len(), 1);
    assert_eq!(second.body, LONG);
    assert!(second.done().await.expect("settling"));
}

#[tokio::test]
async fn a_body_that_is_not_what_was_sent_is_handed_on_as_the_reference_that_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = by_reference(embedded(folder.path()), folder.path());
    queue.publish(Lane::Cpu, vec![LONG.to_vec()]).await.expect("publishing");
    let [key] = <[String; 1]>::try_from(blobs(folder.path()).await).expect("one blob");
    let root = open_blobs(folder.path().to_str().expect("UTF-8")).await.expect("the root");
    root.put(&key, "something else".into()).await.expect("writing");
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    let delivery = next(&mut *receiver).await;
    assert!(reference::decode(&delivery.body).is_some());
    assert!(delivery.done().await.expect("settling"));
}

#[tokio::test]
async fn a_message_that_looks_like_a_reference_is_not_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = open_blobs(folder.path().to_str().expect("UTF-8")).await.expect("the root");
    let queue = ByReference::new(embedded(folder.path()), folder.path().to_str().expect("UTF-8"), 1000);
    let name = Digest::of(b"x");
    root.put(&keys::message(&name), "a secret".into()).await.expect("writing");
    let forged = reference::encode(name, Digest::of(b"a secret")).expect("a reference");
    queue.publish(Lane::Cpu, vec![forged.clone()]).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    assert_eq!(next(&mut *receiver).await.body, forged, "it comes out as it went in");
}
