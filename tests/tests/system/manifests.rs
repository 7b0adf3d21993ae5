//! What manifests call is what the program takes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::site::program;

/// The program's arguments in a line such as `args: [worker, --grace, "90"]`.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let list = line.strip_prefix("args: [").or_else(|| line.strip_prefix("command: ["))?;
    let words: Vec<String> =
        list.strip_suffix(']')?.split(", ").map(|word| word.trim_matches('"').to_owned()).collect();
    ["coordinator", "worker"].contains(&words.first()?.as_str()).then_some(words)
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
            // Options are read in their order, and help ends the program where it comes.
            let output =
                Command::new(program()).args(&arguments).arg("--help").output().expect("starting swath");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {arguments:?}: {told}", file.display());
            called += 1;
        }
    }
    assert_eq!(called, 5, "coordinator and workers by compose, and on Kubernetes with and without cards");
}
