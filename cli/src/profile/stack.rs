//! The outputs of the CloudFormation stack as a profile: the JSON of `aws cloudformation describe-stacks`. Pure.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use swath_coordinator::fleet::batch::settings::{Settings, Side};

use super::{Profile, Taken};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    stacks: Vec<Stack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stack {
    stack_name: String,
    stack_status: String,
    #[serde(default)]
    stack_status_reason: Option<String>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

/// The stack's name beside what it becomes.
pub fn read(json: &str) -> anyhow::Result<(String, Taken)> {
    let described: Described = serde_json::from_str(json).context(
        "it is not what `aws cloudformation describe-stacks --stack-name NAME` prints (JSON: --output json)",
    )?;
    let stack = match &described.stacks[..] {
        [stack] => stack,
        [] => bail!("there is no stack in it: look at the name and the region"),
        stacks => {
            let names: Vec<&str> = stacks.iter().map(|stack| stack.stack_name.as_str()).collect();
            bail!("there are several stacks in it ({}): give --stack-name", names.join(", "));
        }
    };
    let mut notes = Vec::new();
    usable(stack, &mut notes)?;
    let outputs: BTreeMap<&str, &str> = stack
        .outputs
        .iter()
        .map(|output| (output.output_key.as_str(), output.output_value.as_str()))
        .collect();
    let find = |key: &str| outputs.get(key).map(|value| (*value).to_owned());
    let needs = |key: &str| {
        find(key).with_context(|| {
            format!("the stack {} has no output {key}: is it made of Swath's template?", stack.stack_name)
        })
    };
    let (queue, ledger) = (find("Queue"), find("Ledger"));
    for (door, value, secret) in [("queue", &queue, "QueueSecret"), ("ledger", &ledger, "LedgerSecret")] {
        match (value, find(secret)) {
            (Some(_), _) => {}
            (None, Some(secret)) => notes.push(format!(
                "the URL of the {door} has a password and lies in the secret {secret}: put it into a file that \
                 SWATH_{}_FILE names",
                door.to_uppercase()
            )),
            (None, None) => notes.push(format!("the stack has no {door}: say it here, or by SWATH_{}", door.to_uppercase())),
        }
    }
    if ledger.is_some() {
        notes.push(
            "the ledger is reached from inside the stack's network; from outside, the root alone is enough"
                .into(),
        );
    }
    let settings = Settings {
        region: find("Region"),
        name: find("Name"),
        cpu: Some(Side {
            spot: Some(needs("CpuSpotQueue")?),
            on_demand: find("CpuOnDemandQueue"),
            definition: Some(needs("CpuDefinition")?),
            ..Side::default()
        }),
        gpu: match (find("GpuSpotQueue"), find("GpuOnDemandQueue")) {
            (None, None) => None,
            (spot, on_demand) => {
                Some(Side { spot, on_demand, definition: Some(needs("GpuDefinition")?), ..Side::default() })
            }
        },
        ..Settings::default()
    };
    let trainer = find("TrainerDefinition")
        .filter(|_| settings.gpu.is_some())
        .map(|definition| Side { definition: Some(definition), ..Side::default() });
    let settings = Settings { trainer, ..settings };
    settings.check()?;
    let profile = Profile { root: Some(needs("Root")?), queue, ledger, batch: Some(settings) };
    Ok((stack.stack_name.clone(), Taken { profile, notes }))
}

/// A stack that is there as a whole; all else with what to do.
fn usable(stack: &Stack, notes: &mut Vec<String>) -> anyhow::Result<()> {
    let Stack { stack_name: name, stack_status: status, .. } = stack;
    let why = stack.stack_status_reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let events =
        format!("aws cloudformation describe-stack-events --stack-name {name} tells the first that failed");
    match status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" | "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => {
        }
        "UPDATE_ROLLBACK_COMPLETE"
        | "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
        | "IMPORT_ROLLBACK_COMPLETE" => {
            notes.push(format!("the last change of the stack {name} was taken back{why}; what was before it is used. {events}"));
        }
        "ROLLBACK_COMPLETE" | "CREATE_FAILED" | "ROLLBACK_FAILED" => bail!(
            "the stack {name} was never made: it is {status}{why}. {events}; delete the stack, mend the cause, and create it \
             again (a bucket with content stays, and has to be emptied or named in the next one)"
        ),
        "UPDATE_ROLLBACK_FAILED" | "UPDATE_FAILED" | "IMPORT_ROLLBACK_FAILED" => bail!(
            "the stack {name} stands half-way between two states: it is {status}{why}. {events}; mend the cause, then: aws \
             cloudformation continue-update-rollback --stack-name {name}"
        ),
        status if status.starts_with("DELETE") => {
            bail!("the stack {name} is being deleted: it is {status}{why}")
        }
        status if status.ends_with("_IN_PROGRESS") => bail!(
            "the stack {name} is not ready: it is {status}. Wait: aws cloudformation wait stack-create-complete \
             --stack-name {name}"
        ),
        status => bail!("the stack {name} is {status}{why}, which is not known here"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(status: &str, outputs: &[(&str, &str)]) -> String {
        let outputs: Vec<_> = outputs
            .iter()
            .map(|(key, value)| serde_json::json!({ "OutputKey": key, "OutputValue": value, "Description": "" }))
            .collect();
        serde_json::json!({ "Stacks": [{
            "StackId": "arn:aws:cloudformation:eu-central-1:1:stack/maps/0", "StackName": "maps",
            "CreationTime": "2026-11-28T08:20:00Z", "StackStatus": status, "StackStatusReason": "a reason", "Outputs": outputs,
        }] })
        .to_string()
    }

    const OUTPUTS: [(&str, &str); 11] = [
        ("Root", "s3://maps-1/maps"),
        ("Region", "eu-central-1"),
        ("Name", "maps"),
        ("Queue", "sqs://eu-central-1/maps"),
        ("Ledger", "redis://10.0.0.7:6379/0"),
        ("CpuSpotQueue", "maps-cpu-spot"),
        ("GpuSpotQueue", "maps-gpu-spot"),
        ("GpuOnDemandQueue", "maps-gpu-on-demand"),
        ("CpuDefinition", "maps-worker-cpu"),
        ("GpuDefinition", "maps-worker-gpu"),
        ("TrainerDefinition", "maps-trainer"),
    ];

    #[test]
    fn the_outputs_of_a_stack_become_a_profile() {
        let (name, taken) = read(&json("CREATE_COMPLETE", &OUTPUTS)).unwrap();
        assert_eq!(name, "maps");
        assert_eq!(taken.profile.root.as_deref(), Some("s3://maps-1/maps"));
        let batch = taken.profile.batch.clone().unwrap();
        assert_eq!(batch.gpu.as_ref().unwrap().on_demand.as_deref(), Some("maps-gpu-on-demand"));
        assert_eq!(batch.trainer.unwrap().definition.as_deref(), Some("maps-trainer"));
        let text = taken.text("the stack maps").unwrap();
        assert_eq!(Settings::of_profile("p", &text).unwrap(), taken.profile.batch);
    }

    #[test]
    fn a_url_with_a_password_stays_in_its_secret() {
        let mut outputs: Vec<_> = OUTPUTS.into_iter().filter(|(key, _)| *key != "Ledger").collect();
        outputs.push(("LedgerSecret", "arn:aws:secretsmanager:eu-central-1:1:secret:ledger"));
        let (_, taken) = read(&json("UPDATE_COMPLETE", &outputs)).unwrap();
        assert_eq!(taken.profile.ledger, None);
        assert!(taken.notes.iter().any(|note| note.contains("SWATH_LEDGER_FILE")), "{:?}", taken.notes);
    }

    #[test]
    fn a_stack_that_is_not_whole_says_what_to_do() {
        for (status, word) in [
            ("ROLLBACK_COMPLETE", "delete the stack"),
            ("ROLLBACK_FAILED", "delete the stack"),
            ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
            ("CREATE_IN_PROGRESS", "Wait"),
            ("ROLLBACK_IN_PROGRESS", "not ready"),
            ("DELETE_FAILED", "being deleted"),
        ] {
            let words = format!("{:#}", read(&json(status, &[])).expect_err(status));
            assert!(words.contains(word) && words.contains(status), "{words}");
        }
        let (_, taken) = read(&json("UPDATE_ROLLBACK_COMPLETE", &OUTPUTS)).unwrap();
        assert!(taken.notes[0].contains("taken back (a reason)"), "{:?}", taken.notes);
    }

    #[test]
    fn what_is_no_stack_of_ours_is_said() {
        for (text, word) in [
            ("{}".to_owned(), "describe-stacks"),
            ("{\"Stacks\": []}".to_owned(), "no stack"),
            (json("CREATE_COMPLETE", &OUTPUTS[..3]), "no output CpuSpotQueue"),
        ] {
            let words = format!("{:#}", read(&text).expect_err(&text));
            assert!(words.contains(word), "{words}");
        }
    }
}
