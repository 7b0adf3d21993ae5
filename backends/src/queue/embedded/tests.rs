use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    contract,
    killed::{self, Victim},
};

/// Longer than any test: what comes back before, comes back for another reason.
const NEVER: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(30);

fn open(folder: &Path, lease: Duration) -> EmbeddedQueue {
    EmbeddedQueue::open_with_lease(&folder.join("queue.db"), lease).expect("opening")
}

async fn next(receiver: &mut dyn Receiver) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, receiver.next()).await;
    next.expect("a message is there, but none is delivered").expect("receiving")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_queue_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let lease = Duration::from_secs(5);
    let open = || Arc::new(open(folder.path(), lease));
    contract::queue::all(open(), open(), Some(lease)).await;
}

#[tokio::test]
async fn messages_come_in_order_and_what_came_back_comes_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = open(folder.path(), NEVER);
    let sent: Vec<Vec<u8>> = (0..5_u8).map(|number| vec![number]).collect();
    queue.publish(Lane::Cpu, sent).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 5).await.expect("receiving");
    let first = next(&mut *receiver).await;
    let second = next(&mut *receiver).await;
    assert_eq!((&first.body[..], &second.body[..]), (&[0][..], &[1][..]));
    second.hand_back().await.expect("handing back");
    let mut rest = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut *receiver).await;
        rest.push(delivery.body[0]);
        delivery.done().await.expect("settling");
    }
    assert_eq!(rest, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_held_comes_back_before_its_lease_runs_out() {
    if let Some(folder) = killed::folder() {
        let mut receiver = open(&folder, NEVER).receive(Lane::Cpu, 3).await.expect("receiving");
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(receiver.next().await.expect("receiving"));
        }
        killed::say("holds three");
        std::future::pending().await
    }
    let folder = tempfile::tempdir().expect("a folder");
    let queue = open(folder.path(), NEVER);
    queue.publish(Lane::Cpu, (0..3_u8).map(|number| vec![number]).collect()).await.expect("publishing");
    let test = "what_a_killed_process_held_comes_back_before_its_lease_runs_out";
    let mut victim = Victim::start(&format!("{}::{test}", module_path!()), folder.path());
    assert_eq!(victim.hear().as_deref(), Some("holds three"));
    assert_eq!(queue.waiting(Lane::Cpu).await.expect("counting"), 0);
    victim.kill();
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    let mut got = BTreeSet::new();
    for _ in 0..3 {
        let delivery = next(&mut *receiver).await;
        assert!(delivery.redelivered);
        got.insert(delivery.body[0]);
        assert!(delivery.done().await.expect("settling"));
    }
    assert_eq!(got, [0, 1, 2].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_it_publishes_and_settles_loses_nothing() {
    if let Some(folder) = killed::folder() {
        let queue = open(&folder, NEVER);
        let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
        for number in 0.. {
            let batch = (0..20_u8).map(|at| format!("{number} {at}").into_bytes()).collect();
            queue.publish(Lane::Cpu, batch).await.expect("publishing");
            killed::say(&format!("published {number}"));
            let delivery = receiver.next().await.expect("receiving");
            let body = String::from_utf8_lossy(&delivery.body).into_owned();
            assert!(delivery.done().await.expect("settling"));
            killed::say(&format!("done {body}"));
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let test = "a_process_that_is_killed_while_it_publishes_and_settles_loses_nothing";
    let (mut wanted, mut done) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..3 {
        // A file of its own each round, since every victim counts from nought.
        let folder = folder.path().join(round.to_string());
        let mut victim = Victim::start(&format!("{}::{test}", module_path!()), &folder);
        let mut said: Vec<String> = (0..20 + 30 * round).map_while(|_| victim.hear()).collect();
        said.extend(victim.kill());
        wanted.clear();
        done.clear();
        for words in &said {
            match words.split_once(' ').expect("a verb and its object") {
                ("published", number) => wanted.extend((0..20).map(|at| format!("{number} {at}"))),
                (_, body) => drop(done.insert(body.to_owned())),
            }
        }
        let queue = open(&folder, NEVER);
        let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
        let missing = |got: &BTreeSet<String>| wanted.iter().any(|body| !got.contains(body));
        let mut got = done.clone();
        // The last settle may have happened without being said.
        let unsaid = got.len() + 1;
        while missing(&got) {
            let Ok(delivery) = tokio::time::timeout(Duration::from_secs(5), receiver.next()).await else {
                break;
            };
            let delivery = delivery.expect("receiving");
            let body = String::from_utf8_lossy(&delivery.body).into_owned();
            assert!(!done.contains(&body), "{body} came again after it was done");
            got.insert(body);
            delivery.done().await.expect("settling");
        }
        let lost: Vec<_> = wanted.difference(&got).collect();
        assert!(lost.len() <= 1, "published and lost: {lost:?} ({unsaid} settles at most)");
    }
}
