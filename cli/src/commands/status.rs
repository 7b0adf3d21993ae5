//! `swath status`: how runs stand, read from the root alone.

use std::time::Duration;

use swath_backends::{blobs::SharedBlobs, open::open_blobs};
use swath_coordinator::run::{list, read_status};
use swath_proto::{
    ids::RunId,
    keys,
    status::{RunState, RunStatus},
};

use crate::{
    args::{DoorArgs, StatusArgs},
    exit::{Exit, Usage},
    table,
};

pub(super) async fn run(args: StatusArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let root = open_blobs(&doors.root).await?;
    let Some(run) = &args.run else { return all(&root, &args).await };
    loop {
        let Some(status) = read_status(&root, run).await? else {
            if root.head(&keys::run_record(run)).await?.is_none() {
                return Err(Usage(format!("there is no run '{run}' under {}", doors.root)).into());
            }
            eprintln!("{run} is submitted; no coordinator has taken it up yet");
            if !args.watch {
                return Ok(Exit::Done);
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            continue;
        };
        if args.json {
            println!("{}", serde_json::to_string(&status)?);
        } else {
            show(&status);
        }
        if !args.watch || status.state.is_final() {
            return Ok(exit(&status));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The exit code that a run's end deserves; a run that goes on is fine.
pub(crate) fn exit(status: &RunStatus) -> Exit {
    match status.state {
        RunState::Failed | RunState::Cancelled => Exit::Failed,
        RunState::DoneWithFailures => Exit::DoneWithFailures,
        RunState::Done | RunState::Preparing | RunState::Running | RunState::Paused => Exit::Done,
    }
}

async fn all(root: &SharedBlobs, args: &StatusArgs) -> anyhow::Result<Exit> {
    let mut rows = vec![["RUN", "STATE", "DONE", "FAILED", "STARTED"].map(String::from).to_vec()];
    for run in list(root).await? {
        let status = read_status(root, &run).await?;
        if args.json {
            println!("{}", serde_json::json!({ "run": run, "status": status }));
            continue;
        }
        rows.push(row(&run, status.as_ref()));
    }
    if !args.json && rows.len() == 1 {
        println!("no runs yet; begin one with: swath run FILE");
    } else if !args.json {
        table::print(&rows);
    }
    Ok(Exit::Done)
}

fn row(run: &RunId, status: Option<&RunStatus>) -> Vec<String> {
    let Some(status) = status else {
        return vec![run.to_string(), "submitted".into()];
    };
    let (done, items) =
        status.stages.values().fold((0, 0), |(done, items), stage| (done + stage.done, items + stage.items));
    vec![
        run.to_string(),
        state(status.state).into(),
        format!("{done}/{items}"),
        status.n_failures.to_string(),
        status.started.clone(),
    ]
}

pub(crate) const fn state(state: RunState) -> &'static str {
    match state {
        RunState::Preparing => "preparing",
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::Done => "done",
        RunState::DoneWithFailures => "done, with failures",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
    }
}

fn show(status: &RunStatus) {
    println!("{}  {}", status.run, state(status.state));
    if let Some(message) = &status.message {
        println!("{message}");
    }
    let mut rows = vec![["STAGE", "DONE", "ITEMS", "BURIED"].map(String::from).to_vec()];
    for (stage, count) in &status.stages {
        let counts = [count.done, count.items, count.buried].map(|n| n.to_string());
        rows.push([vec![stage.clone()], counts.to_vec()].concat());
    }
    table::print(&rows);
    let speed = status.items_per_second;
    let eta = status.eta_seconds.map_or_else(String::new, |eta| format!(", {} left", table::duration(eta)));
    if !status.state.is_final() {
        println!(
            "{:.0} of {:.0} Mpx, {speed:.2} items/s{eta}",
            status.pixels_done as f64 / 1e6,
            status.pixels as f64 / 1e6
        );
    }
    failures(status);
}

/// What failed and why, and how to go on.
pub(crate) fn failures(status: &RunStatus) {
    for scene in &status.unreadable_scenes {
        println!("unreadable scene {scene}");
    }
    for failed in &status.failures {
        let scene =
            failed.failure.scene.as_ref().map_or_else(String::new, |scene| format!(" of scene {scene}"));
        let rect = failed.failure.rect.map_or_else(String::new, |rect| format!(" ({rect})"));
        println!(
            "buried {}{scene}{rect} after {} attempts: {}",
            failed.place, failed.attempts, failed.failure.message
        );
    }
    if status.n_failures > 0 {
        println!(
            "{} items were set aside; list them with: swath items {}; try again with: swath items {} replay --all",
            status.n_failures, status.run, status.run
        );
    }
}
