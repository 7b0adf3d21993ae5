//! The AWS template, as CloudFormation would read it and as an emulator of it creates the stack. AWS itself has seen
//! neither.

use std::process::Command;

use swath_tests::moto::{self, Moto};

use crate::site::{Kind, Site};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cloudformation/swath.yaml");
const LOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/stack/main.py");

/// What the script says when all is as it should be.
fn look(what: &str, port: Option<u16>) -> String {
    let output = Command::new(moto::python())
        // Nothing of it stays beside the sources.
        .args(["-B", LOOK, what, TEMPLATE])
        .args(port.map(|port| port.to_string()))
        .output()
        .expect("the emulator is missing: run `make setup`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_stack_is_refused_in_words_before_anything_of_it_is_made() {
    assert!(look("refusals", None).contains(" refused"));
}

#[test]
fn nothing_is_open_or_unencrypted_and_rights_on_everything_have_reasons() {
    assert!(look("safety", None).contains(" combinations"));
}

#[test]
fn each_resource_of_a_stack_comes_out_as_said_with_its_options_and_without() {
    let aws = Moto::start();
    let said = look("created", Some(aws.port()));
    assert!(said.contains("every option: "), "{said}");
}

#[test]
fn what_a_stack_tells_of_itself_becomes_a_profile_by_which_all_of_it_is_found() {
    let aws = Moto::start();
    let site = Site::new(Kind::Servers);
    std::fs::write(site.path("stack.json"), look("outputs", Some(aws.port()))).expect("writing");
    let swath = |args: &[&str]| {
        let mut command = site.command(args);
        command
            .env("XDG_CONFIG_HOME", site.path("config"))
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", aws.port()))
            // The profile has both; its ledger is a machine that the emulator makes in name only.
            .env_remove("SWATH_ROOT")
            .env_remove("SWATH_QUEUE");
        let output = command.output().expect("starting swath");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {told}{log}");
        told
    };
    let path = swath(&["profile", "from-outputs", "stack.json"]);
    assert!(path.trim().ends_with("swath/maps.toml"), "{path}");
    let shown = swath(&["profile", "show", "maps"]);
    assert!(shown.contains("queue = \"sqs://eu-central-1/swath\""), "{shown}");
    let told = swath(&["doctor", "--profile", "maps"]);
    assert!(told.contains("root     s3://maps-bucket") && !told.contains("FAILED"), "{told}");
    for line in [
        "publish, receive and settle a message",
        "the job queue swath-cpu-spot: swath-cpu-spot (spot, 80 vCPUs at most)",
        "the job queue swath-gpu-on-demand: swath-gpu-on-demand (ec2, 32 vCPUs at most)",
        "the job definition of gpu: swath-worker-gpu",
        "the job definition of trainer: swath-trainer",
    ] {
        assert!(told.contains(&format!("ok       {line}")), "{line}: {told}");
    }
}
