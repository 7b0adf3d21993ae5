//! Workers as jobs of AWS Batch, against an emulator of it. Where the emulator knows one state of a job alone, answers
//! are of the shapes that AWS documents. AWS itself has seen none of this.

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_account_is_told_with_the_next_step() {
    let (between, batch) = fleet("wrong").await;
    let order = |token: &str| order(token, WorkerKind::Cpu, Market::Spot, 1);
    let told = async |batch: &Batch, order: &Order| {
        let error = batch.start(order).await.expect_err("it was started");
        (error.kind, error.told())
    };
    let endpoint = between.url();
    // A queue and a definition that are not there.
    let mut wrong = settings("wrong", &endpoint);
    wrong.cpu.as_mut().expect("a side").spot = Some("no-such-queue".into());
    let (kind, words) = told(&open(&wrong).await, &order("t")).await;
    assert_eq!(kind, ErrorKind::Config, "{words}");
    let mut wrong = settings("wrong", &endpoint);
    wrong.cpu.as_mut().expect("a side").definition = Some("no-such-definition".into());
    let (kind, words) = told(&open(&wrong).await, &order("t")).await;
    assert!(
        kind == ErrorKind::Config && words.contains("no-such-definition") && words.contains("ACTIVE"),
        "{words}"
    );
    // A market without a queue.
    let on_demand = Order { market: Market::OnDemand, ..order("t") };
    let (kind, words) = told(&batch, &on_demand).await;
    assert!(kind == ErrorKind::Config && words.contains("batch.cpu.on_demand"), "{words}");
    // A disabled queue, an environment that is INVALID, a quota: as AWS tells of them.
    let queue = |state: &str| {
        json!({ "jobQueues": [{
            "jobQueueName": "cpu-spot", "state": state, "status": "VALID", "priority": 1,
            "computeEnvironmentOrder": [{ "order": 1, "computeEnvironment": "ce" }],
        }] })
    };
    let environment = |status: &str, reason: &str| {
        json!({ "computeEnvironments": [{
            "computeEnvironmentName": "ce", "state": "ENABLED", "status": status, "statusReason": reason,
        }] })
    };
    for (state, reason, word) in [
        ("DISABLED", "", "--state ENABLED"),
        (
            "ENABLED",
            "CLIENT_ERROR - User: arn:aws:sts::1:assumed-role/batch is not authorized to perform: sts:AssumeRole",
            "INVALID (CLIENT_ERROR - User",
        ),
        ("ENABLED", "CLIENT_ERROR - You've reached your quota for maximum Fleet Requests", "Service Quotas"),
    ] {
        let (queue, environment) = (queue(state), environment("INVALID", reason));
        between.decide(move |name, _| match name {
            "submitjob" => Say::refusal(400, "ClientException", "the queue takes no jobs"),
            "describejobqueues" => Say::Answer(200, queue.clone()),
            "describecomputeenvironments" => Say::Answer(200, environment.clone()),
            _ => Say::Pass,
        });
        let (kind, words) = told(&batch, &order("t")).await;
        assert!(kind == ErrorKind::Config && words.contains(word), "{words}");
        let tried = batch.try_queue("cpu-spot").await.expect_err("it can't be used").told();
        assert!(tried.contains(word), "{tried}");
    }
    for (status, code, message, kind, word) in [
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            ErrorKind::Refused,
            "AWS_PROFILE",
        ),
        (
            403,
            "AccessDeniedException",
            "not authorized to perform: batch:SubmitJob",
            ErrorKind::Refused,
            "docs/aws-batch.md",
        ),
        (
            400,
            "ClientException",
            "Job limit exceeded: the account's quota is reached",
            ErrorKind::NoCapacity,
            "Service Quotas",
        ),
    ] {
        between.decide(move |name, _| match name {
            "submitjob" => Say::refusal(status, code, message),
            _ => Say::Pass,
        });
        let (of, words) = told(&batch, &order("t")).await;
        assert!(of == kind && words.contains(word), "{code}: {words}");
    }
    let local = Urls { root: "maps".into(), ..urls() };
    let error = Batch::open(&settings("wrong", &endpoint), &local).await.err().expect("it was let in");
    assert!(error.told().contains("s3://"), "{}", error.told());
}

/// No answer takes some time: it is asked for again. See also `what_is_wrong_with_the_account_is_told`.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_another_or_does_not_answer_is_told_with_its_name() {
    let (between, _) = fleet("region").await;
    let elsewhere = Settings { region: Some("us-west-2".into()), ..settings("region", &between.url()) };
    let error = open(&elsewhere).await.try_queue("cpu-spot").await.expect_err("it is elsewhere");
    let told = error.told();
    assert!(error.kind == ErrorKind::Config && told.contains("no such job queue"), "{told}");
    assert!(told.contains("or the region"), "{told}");
    let nobody = swath_tests::free_port();
    let silent = settings("region", &format!("http://127.0.0.1:{nobody}"));
    let error = open(&silent).await.try_queue("cpu-spot").await.expect_err("nobody is there");
    let told = error.told();
    assert!(error.kind == ErrorKind::Away && told.contains("is the region right"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_the_end_of_its_jobs_and_told_with_the_next_step() {
    let (between, batch) = fleet("image").await;
    let ids = batch.start(&order("t", WorkerKind::Cpu, Market::Spot, 1)).await.expect("starting");
    let id = ids[0].0.trim_start_matches("batch:").to_owned();
    let reason = "CannotPullContainerError: Error response from daemon: manifest for swath:9 not found";
    between.decide(move |name, _| match name {
        "describejobs" => Say::Answer(
            200,
            json!({ "jobs": [{
                "jobId": id, "jobName": "image_cpu_spot_t", "status": "FAILED", "createdAt": 1_795_960_647_231_i64,
                "statusReason": "Task failed to start", "container": { "reason": reason },
            }] }),
        ),
        _ => Say::Pass,
    });
    let jobs = batch.jobs().await.expect("listing");
    let JobState::Ended(Ending::Failed(why)) = &jobs[0].state else { panic!("{jobs:?}") };
    assert!(why.contains("manifest for swath:9") && why.contains("push it under this very name"), "{why}");
}

/// A machine that knows nobody.
fn without_credentials(command: &mut std::process::Command) {
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"] {
        command.env_remove(variable);
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
}

#[test]
fn who_has_no_credentials_or_no_region_is_told_which_variables_to_set() {
    let site = Site::new(Kind::Embedded);
    let folder = site.path("config/swath");
    std::fs::create_dir_all(&folder).expect("a folder");
    let profile = |region: &str| {
        let text = format!("[batch]\n{region}name = 'none'\n[batch.cpu]\nspot = 'q'\ndefinition = 'd'\n");
        std::fs::write(folder.join("aws.toml"), text).expect("writing a profile");
    };
    let told = |keys: &[(&str, &str)]| {
        let mut command =
            site.command(&["coordinator", "--fleet", "batch", "--workers-max", "1", "--profile", "aws"]);
        without_credentials(&mut command);
        command
            .envs([("SWATH_ROOT", "s3://maps/here"), ("SWATH_QUEUE", "sqs://eu-central-1/maps")])
            .envs([("SWATH_LEDGER", "redis://127.0.0.1:1")])
            .env("XDG_CONFIG_HOME", site.path("config"))
            // Where the SDK would look for files.
            .env("HOME", site.path("home"))
            .envs(keys.iter().copied());
        let output = command.output().expect("starting swath");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        told
    };
    profile("region = 'eu-central-1'\n");
    let words = told(&[]);
    assert!(
        words.contains("opening Batch in eu-central-1: no credentials: set AWS_ACCESS_KEY_ID"),
        "{words}"
    );
    profile("");
    let words = told(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
    assert!(words.contains("no region is named") && words.contains("set AWS_REGION"), "{words}");
}

#[test]
fn a_gang_is_started_once_shown_and_ended_by_its_name() {
    let site = Site::new(Kind::Servers);
    let between = Between::before(moto().port());
    let folder = site.path("config/swath");
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "[batch]\nregion = '{REGION}'\nendpoint = '{}'\nname = 'together'\n[batch.gpu]\non_demand = 'gpu-on-demand'\n\
         definition = '{DEFINITION}'\n[batch.trainer]\ndefinition = '{DEFINITION}'\n",
        between.url()
    );
    std::fs::write(folder.join("aws.toml"), text).expect("writing a profile");
    let swath = |args: &[&str], code: i32| {
        let mut command = site.command(&[&["fleet", "gang"][..], args, &["--profile", "aws"]].concat());
        let output = command.env("XDG_CONFIG_HOME", site.path("config")).output().expect("starting swath");
        let told =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        told
    };
    let told = swath(&["status", "roofs"], 2);
    assert!(told.contains("no gang roofs was ever started"), "{told}");
    let training =
        "output = \"roofs/\"\nshards.train = [\"chips/\"]\n[train]\narchitecture = \"tiny\"\nclasses = 2\n";
    std::fs::write(site.path("roofs.toml"), format!("{training}epoch = 1\n")).expect("writing");
    let told = swath(&["start", "roofs.toml", "--machines", "3"], 2);
    assert!(told.contains("roofs.toml: unknown field `epoch`"), "{told}");
    std::fs::write(site.path("roofs.toml"), training).expect("writing");
    let told = swath(&["start", "roofs.toml", "--machines", "3", "--least-ranks", "4"], 2);
    assert!(told.contains("training would never begin"), "{told}");
    assert!(between.asked("submitjob").is_empty());

    // As long as it is at work: the emulator's jobs are over at once.
    let working = |name: &str, asked: &Value| {
        let told = |id: &Value| {
            let is_child = id.as_str().is_some_and(|id| id.contains(':'));
            let array = if is_child { json!({ "index": 0 }) } else { json!({ "size": 3 }) };
            json!({ "jobId": id, "status": "RUNNING", "createdAt": 1_795_960_647_231_i64, "arrayProperties": array })
        };
        match name {
            "describejobs" => {
                let jobs: Vec<Value> = asked["jobs"].as_array().into_iter().flatten().map(told).collect();
                Say::Answer(200, json!({ "jobs": jobs }))
            }
            "terminatejob" => Say::Answer(200, json!({})),
            _ => Say::Pass,
        }
    };
    between.decide(working);
    let start = ["start", "roofs.toml", "--machines", "3", "--ranks", "2", "--least-ranks", "4"];
    let told = swath(&start, 0);
    assert!(told.contains("the gang roofs is started, with 3 machines (on-demand)"), "{told}");
    let told = swath(&start, 0);
    assert!(told.contains("is there already, with 3 machines"), "{told}");
    // Batch tells of new jobs late: another order beside this one would be a second gang of its name.
    between.decide(move |name, asked| match name {
        "listjobs" => Say::Answer(200, json!({ "jobSummaryList": [] })),
        _ => working(name, asked),
    });
    let told = swath(&["start", "roofs.toml", "--machines", "2"], 2);
    assert!(told.contains("not listed yet") && told.contains("another name"), "{told}");
    between.decide(working);
    let told = swath(&["start", "roofs.toml", "--machines", "2"], 2);
    assert!(told.contains("swath fleet gang stop roofs"), "{told}");
    let [submitted] = &between.asked("submitjob")[..] else { panic!("{:?}", between.asked("submitjob")) };
    assert_eq!(
        (&submitted["jobQueue"], &submitted["arrayProperties"]["size"]),
        (&json!("gpu-on-demand"), &json!(3))
    );
    let command: Vec<&str> = submitted["containerOverrides"]["command"]
        .as_array()
        .expect("a command")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let ["train", file, rest @ ..] = &command[..] else { panic!("{command:?}") };
    assert_eq!(rest, ["--gang", "roofs", "--ranks", "2", "--least-ranks", "4"]);
    let key = file.strip_prefix("root:").expect("a key under the root");
    assert_eq!(site.object(key), training.as_bytes());
    let told = swath(&["status", "roofs"], 0);
    assert!(told.contains("3 machines with 2 ranks each") && told.matches("running").count() == 3, "{told}");
    let told = swath(&["stop", "roofs"], 0);
    assert!(told.contains("3 machines told to end") && between.asked("terminatejob").len() == 3, "{told}");
    // The same again, once it is over, is another order.
    between.decide(|_, _| Say::Pass);
    swath(&start, 0);
    assert_eq!(between.asked("submitjob").len(), 2);
    assert_ne!(between.asked("submitjob")[1]["jobName"], submitted["jobName"]);
}

/// A home with one profile in it.
fn with_profile(site: &Site, endpoint: &str) {
    let folder = site.path("config/swath");
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "[batch]\nregion = '{REGION}'\nendpoint = '{endpoint}'\nname = 'doctor'\n[batch.cpu]\nspot = 'cpu-spot'\n\
         definition = '{DEFINITION}'\n"
    );
    std::fs::write(folder.join("aws.toml"), text).expect("writing a profile");
}

#[test]
fn the_doctor_looks_at_queues_definitions_and_jobs_and_says_what_is_missing() {
    let site = Site::new(Kind::Servers);
    let between = Between::before(moto().port());
    with_profile(&site, &between.url());
    let doctor = |code: i32| {
        let mut command = site.command(&["doctor", "--profile", "aws"]);
        let output = command.env("XDG_CONFIG_HOME", site.path("config")).output().expect("starting swath");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}{}", String::from_utf8_lossy(&output.stderr));
        told
    };
    let told = doctor(0);
    for line in [
        "the job queue cpu-spot: environment",
        "the job definition of cpu: worker-of-the-stack",
        "list this fleet's jobs",
    ] {
        assert!(told.contains(&format!("ok       {line}")), "{line}: {told}");
    }
    between.decide(|name, _| match name {
        "describejobqueues" => Say::Answer(200, json!({ "jobQueues": [] })),
        "describejobdefinitions" => Say::Answer(200, json!({ "jobDefinitions": [] })),
        _ => Say::Pass,
    });
    let told = doctor(2);
    assert!(told.contains("no such job queue") && told.contains("no such definition"), "{told}");
    assert!(between.asked("submitjob").is_empty() && between.asked("registerjobdefinition").is_empty());
}

#[test]
fn a_profile_is_made_of_raster_visions_and_nobody_elses_is_overwritten() {
    let site = Site::new(Kind::Embedded);
    let folder = site.path("rastervision");
    std::fs::create_dir_all(&folder).expect("a folder");
    let ini = "[AWS_BATCH]\njob_queue=gpu\njob_definition=def\nattempts=5\n[PLUGINS]\nmodules=[]\n";
    std::fs::write(folder.join("seeds"), ini).expect("writing an INI file");
    let swath = |args: &[&str], code: i32| {
        let mut command = site.command(args);
        command.env("XDG_CONFIG_HOME", site.path("config")).env("RV_CONFIG_DIR", &folder);
        let output = command.output().expect("starting swath");
        let told =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        told
    };
    // Used as it is, and taken over.
    let shown = swath(&["profile", "show", "seeds"], 0);
    assert!(shown.contains("spot = \"gpu\"") && shown.contains("attempts = 5"), "{shown}");
    let told = swath(&["profile", "import", "seeds"], 0);
    assert!(told.contains("[PLUGINS] modules has no counterpart"), "{told}");
    let made = site.path("config/swath/seeds.toml");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&made).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(&made, "# mine\n").expect("writing");
    let told = swath(&["profile", "import", "seeds"], 2);
    assert!(told.contains("--force"), "{told}");
    assert_eq!(std::fs::read_to_string(&made).expect("reading"), "# mine\n");
    swath(&["profile", "import", "seeds", "--force"], 0);
    assert!(std::fs::read_to_string(&made).expect("reading").contains("[batch.gpu]"));

    for (text, wanted) in [
        ("[fleet]\nworker_max = 3\n", "unknown field"),
        ("[fleet]\nfleet = 'local'\nworkers_min = 9\nworkers_max = 3\n", "--workers-min 9"),
        (
            "[fleet]\nfleet = 'batch'\nworkers_max = 3\n[batch.cpu]\nspot = 'q'\ndefinition = 'd'\n",
            "can't reach --root",
        ),
        ("quue = 'amqp://host'\n", "did you mean queue?"),
    ] {
        std::fs::write(&made, text).expect("writing");
        let told = swath(&["profile", "show", "seeds"], 2);
        assert!(told.contains(wanted), "{text}: {told}");
    }

    let stack = r#"{"Stacks": [{"StackName": "maps", "StackStatus": "ROLLBACK_COMPLETE"}]}"#;
    std::fs::write(site.path("stack.json"), stack).expect("writing");
    let told = swath(&["profile", "from-outputs", "stack.json"], 2);
    assert!(told.contains("ROLLBACK_COMPLETE") && told.contains("describe-stack-events"), "{told}");
}
