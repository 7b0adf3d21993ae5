//! What is wrong with an account, a region, an image or credentials is told with the next step.

use super::*;

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
