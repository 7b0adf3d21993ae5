//! Every server keeps the contract that the embedded twins keep in the tests of `backends`.

use std::time::Duration;

use swath_backends::{
    Kind, contract,
    open::{open_blobs, open_ledger, open_queue},
};

use crate::shared_servers::{shared, urls};

const ROOT: &str = "unused";

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_keeps_the_contract() {
    let (_, queue, _) = urls("contract");
    let open = async || open_queue(&queue, ROOT).await.expect("connecting");
    contract::queue::all(open().await, open().await, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_keeps_the_contract() {
    let queue = shared().s3.sqs_url("contract");
    let open = async || open_queue(&queue, ROOT).await.expect("connecting");
    contract::queue::all(open().await, open().await, Some(Duration::from_secs(10))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_the_contract() {
    let (_, _, ledger) = urls("contract");
    let open = async || open_ledger(&ledger, ROOT).await.expect("connecting");
    contract::ledger::all(open().await, open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    let (root, _, _) = urls("contract");
    // LocalStack looks whether an object exists and completes an upload in two steps; S3 in one.
    contract::blobs::all(open_blobs(&root).await.expect("opening"), false).await;
}

/// Of an error: its kind, and every word it says.
pub fn said(error: swath_backends::Error) -> (Kind, String) {
    (error.kind, error.told())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_in_words_without_the_password() {
    shared();
    let (_, queue, ledger) = urls("doors");
    let wrong_queue = queue.replace("guest:guest", "guest:hunter2");
    let wrong_ledger = ledger.replace(swath_tests::redis::PASSWORD, "hunter2");
    let queue = open_queue(&wrong_queue, ROOT).await.err().map(said).expect("it was let in");
    let ledger = open_ledger(&wrong_ledger, ROOT).await.err().map(said).expect("it was let in");
    for (door, (kind, text)) in [("queue", queue), ("ledger", ledger)] {
        assert_eq!(kind, Kind::Refused, "{door}: {text}");
        assert!(!text.contains("hunter2"), "{door} shows the password: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_or_does_not_exist_is_said() {
    shared();
    let away = open_queue("amqp://127.0.0.1:9/%2f", ROOT).await.err().map(said).expect("nobody listens");
    assert_eq!(away.0, Kind::Transient, "{}", away.1);
    let away = open_ledger("redis://127.0.0.1:9", ROOT).await.err().map(said).expect("nobody listens");
    assert_eq!(away.0, Kind::Transient, "{}", away.1);
    let wrong = open_blobs("s3://no-such-bucket/x").await.err().map(said).expect("there is no such bucket");
    assert_eq!(wrong.0, Kind::Config, "{}", wrong.1);
    let wrong = open_queue("kafka://host", ROOT).await.err().map(said).expect("there is no such backend");
    assert_eq!(wrong.0, Kind::Config, "{}", wrong.1);
}
