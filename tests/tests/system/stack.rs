//! The AWS template, as CloudFormation would read it and as an emulator of it creates the stack. AWS itself has seen
//! neither.

use std::process::Command;

use swath_tests::moto::{self, Moto};

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
