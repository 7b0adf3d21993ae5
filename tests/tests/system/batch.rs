//! Workers as jobs of AWS Batch, against an emulator of it. Where the emulator knows one state of a job alone, answers
//! are of the shapes that AWS documents. AWS itself has seen none of this.

mod gang;
mod profile;
mod wrong;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};
use swath_backends::open::Urls;
use swath_coordinator::fleet::{
    batch::{Batch, Gang, settings::Settings},
    provider::{Ending, ErrorKind, JobState, Order, Provider as _},
};
use swath_proto::{
    fleet::{Market, WorkerKind},
    item::Stage,
};
use swath_tests::{
    between::{Between, Say},
    moto::Moto,
    moto_batch::REGION,
};

use crate::{
    shared_servers::shared,
    site::{Kind, Site},
};

const DEFINITION: &str = "worker-of-the-stack";

fn moto() -> &'static Moto {
    static MOTO: OnceLock<Moto> = OnceLock::new();
    MOTO.get_or_init(|| {
        // Credentials for the SDK; nobody looks at them.
        shared();
        let moto = Moto::start();
        moto.without_containers();
        moto.queues("environment", &["cpu-spot", "gpu-spot", "gpu-on-demand"]);
        let needs = json!([{ "type": "VCPU", "value": "1" }, { "type": "MEMORY", "value": "128" }]);
        let container = json!({ "image": "swath:1", "command": ["worker"], "resourceRequirements": needs });
        moto.batch(
            "registerjobdefinition",
            &json!({
                "jobDefinitionName": DEFINITION, "type": "container", "containerProperties": container,
            }),
        );
        moto
    })
}

/// Names of jobs are each test's own.
fn settings(fleet: &str, endpoint: &str) -> Settings {
    let text = format!(
        "[batch]\nregion = '{REGION}'\nendpoint = '{endpoint}'\nname = '{fleet}'\nowner = 'me'\nattempts = 4\n\
         environment = {{ AWS_REQUEST_PAYER = 'requester' }}\n[batch.cpu]\nspot = 'cpu-spot'\n\
         definition = '{DEFINITION}'\n[batch.gpu]\nspot = 'gpu-spot'\non_demand = 'gpu-on-demand'\n\
         definition = '{DEFINITION}'\n[batch.trainer]\ndefinition = '{DEFINITION}'\n"
    );
    Settings::of_profile("a test", &text).expect("a right profile").expect("a section")
}

fn urls() -> Urls {
    Urls {
        root: "s3://maps/here".into(),
        queue: "sqs://eu-central-1/maps".into(),
        ledger: "redis://:hunter2@cache.internal".into(),
    }
}

async fn open(settings: &Settings) -> Batch {
    Batch::open(settings, &urls()).await.expect("opening")
}

async fn fleet(name: &str) -> (Between, Batch) {
    let between = Between::before(moto().port());
    let batch = open(&settings(name, &between.url())).await;
    (between, batch)
}

fn order(token: &str, kind: WorkerKind, market: Market, n: u32) -> Order {
    let run = Some("coast-1".parse().expect("a run's name"));
    Order { token: token.into(), kind, market, n, run, stage: Some(Stage::Predict) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_started_once_whatever_is_asked_again() {
    let (between, batch) = fleet("once").await;
    let order = order("t-1", WorkerKind::Cpu, Market::Spot, 1);
    let first = batch.start(&order).await.expect("starting");
    assert_eq!(first.len(), 1);
    assert_eq!(batch.start(&order).await.expect("again"), first);
    // Another coordinator knows of nothing but the order.
    let another = open(&settings("once", &between.url())).await;
    assert_eq!(another.start(&order).await.expect("by another"), first);
    let [submitted] = &between.asked("submitjob")[..] else { panic!("{:?}", between.asked("submitjob")) };
    assert_eq!(submitted["jobName"], "once_cpu_spot_t-1");
    assert_eq!(submitted["tags"]["swath:run"], "coast-1");
    assert_eq!(submitted["tags"]["swath:stage"], "predict");
    assert_eq!(submitted["tags"]["swath:owner"], "me");
    assert_eq!(submitted["tags"]["swath:root"], "s3://maps/here");
    assert_eq!(submitted["retryStrategy"]["attempts"], 4);
    assert_eq!(submitted["retryStrategy"]["evaluateOnExit"][0]["onStatusReason"], "Host EC2*");
    assert!(submitted["arrayProperties"].is_null() && submitted["containerOverrides"]["command"].is_null());
    let variables = submitted["containerOverrides"]["environment"].to_string();
    assert!(variables.contains("AWS_REQUEST_PAYER"), "{variables}");
    assert!(!variables.contains("SWATH_"), "the definition says where things are: {variables}");

    let jobs = batch.jobs().await.expect("listing");
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!((&job.id, job.token.as_str(), job.kind), (&first[0], "t-1", WorkerKind::Cpu));
    assert_eq!(job.state, JobState::Ended(Ending::Done));
    assert!(job.began.is_some() && job.ended.is_some(), "{job:?}");
    batch.cancel(&job.id, "it is over, and stays so").await.expect("cancelling what is over");
    assert_eq!(another.jobs().await.expect("listing")[0].state, JobState::Ended(Ending::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_are_an_array_and_each_child_is_one() {
    let (between, batch) = fleet("array").await;
    let ids = batch.start(&order("t", WorkerKind::Gpu, Market::OnDemand, 120)).await.expect("starting");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 120);
    let submitted = between.asked("submitjob");
    assert_eq!((submitted.len(), &submitted[0]["arrayProperties"]["size"]), (1, &json!(120)));
    assert_eq!(submitted[0]["jobQueue"], "gpu-on-demand");
    let jobs = batch.jobs().await.expect("listing");
    let listed: BTreeSet<_> = jobs.iter().map(|job| job.id.clone()).collect();
    assert_eq!(listed, ids.into_iter().collect());
    assert!(jobs.iter().all(|job| job.market == Market::OnDemand && job.kind == WorkerKind::Gpu));
    let described = between.asked("describejobs");
    assert!(described.iter().all(|asked| asked["jobs"].as_array().expect("ids").len() <= 100));
    // What is over is not asked for again.
    batch.jobs().await.expect("listing");
    assert_eq!(between.asked("describejobs").len(), described.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_read_look_by_look_and_told_of_when_all_is_known() {
    let (between, batch) = fleet("week").await;
    for token in ["t-1", "t-2"] {
        batch.start(&order(token, WorkerKind::Cpu, Market::Spot, 120)).await.expect("starting");
    }
    assert_eq!(batch.jobs().await.expect("listing").len(), 240);
    let asked = between.asked("describejobs").len();
    let new = open(&settings("week", &between.url())).await.describing_at_most(150);
    let error = new.jobs().await.expect_err("it knows a part of them");
    assert!(error.kind == ErrorKind::Away && error.told().contains("goes on"), "{}", error.told());
    assert_eq!(new.jobs().await.expect("the rest").len(), 240);
    let ids = |asked: &Value| asked["jobs"].as_array().expect("ids").len();
    let children: usize = between.asked("describejobs")[asked..]
        .iter()
        .filter(|asked| asked["jobs"][0].as_str().is_some_and(|id| id.contains(':')))
        .map(ids)
        .sum();
    assert_eq!(children, 240, "none is asked for twice");
    // Two arrays are more than a look may take, and each gets on all the same.
    let slow = open(&settings("week", &between.url())).await.describing_at_most(1);
    for _ in 0..2 {
        slow.jobs().await.expect_err("it knows a part of them");
    }
    assert_eq!(slow.jobs().await.expect("the rest").len(), 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_whose_answer_is_lost_is_found_by_its_name() {
    let (between, batch) = fleet("lost").await;
    between.decide(|name, _| if name == "submitjob" { Say::Lost } else { Say::Pass });
    let ids = batch.start(&order("t", WorkerKind::Cpu, Market::Spot, 1)).await.expect("it was started");
    assert_eq!(ids.len(), 1);
    assert_eq!(between.asked("submitjob").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_started_is_not_started_again_before_it_would_be_listed() {
    let (between, batch) = fleet("doubt").await;
    let batch = batch.listing_within(Duration::from_secs(3600));
    between.decide(|name, _| if name == "submitjob" { Say::Reset } else { Say::Pass });
    let order = order("t", WorkerKind::Cpu, Market::Spot, 1);
    for _ in 0..3 {
        let error = batch.start(&order).await.expect_err("nobody knows");
        assert_eq!(error.kind, ErrorKind::Away, "{}", error.told());
        assert!(error.told().contains("not known yet"), "{}", error.told());
    }
    assert_eq!(between.asked("submitjob").len(), 1);
    // By then it would be listed: it was not started.
    let batch = batch.listing_within(Duration::ZERO);
    between.decide(|_, _| Say::Pass);
    let another = open(&settings("doubt", &between.url())).await;
    assert_eq!(another.start(&order).await.expect("starting").len(), 1);
    assert_eq!(batch.start(&order).await.expect("it is there").len(), 1);
    assert_eq!(between.asked("submitjob").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_and_failing_calls_are_repeated() {
    let (between, batch) = fleet("slow").await;
    let mut n = BTreeMap::<String, u32>::new();
    // Each kind of call is refused twice.
    between.decide(move |name, _| {
        let n = n.entry(name.to_owned()).or_default();
        *n += 1;
        match (*n, name) {
            (3.., _) => Say::Pass,
            (2, "listjobs" | "describejobs") => Say::refusal(500, "ServerException", "we failed"),
            _ => Say::refusal(429, "TooManyRequestsException", "Too Many Requests"),
        }
    });
    let ids = batch.start(&order("t", WorkerKind::Cpu, Market::Spot, 2)).await.expect("starting");
    assert_eq!(ids.len(), 2);
    assert_eq!(batch.jobs().await.expect("listing").len(), 2, "one order, one array");
    let n = |name| between.asked(name).len();
    assert_eq!((n("submitjob"), n("describejobdefinitions")), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_started_twice_all_the_same_loses_the_later_one() {
    let (between, batch) = fleet("twice").await;
    let body = json!({ "jobName": "twice_cpu_spot_t", "jobQueue": "cpu-spot", "jobDefinition": DEFINITION });
    let first = moto().batch("submitjob", &body)["jobId"].clone();
    let later = moto().batch("submitjob", &body)["jobId"].clone();
    let (first, later) = (first.as_str().expect("an id"), later.as_str().expect("an id"));
    // In the order in which Batch tells of them, which is the other way round.
    let told = json!({ "jobSummaryList": [
        { "jobId": later, "jobName": "twice_cpu_spot_t", "createdAt": 2 },
        { "jobId": first, "jobName": "twice_cpu_spot_t", "createdAt": 1 },
    ] });
    between
        .decide(move |name, _| if name == "listjobs" { Say::Answer(200, told.clone()) } else { Say::Pass });
    let ids = batch.start(&order("t", WorkerKind::Cpu, Market::Spot, 1)).await.expect("starting");
    assert_eq!(ids[0].0, format!("batch:{first}"));
    let [ended] = &between.asked("terminatejob")[..] else { panic!("{:?}", between.asked("terminatejob")) };
    assert_eq!(ended["jobId"], later);
    assert!(between.asked("submitjob").is_empty());
}

/// One job's life, as AWS tells of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_seen_as_it_waits_launches_works_and_ends() {
    let (between, batch) = fleet("life").await;
    let ids = batch.start(&order("t", WorkerKind::Gpu, Market::Spot, 1)).await.expect("starting");
    let id = ids[0].0.trim_start_matches("batch:").to_owned();
    let tell = |mut told: Value| {
        told["jobId"] = json!(id);
        told["jobName"] = json!("life_gpu_spot_t");
        told["createdAt"] = json!(1_795_960_647_231_i64);
        let pages = [
            json!({ "jobSummaryList": [], "nextToken": "more" }),
            json!({ "jobSummaryList": [{ "jobId": id, "jobName": "life_gpu_spot_t" }] }),
        ];
        between.decide(move |name, asked| match name {
            "listjobs" => Say::Answer(200, pages[usize::from(asked["nextToken"] == "more")].clone()),
            "describejobs" => Say::Answer(200, json!({ "jobs": [told.clone()] })),
            _ => Say::Pass,
        });
    };
    let state = async || {
        let jobs = batch.jobs().await.expect("listing");
        let [job] = &jobs[..] else { panic!("{jobs:?}") };
        job.state.clone()
    };
    tell(json!({ "status": "SUBMITTED" }));
    assert_eq!(state().await, JobState::Queued { why: None });
    let stuck = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance \
                 type [g5.xlarge]";
    tell(json!({ "status": "RUNNABLE", "statusReason": stuck }));
    let JobState::Queued { why: Some(why) } = state().await else { panic!("it waits") };
    assert!(why.contains("on-demand") && why.contains("g5.xlarge"), "{why}");
    tell(json!({ "status": "STARTING" }));
    assert_eq!(state().await, JobState::Launching);
    tell(json!({ "status": "RUNNING", "startedAt": 1_795_960_700_000_i64 }));
    assert_eq!(state().await, JobState::Running);
    // Batch tries it again by itself, on another host.
    let lost = "Host EC2 (instance i-0123456789abcdef0) terminated.";
    let attempt = json!({ "startedAt": 1_795_960_700_000_i64, "stoppedAt": 1_795_960_800_000_i64, "statusReason": lost });
    tell(json!({ "status": "RUNNABLE", "attempts": [attempt] }));
    assert_eq!(state().await, JobState::Queued { why: None });
    let now = 1000 * std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    tell(json!({ "status": "FAILED", "statusReason": lost, "stoppedAt": now }));
    assert_eq!(state().await, JobState::Ended(Ending::HostLost));
    // What is over is not asked for again: another looks for itself.
    let pull = json!({ "reason": "CannotPullContainerError: manifest for swath:9 not found" });
    tell(
        json!({ "status": "FAILED", "statusReason": "Task failed to start", "stoppedAt": now, "container": pull }),
    );
    let another = open(&settings("life", &between.url())).await;
    let jobs = another.jobs().await.expect("listing");
    assert!(
        matches!(&jobs[0].state, JobState::Ended(Ending::Failed(why)) if why.contains("push it")),
        "{jobs:?}"
    );
    assert_eq!(state().await, JobState::Ended(Ending::HostLost));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_registered_once_for_equal_content() {
    let between = Between::before(moto().port());
    let text = |memory: u32| {
        format!(
            "[batch]\nregion = '{REGION}'\nendpoint = '{}'\nname = 'made'\n[batch.cpu]\nspot = 'cpu-spot'\n\
             image = {{ uri = 'swath:1', vcpus = 1, memory_mib = {memory}, log_group = '/swath' }}\n",
            between.url()
        )
    };
    let start = async |memory: u32, token: &str| {
        let settings = Settings::of_profile("a test", &text(memory)).expect("right").expect("a section");
        let batch = open(&settings).await;
        batch.start(&order(token, WorkerKind::Cpu, Market::Spot, 1)).await.expect("starting");
    };
    start(512, "t-1").await;
    start(512, "t-2").await;
    assert_eq!(between.asked("registerjobdefinition").len(), 1);
    start(1024, "t-3").await;
    assert_eq!(between.asked("registerjobdefinition").len(), 2);
    // The older one is ACTIVE too, and equal.
    start(512, "t-4").await;
    assert_eq!(between.asked("registerjobdefinition").len(), 2);
    let of: Vec<String> =
        between.asked("submitjob").iter().map(|job| job["jobDefinition"].to_string()).collect();
    assert!(of[0] == of[1] && of[1] == of[3] && of[0] != of[2], "{of:?}");
    let variables = between.asked("submitjob")[0]["containerOverrides"]["environment"].to_string();
    assert!(variables.contains("SWATH_ROOT") && variables.contains("SWATH_QUEUE"), "{variables}");
    assert!(!variables.contains("hunter2"), "a job's variables are no place for secrets: {variables}");
    let registered = &between.asked("registerjobdefinition")[0];
    assert_eq!(
        registered["containerProperties"]["command"],
        json!(["worker", "--kinds", "cpu", "--idle-exit", "900"])
    );
    assert_eq!(registered["containerProperties"]["logConfiguration"]["options"]["awslogs-region"], REGION);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_train_together_are_started_as_one_order_and_are_no_workers() {
    let (between, batch) = fleet("gang").await;
    let gang = Gang {
        token: "g-1".into(),
        name: "roofs".parse().expect("a name"),
        file: "/etc/swath/train.toml".into(),
        machines: 3,
        ranks: 4,
        least_ranks: 8,
        market: Market::OnDemand,
        run: None,
    };
    let ids = batch.start_gang(&gang).await.expect("starting");
    assert_eq!(batch.start_gang(&gang).await.expect("again"), ids);
    assert_eq!(ids.len(), 3);
    let [submitted] = &between.asked("submitjob")[..] else { panic!("{:?}", between.asked("submitjob")) };
    assert_eq!(submitted["jobQueue"], "gpu-on-demand", "the queues of cards are the trainer's too");
    let command = submitted["containerOverrides"]["command"].to_string();
    assert!(command.contains(r#""--gang","roofs","--ranks","4","--least-ranks","8""#), "{command}");
    assert!(batch.jobs().await.expect("listing").is_empty());
    let seen = batch.gang(&gang).await.expect("looking");
    assert!(seen.len() == 3 && seen.iter().all(|(_, state)| state.is_over()), "{seen:?}");
}
