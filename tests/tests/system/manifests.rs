//! What manifests call is what the program takes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::site::program;

/// The program's arguments in a line such as `args: [worker, --grace, "90"]`.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let list = ["args: [", "command: [", "Command: ["].into_iter().find_map(|key| line.strip_prefix(key))?;
    let words: Vec<String> =
        list.strip_suffix(']')?.split(", ").map(|word| word.trim_matches('"').to_owned()).collect();
    ["coordinator", "worker", "train"].contains(&words.first()?.as_str()).then_some(words)
}

/// What the host of the AWS stack runs in its coordinator's container.
fn of_host(script: &str) -> Vec<String> {
    let (_, rest) = script.split_once("$registry/$image coordinator").expect("the coordinator's command");
    let (options, _) = rest.split_once("$metrics").expect("the end of its options");
    let metrics = script.split_once("metrics=' ").and_then(|(_, rest)| rest.split_once('\''));
    let (metrics, _) = metrics.expect("the option of those who watch");
    ["coordinator", options, metrics]
        .iter()
        .flat_map(|text| text.split_whitespace())
        .map(str::to_owned)
        .collect()
}

/// Options are read in their order, and help ends the program where it comes.
fn assert_taken(arguments: &[String], by: &str) {
    let output = Command::new(program()).args(arguments).arg("--help").output().expect("starting swath");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{by}: {arguments:?}: {told}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of manifests") {
        let path = entry.expect("its entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_option_in_a_manifest_is_one_of_the_program() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let mut called = 0;
    for file in ["compose", "kubernetes"].iter().flat_map(|folder| files(&deploy.join(folder))) {
        let text = std::fs::read_to_string(&file).expect("a manifest");
        for arguments in text.lines().filter_map(arguments) {
            assert_taken(&arguments, &file.display().to_string());
            called += 1;
        }
    }
    assert_eq!(called, 5, "coordinator and workers by compose, and on Kubernetes with and without cards");
}

#[test]
fn every_option_in_the_aws_stack_is_one_of_the_program() {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloudformation/parts");
    let read = |name: &str| std::fs::read_to_string(parts.join(name)).expect("a part of the template");
    let of_jobs: Vec<_> = read("jobs.yaml").lines().filter_map(arguments).collect();
    assert_eq!(of_jobs.len(), 4, "workers of both kinds, trainers of both");
    of_jobs.iter().for_each(|arguments| assert_taken(arguments, "jobs.yaml"));
    let of_host = of_host(&read("host.sh"));
    assert!(of_host.len() > 5, "{of_host:?}");
    assert_taken(&of_host, "host.sh");
}
