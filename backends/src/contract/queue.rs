//! The contract of [`Queue`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::until;
use crate::queue::{Delivery, Lane, Queue, Receiver};

const LANE: Lane = Lane::Cpu;
const PATIENCE: Duration = Duration::from_secs(30);

/// Two handles on one empty queue, as two processes have them. `lease`: how long a delivery stays with
/// a receiver that is alive and silent, where the backend has such a limit.
pub async fn all(one: Arc<dyn Queue>, other: Arc<dyn Queue>, lease: Option<Duration>) {
    what_is_published_is_received_once_and_is_gone_when_done(&*one, &*other).await;
    what_is_handed_back_or_dropped_comes_again(&*one, &*other).await;
    a_receiver_that_goes_hands_back_what_it_has(&*one, &*other).await;
    a_receiver_has_no_more_than_its_slots(&*one, &*other).await;
    receivers_side_by_side_never_have_the_same_message(one.clone(), other.clone()).await;
    lanes_do_not_mix(&*one).await;
    what_waits_is_counted_and_purged(&*one).await;
    if let Some(lease) = lease {
        a_silent_delivery_goes_to_another_and_settles_late(&*one, &*other, lease).await;
    }
}

async fn next(receiver: &mut dyn Receiver) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, receiver.next()).await;
    next.expect("a message is there, but none is delivered").expect("receiving")
}

async fn nothing_comes(receiver: &mut dyn Receiver, why: &str) {
    if let Ok(delivery) = tokio::time::timeout(Duration::from_millis(700), receiver.next()).await {
        panic!(
            "{why}, but {:?} was delivered",
            delivery.map(|delivery| String::from_utf8_lossy(&delivery.body).into_owned())
        );
    }
}

fn messages(name: &str, n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|number| format!("{name} {number}").into_bytes()).collect()
}

pub async fn what_is_published_is_received_once_and_is_gone_when_done(one: &dyn Queue, other: &dyn Queue) {
    let sent = messages("plain", 300);
    one.publish(LANE, sent.clone()).await.expect("publishing");
    let mut receiver = other.receive(LANE, 16).await.expect("receiving");
    let mut got = BTreeSet::new();
    for _ in 0..sent.len() {
        let delivery = next(&mut *receiver).await;
        assert!(!delivery.redelivered, "a first delivery says that it is a second");
        assert!(got.insert(delivery.body.clone()), "a message came twice");
        assert!(delivery.done().await.expect("settling"), "a settle in time says that it was late");
    }
    assert_eq!(got, sent.into_iter().collect());
    nothing_comes(&mut *receiver, "everything is done").await;
}

pub async fn what_is_handed_back_or_dropped_comes_again(one: &dyn Queue, other: &dyn Queue) {
    one.publish(LANE, messages("again", 1)).await.expect("publishing");
    let mut receiver = other.receive(LANE, 4).await.expect("receiving");
    assert!(next(&mut *receiver).await.hand_back().await.expect("handing back"));
    drop(next(&mut *receiver).await);
    let third = next(&mut *receiver).await;
    assert!(third.redelivered, "a third delivery says that it is the first");
    third.done().await.expect("settling");
    nothing_comes(&mut *receiver, "it is done").await;
}

pub async fn a_receiver_that_goes_hands_back_what_it_has(one: &dyn Queue, other: &dyn Queue) {
    one.publish(LANE, messages("gone", 3)).await.expect("publishing");
    let mut first = one.receive(LANE, 2).await.expect("receiving");
    let held = [next(&mut *first).await, next(&mut *first).await];
    for delivery in &held {
        // Nothing comes back because a lease has run out.
        assert!(
            delivery.extend(2 * PATIENCE).await.expect("extending"),
            "an extension in time says that it is late"
        );
    }
    drop(first);
    let mut second = other.receive(LANE, 4).await.expect("receiving");
    let mut got = BTreeSet::new();
    for _ in 0..3 {
        let delivery = next(&mut *second).await;
        got.insert(delivery.body.clone());
        delivery.done().await.expect("settling");
    }
    assert_eq!(got, messages("gone", 3).into_iter().collect());
    drop(held);
    nothing_comes(&mut *second, "what was held is done").await;
}

pub async fn a_receiver_has_no_more_than_its_slots(one: &dyn Queue, other: &dyn Queue) {
    one.publish(LANE, messages("slots", 5)).await.expect("publishing");
    let mut receiver = other.receive(LANE, 2).await.expect("receiving");
    let (first, second) = (next(&mut *receiver).await, next(&mut *receiver).await);
    nothing_comes(&mut *receiver, "both slots are taken").await;
    first.done().await.expect("settling");
    let third = next(&mut *receiver).await;
    for delivery in [second, third] {
        delivery.done().await.expect("settling");
    }
    for _ in 0..2 {
        next(&mut *receiver).await.done().await.expect("settling");
    }
}

pub async fn receivers_side_by_side_never_have_the_same_message(one: Arc<dyn Queue>, other: Arc<dyn Queue>) {
    const N: usize = 400;
    one.publish(LANE, messages("side", N)).await.expect("publishing");
    let (send, mut got) = tokio::sync::mpsc::channel(N);
    let mut receivers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let queue = if number % 2 == 0 { one.clone() } else { other.clone() };
        let send = send.clone();
        receivers.spawn(async move {
            let mut receiver = queue.receive(LANE, 4).await.expect("receiving");
            loop {
                let delivery = receiver.next().await.expect("receiving");
                let body = delivery.body.clone();
                assert!(delivery.done().await.expect("settling"));
                if send.send(body).await.is_err() {
                    return;
                }
            }
        });
    }
    let mut bodies = Vec::new();
    while bodies.len() < N {
        let body = tokio::time::timeout(PATIENCE, got.recv()).await.expect("some messages never came");
        bodies.extend(body);
    }
    receivers.shutdown().await;
    let distinct: BTreeSet<_> = bodies.iter().collect();
    assert_eq!(distinct.len(), N, "a message was delivered to two receivers");
}

pub async fn lanes_do_not_mix(one: &dyn Queue) {
    one.publish(Lane::Gpu, messages("gpu", 1)).await.expect("publishing");
    let mut cpu = one.receive(Lane::Cpu, 1).await.expect("receiving");
    nothing_comes(&mut *cpu, "the message is for another lane").await;
    let mut gpu = one.receive(Lane::Gpu, 1).await.expect("receiving");
    next(&mut *gpu).await.done().await.expect("settling");
}

pub async fn what_waits_is_counted_and_purged(one: &dyn Queue) {
    one.publish(LANE, messages("count", 7)).await.expect("publishing");
    until("seven messages wait", async || one.waiting(LANE).await.expect("counting") == 7).await;
    one.purge(LANE).await.expect("purging");
    until("none waits after a purge", async || one.waiting(LANE).await.expect("counting") == 0).await;
}

pub async fn a_silent_delivery_goes_to_another_and_settles_late(
    one: &dyn Queue,
    other: &dyn Queue,
    lease: Duration,
) {
    one.publish(LANE, messages("lease", 1)).await.expect("publishing");
    let mut first = one.receive(LANE, 1).await.expect("receiving");
    let kept = next(&mut *first).await;
    let mut second = other.receive(LANE, 1).await.expect("receiving");
    for _ in 0..3 {
        tokio::time::sleep(lease / 2).await;
        assert!(kept.extend(lease).await.expect("extending"), "an extension in time says that it is late");
    }
    nothing_comes(&mut *second, "its lease was extended").await;
    tokio::time::sleep(lease).await;
    let taken = next(&mut *second).await;
    assert!(taken.redelivered);
    assert!(!kept.extend(lease).await.expect("extending"), "a lost lease was extended");
    assert!(!kept.done().await.expect("settling"), "a late settle says that it was in time");
    assert!(taken.done().await.expect("settling"));
}
