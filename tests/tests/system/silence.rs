//! Servers that are there and say nothing, or that take a part and refuse the rest: callers learn of it, and
//! nobody waits for ever.

use std::time::{Duration, Instant};

use swath_backends::{
    Error, Kind, Result,
    open::{open_ledger, open_queue},
    queue::Lane,
};
use swath_proto::ids::WorkerId;

use crate::shared_servers::Mortal;

/// Against hanging for ever, not a measure of speed.
const FOR_EVER: Duration = Duration::from_secs(60);

async fn fails<T>(what: &str, call: impl Future<Output = Result<T>>) -> Error {
    let answer = tokio::time::timeout(FOR_EVER, call).await;
    let answer = answer.unwrap_or_else(|_| panic!("{what} waits for ever"));
    answer.err().unwrap_or_else(|| panic!("{what} has worked"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_broker_is_given_up_and_found_again() {
    let servers = Mortal::start();
    let url = servers.rabbitmq.url("silent");
    let queue = open_queue(&url, "unused").await.expect("connecting");
    servers.rabbitmq.server.freeze();
    for error in [
        fails("publishing", queue.publish(Lane::Cpu, vec![b"lost or not".to_vec()])).await,
        fails("counting", queue.waiting(Lane::Cpu)).await,
        fails("connecting", open_queue(&url, "unused")).await,
    ] {
        assert_eq!(error.kind, Kind::Transient, "{error:?}");
    }
    servers.rabbitmq.server.go_on();
    // A busy one is back in a while.
    let back = Instant::now();
    while let Err(error) = queue.publish(Lane::Cpu, vec![b"after".to_vec()]).await {
        let is_early = error.kind == Kind::Transient && back.elapsed() < FOR_EVER;
        assert!(is_early, "publishing to a broker that is back: {error:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_redis_is_given_up_and_found_again() {
    let servers = Mortal::start();
    let ledger = open_ledger(&servers.redis.url(), "unused").await.expect("connecting");
    let me: WorkerId = "me".parse().expect("a name");
    servers.redis.server.freeze();
    for error in [
        fails("leading", ledger.lead("office", &me, Duration::from_secs(1))).await,
        fails("connecting", open_ledger(&servers.redis.url(), "unused")).await,
    ] {
        assert_eq!(error.kind, Kind::Transient, "{error:?}");
    }
    servers.redis.server.go_on();
    // A busy one is back in a while.
    let back = Instant::now();
    let leads = loop {
        match ledger.lead("office", &me, Duration::from_secs(1)).await {
            Ok(leads) => break leads,
            Err(error) => {
                let is_early = error.kind == Kind::Transient && back.elapsed() < FOR_EVER;
                assert!(is_early, "leading in a ledger that is back: {error:?}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    assert!(leads);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_is_taken_in_part_is_an_error() {
    let servers = Mortal::start();
    let queue = open_queue(&servers.rabbitmq.url("full"), "unused").await.expect("connecting");
    servers.rabbitmq.keep_at_most(3);
    let messages = |n: u8| (0..n).map(|number| vec![number]).collect::<Vec<_>>();
    // The policy reaches the queues in a moment, which is longer on a busy machine.
    let mut refused = None;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        refused = queue.publish(Lane::Cpu, messages(200)).await.err();
        if refused.is_some() {
            break;
        }
    }
    let error = refused.expect("a queue of three messages takes two hundred");
    let words = error.told();
    assert!(words.contains("could not keep a message"), "{words}");
    assert!(
        queue.waiting(Lane::Cpu).await.expect("counting") > 0,
        "nothing was taken: the test shows nothing"
    );
}
