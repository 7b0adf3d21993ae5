//! Receivers: what they ask for, what a poll costs, and what becomes of messages when they go.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;
use swath_backends::queue::Lane;
use swath_tests::relay::{Call, Relay};

use super::{PATIENCE, RUN_PATIENCE, entries, messages, name, next, open};
use crate::{shared_servers::shared, site::Site};

/// Waits until the relay has seen something.
async fn until<T>(relay: &Relay, what: &str, found: impl Fn(&[Call]) -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found(&relay.calls()) {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}: {:#?}", relay.calls());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn has_brought_something(call: &Call) -> bool {
    let has_messages =
        |said: &Value| said["Messages"].as_array().is_some_and(|messages| !messages.is_empty());
    call.action == "ReceiveMessage" && call.ended.as_ref().is_some_and(|(_, said)| has_messages(said))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_nobody_waits_is_kept_for_the_next_call() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    let given_up = tokio::time::timeout(Duration::from_millis(300), receiver.next()).await;
    assert!(given_up.is_err(), "nothing was sent");
    queue.publish(Lane::Cpu, messages(1)).await.expect("publishing");
    until(&relay, "the poll takes the message", |calls| {
        calls.iter().find(|call| has_brought_something(call)).map(drop)
    })
    .await;
    let delivery = next(&mut *receiver).await;
    assert!(!delivery.redelivered);
    assert!(delivery.done().await.expect("settling"));
    assert_eq!(relay.calls_of("ReceiveMessage").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_for_a_receiver_that_is_gone_goes_to_another_at_once() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    let mut gone = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    let given_up = tokio::time::timeout(Duration::from_millis(300), gone.next()).await;
    assert!(given_up.is_err(), "nothing was sent");
    // On a busy machine it may not have begun to ask.
    until(&relay, "the poll", |calls| calls.iter().find(|call| call.action == "ReceiveMessage").map(drop))
        .await;
    drop(gone);
    queue.publish(Lane::Cpu, messages(1)).await.expect("publishing");
    until(&relay, "the poll takes the message", |calls| {
        calls.iter().find(|call| has_brought_something(call)).map(drop)
    })
    .await;
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    assert!(next(&mut *receiver).await.redelivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_closes_a_receiver_finds_its_messages_handed_back() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    queue.publish(Lane::Cpu, messages(3)).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 3).await.expect("receiving");
    let _held = next(&mut *receiver).await;
    let all_are_back = |calls: &[Call]| {
        let ended = calls.iter().filter(|call| call.ended.is_some());
        let handed_back = ended.filter(|call| call.action == "ChangeMessageVisibilityBatch");
        (handed_back.map(entries).sum::<usize>() == 3).then_some(())
    };
    let began = Instant::now();
    receiver.close().await;
    // It waits for five seconds at most, which may be too little on a busy machine.
    if began.elapsed() < Duration::from_secs(5) {
        assert!(all_are_back(&relay.calls()).is_some(), "it did not wait: {:#?}", relay.calls());
    }
    until(&relay, "three messages are handed back", all_are_back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_held_when_it_went_is_not_its_own_any_more() {
    let queue = open(&shared().s3.sqs_url(&name())).await;
    queue.publish(Lane::Cpu, messages(2)).await.expect("publishing");
    let mut first = queue.receive(Lane::Cpu, 2).await.expect("receiving");
    let (kept, settled) = (next(&mut *first).await, next(&mut *first).await);
    drop(first);
    let mut second = queue.receive(Lane::Cpu, 2).await.expect("receiving");
    let again = [next(&mut *second).await, next(&mut *second).await];
    assert!(again.iter().all(|delivery| delivery.redelivered));
    assert!(!kept.extend(Duration::from_secs(5)).await.expect("extending"), "it has gone to another");
    assert!(!settled.done().await.expect("settling"), "it has gone to another");
    for delivery in again {
        assert!(delivery.done().await.expect("settling"), "somebody else has taken it away");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_asks_for_as_many_messages_as_it_has_slots_free() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    queue.publish(Lane::Cpu, messages(30)).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 12).await.expect("receiving");
    let mut held = Vec::new();
    for _ in 0..12 {
        held.push(next(&mut *receiver).await);
    }
    let asked: Vec<u64> = relay
        .calls_of("ReceiveMessage")
        .iter()
        .filter_map(|call| call.asked["MaxNumberOfMessages"].as_u64())
        .collect();
    assert_eq!(asked, [10, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_often_what_waits_costs_a_call_now_and_then() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    queue.publish(Lane::Cpu, messages(3)).await.expect("publishing");
    for _ in 0..1000 {
        assert_eq!(queue.waiting(Lane::Cpu).await.expect("counting"), 3);
    }
    let counts = relay.calls_of("GetQueueAttributes");
    let counts = counts.iter().filter(|call| call.asked.to_string().contains("ApproximateNumberOfMessages"));
    assert!(counts.count() <= 2);
}

/// Polls that began when each of two lanes had been looked at once, which happens at the same time.
fn in_turn(polls: &[Call]) -> Vec<Call> {
    let mut firsts: BTreeMap<String, Instant> = BTreeMap::new();
    for poll in polls {
        let Some((ended, _)) = &poll.ended else { continue };
        firsts.entry(poll.asked["QueueUrl"].to_string()).or_insert(*ended);
    }
    match firsts.values().max() {
        Some(last) if firsts.len() == 2 => polls.iter().filter(|poll| poll.began > *last).cloned().collect(),
        _ => Vec::new(),
    }
}

/// As for a worker of two lanes on a fleet that has nothing to do: three calls a minute.
#[test]
fn an_idle_worker_polls_its_lanes_in_turn_and_asks_nothing_else() {
    let relay = shared().s3.relay();
    relay.hurry();
    let site = Site::on_sqs(|name| relay.sqs_url(name));
    let worker = site.start(&["worker", "--allow-steps"]);
    let started = Instant::now();
    while in_turn(&relay.calls_of("ReceiveMessage")).len() < 7 {
        assert!(started.elapsed() < RUN_PATIENCE, "{:#?}", relay.calls());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(worker);
    let polls = in_turn(&relay.calls_of("ReceiveMessage"));
    for (one, following) in polls.iter().zip(&polls[1..]) {
        let ended = one.ended.as_ref().map(|(at, _)| *at);
        assert!(ended.is_some_and(|ended| ended <= following.began), "two polls at a time: {polls:#?}");
    }
    assert!(
        polls.iter().all(|poll| poll.asked["WaitTimeSeconds"] == 20),
        "a poll that costs more: {polls:#?}"
    );
    let lanes: BTreeSet<String> = polls.iter().map(|poll| poll.asked["QueueUrl"].to_string()).collect();
    assert_eq!(lanes.len(), 2, "a lane is not looked at: {lanes:?}");
    let others: Vec<_> = relay.calls().into_iter().filter(|call| call.began > polls[0].began).collect();
    assert!(others.iter().all(|call| call.action == "ReceiveMessage"), "{others:#?}");
}
