//! What is SQS's own: batches that are taken in part, polls that cost money, receipts that grow old, queues
//! that others made. The contract that all queues keep is held against it in `contracts.rs`.

mod receiving;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use swath_backends::{
    Error, Kind, Result,
    open::open_queue,
    queue::{Delivery, Lane, Queue, Receiver},
};
use swath_proto::status::RunState;
use swath_tests::relay::{Call, Fate};

use crate::{
    same_bytes::reference,
    shared_servers::{shared, urls},
    site::{Made, Site, pipeline},
};

const PATIENCE: Duration = Duration::from_secs(30);
const RUN_PATIENCE: Duration = Duration::from_secs(180);

fn name() -> String {
    format!("t{:08x}", rand::random::<u32>())
}

async fn open(url: &str) -> Arc<dyn Queue> {
    open_queue(url, &urls("sqs").0).await.expect("connecting")
}

fn words(error: Error) -> (Kind, String) {
    (error.kind, error.told())
}

async fn refusal(url: &str) -> (Kind, String) {
    open_queue(url, "unused").await.err().map(words).expect("it was let in")
}

async fn next(receiver: &mut dyn Receiver) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, receiver.next()).await;
    next.expect("a message is there, but none is delivered").expect("receiving")
}

/// Counts each body of so many messages.
async fn receive(queue: &dyn Queue, n: usize) -> BTreeMap<Vec<u8>, usize> {
    let mut receiver = queue.receive(Lane::Cpu, 10).await.expect("receiving");
    let mut got = BTreeMap::new();
    for _ in 0..n {
        let delivery = next(&mut *receiver).await;
        *got.entry(delivery.body.clone()).or_default() += 1;
        assert!(delivery.done().await.expect("settling"));
    }
    got
}

fn messages(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|number| format!("message {number:02}").into_bytes()).collect()
}

fn once(messages: &[Vec<u8>]) -> BTreeMap<Vec<u8>, usize> {
    messages.iter().map(|body| (body.clone(), 1)).collect()
}

fn entries(call: &Call) -> usize {
    call.asked["Entries"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_of_a_batch_is_sent_again_and_nothing_else() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    let mut is_first = true;
    relay.decide(move |action, _| match action == "SendMessageBatch" && std::mem::take(&mut is_first) {
        true => Fate::Lost(vec![0, 4], "InternalError"),
        false => Fate::Pass,
    });
    let sent = messages(25);
    queue.publish(Lane::Cpu, sent.clone()).await.expect("publishing");
    let mut sizes: Vec<usize> = relay.calls_of("SendMessageBatch").iter().map(entries).collect();
    sizes.sort();
    assert_eq!(sizes, [2, 5, 10, 10]);
    assert_eq!(receive(&*queue, 25).await, once(&sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_refused_again_and_again_is_an_error_in_the_end() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    relay.decide(|action, _| match action {
        "SendMessageBatch" => Fate::Lost(vec![0], "InternalError"),
        _ => Fate::Pass,
    });
    let error = queue.publish(Lane::Cpu, messages(1)).await.expect_err("nothing was taken");
    let (kind, text) = words(error);
    assert_eq!(kind, Kind::Transient, "{text}");
    assert!(text.contains("1 messages were not taken: InternalError"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_will_never_be_taken_is_named_and_the_others_arrive() {
    let name = name();
    let queue = open(&shared().s3.sqs_url(&name)).await;
    let attributes =
        json!({ "QueueUrl": url_of(&name, "cpu"), "Attributes": { "MaximumMessageSize": "1024" } });
    shared().s3.sqs("SetQueueAttributes", &attributes);
    let mut sent = messages(12);
    sent[10] = vec![b'x'; 2000];
    let (kind, text) = words(queue.publish(Lane::Cpu, sent.clone()).await.expect_err("it was taken"));
    assert_eq!(kind, Kind::Config, "{text}");
    assert!(text.contains("message 11 will never be taken"), "{text}");
    sent.remove(10);
    assert_eq!(receive(&*queue, 11).await, once(&sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_and_messages_that_are_too_long_arrive_as_they_were_sent() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    let sent = vec![b"\xff\x00".to_vec(), vec![b'x'; 250 * 1024], Vec::new(), "ä\r\n".into()];
    queue.publish(Lane::Cpu, sent.clone()).await.expect("publishing");
    let bodies = |call: Call| call.asked["Entries"].as_array().cloned().unwrap_or_default();
    let longest = relay.calls_of("SendMessageBatch").into_iter().flat_map(bodies);
    let longest = longest.map(|entry| entry["MessageBody"].as_str().map_or(0, str::len)).max();
    assert!(longest < Some(1000), "{longest:?} bytes went over the queue");
    assert_eq!(receive(&*queue, 4).await, once(&sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_batches_are_cut_by_their_bytes() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    let sent: Vec<Vec<u8>> = (b'a'..=b'e').map(|letter| vec![letter; 100 * 1024]).collect();
    queue.publish(Lane::Cpu, sent.clone()).await.expect("publishing");
    let sizes: Vec<usize> = relay.calls_of("SendMessageBatch").iter().map(entries).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 5);
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
    assert_eq!(receive(&*queue, 5).await, once(&sent));
}

fn url_of(name: &str, queue: &str) -> Value {
    shared().s3.sqs("GetQueueUrl", &json!({ "QueueName": format!("{name}-{queue}") }))["QueueUrl"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_made_with_what_a_fleet_needs_and_found_again() {
    let (relay, name) = (shared().s3.relay(), name());
    let queue = open(&relay.sqs_url(&name)).await;
    for lane in Lane::ALL {
        queue.waiting(lane).await.expect("counting");
        let asked = json!({ "QueueUrl": url_of(&name, lane.name()), "AttributeNames": ["All"] });
        let told = shared().s3.sqs("GetQueueAttributes", &asked);
        assert_eq!(told["Attributes"]["MessageRetentionPeriod"], "1209600", "{told}");
        let redrive = told["Attributes"]["RedrivePolicy"].as_str().expect("a policy");
        let redrive: Value = serde_json::from_str(redrive).expect("JSON");
        assert_eq!(redrive["maxReceiveCount"], 1000, "{redrive}");
        assert!(
            redrive["deadLetterTargetArn"].as_str().is_some_and(|arn| arn.ends_with("-dead")),
            "{redrive}"
        );
    }
    assert_eq!(relay.calls_of("CreateQueue").len(), 4);
    let before = relay.calls().len();
    open(&relay.sqs_url(&name)).await;
    let second: Vec<String> = relay.calls().drain(before..).map(|call| call.action).collect();
    assert_eq!(second, ["GetQueueUrl", "GetQueueAttributes"], "more calls than it takes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_somebody_deletes_is_made_again() {
    let name = name();
    let queue = open(&shared().s3.sqs_url(&name)).await;
    shared().s3.sqs("DeleteQueue", &json!({ "QueueUrl": url_of(&name, "cpu") }));
    let (kind, text) = words(queue.publish(Lane::Cpu, messages(1)).await.expect_err("there is no queue"));
    assert_eq!(kind, Kind::Transient, "{text}");
    queue.publish(Lane::Cpu, messages(3)).await.expect("publishing");
    assert_eq!(receive(&*queue, 3).await, once(&messages(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_with_the_next_step() {
    let (relay, name) = (shared().s3.relay(), name());
    let attributes =
        json!({ "QueueName": format!("{name}-slow-cpu"), "Attributes": { "DelaySeconds": "5" } });
    shared().s3.sqs("CreateQueue", &attributes);
    let (kind, text) = refusal(&relay.sqs_url(&format!("{name}-slow"))).await;
    assert_eq!(kind, Kind::Config, "{text}");
    assert!(text.contains("DelaySeconds") && text.contains("docs/servers.md"), "{text}");

    relay.decide(|action, _| match action {
        "CreateQueue" => Fate::Refused("AccessDeniedException"),
        _ => Fate::Pass,
    });
    let (kind, text) = refusal(&relay.sqs_url(&name)).await;
    assert_eq!(kind, Kind::Refused, "{text}");
    assert!(text.contains("sqs:CreateQueue") && text.contains(&name), "{text}");

    relay.decide(|_, _| Fate::Refused("AccessDeniedException"));
    let (kind, text) = refusal(&relay.sqs_url(&name)).await;
    assert_eq!(kind, Kind::Refused, "{text}");
    assert!(text.contains("docs/servers.md"), "{text}");

    let (kind, text) = refusal("sqs://eu-central-1/maps?endpoint=http://127.0.0.1:9").await;
    assert_eq!(kind, Kind::Transient, "{text}");
    assert!(text.contains("http://127.0.0.1:9") && text.contains("region"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_waited_for_and_a_missing_right_ends_the_receiving() {
    let relay = shared().s3.relay();
    let queue = open(&relay.sqs_url(&name())).await;
    let mut refusals = 0;
    relay.decide(move |action, _| match action {
        "ReceiveMessage" if refusals < 2 => {
            refusals += 1;
            Fate::Refused("ExpiredToken")
        }
        _ => Fate::Pass,
    });
    queue.publish(Lane::Cpu, messages(1)).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    assert!(next(&mut *receiver).await.done().await.expect("settling"));
    relay.decide(|_, _| Fate::Refused("AccessDeniedException"));
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    let ended: Result<Delivery> = tokio::time::timeout(PATIENCE, receiver.next()).await.expect("an answer");
    assert_eq!(ended.err().map(|error| error.kind), Some(Kind::Refused));
}

#[test]
fn the_doctor_tells_what_there_is_and_what_is_wrong() {
    let site = Site::on_sqs(|name| shared().s3.sqs_url(name));
    let told = String::from_utf8_lossy(&site.swath(&["doctor"], 0).stdout).into_owned();
    assert!(
        told.contains("ok       publish, receive and settle a message") && told.contains("lane gpu: 0"),
        "{told}"
    );

    let folder = site.path("root");
    let doctor = |queue: &str, variables: &[(&str, &str)]| {
        let args =
            ["doctor", "--root", folder.to_str().expect("UTF-8"), "--ledger", "local:", "--queue", queue];
        let mut command = site.command(&args);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        command.env("HOME", site.path("")).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(variables.iter().copied());
        let output = command.output().expect("starting swath");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = doctor("sqs://eu-central-1/maps", &[]);
    assert!(code == Some(2) && told.contains("no credentials"), "{code:?} {told}");
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let (code, told) = doctor("sqs://eu-central-1/maps?endpoint=http://127.0.0.1:9", &keys);
    assert!(code == Some(4) && told.contains("no answer from http://127.0.0.1:9"), "{code:?} {told}");
    assert!(!told.contains("hunter2"), "{told}");
    let (code, told) = doctor("sqs://maps", &keys);
    assert!(code == Some(2) && told.contains("no region"), "{code:?} {told}");
}

#[test]
fn a_run_over_sqs_makes_the_same_bytes_though_a_worker_is_killed() {
    let site = Site::on_sqs(|name| shared().s3.sqs_url(name));
    let file = pipeline(&site, "item_px = 64", "");
    let output = site.swath(&["submit", file.to_str().expect("UTF-8")], 0);
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let worker = || site.start(&["worker", "--lease", "2", "--grace", "1"]);
    let (_coordinator, _one, mut other) = (site.start(&["coordinator"]), worker(), worker());
    let started = Instant::now();
    while site.predicted(&run) <= 20 {
        assert!(started.elapsed() < RUN_PATIENCE, "nothing gets done");
        std::thread::sleep(Duration::from_millis(20));
    }
    other.kill();
    let is_over = site.status(&run).is_some_and(|status| status.state.is_final());
    assert!(!is_over, "the worker was killed too late to matter");
    let status = site.wait(&run, RUN_PATIENCE);
    assert_eq!(status.state, RunState::Done, "{status:?}");
    for (stage, count) in &status.stages {
        assert_eq!((count.done, count.buried), (count.items, 0), "{stage}");
    }
    Made::of(&site, &run).assert_same(reference(), "over SQS, a worker killed");
}
