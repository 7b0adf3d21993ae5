//! `swath status`: how runs stand. Makes nothing.

use std::{io::IsTerminal as _, time::Duration};

use swath_backends::{
    Kind,
    blobs::SharedBlobs,
    open::{is_missing, look_at_blobs},
};
use swath_coordinator::records::{is_unreadable, list, read_record, read_status};
use swath_proto::{
    ids::RunId,
    item::Stage,
    keys,
    status::{Rank, RunState, RunStatus, StageCount},
    worker::{Worker, WorkerState},
};

use super::{cost, report};
use crate::{
    args::{DoorArgs, StatusArgs},
    exit::{Exit, Usage},
    line,
    served::{Office, Served, standing},
    table,
};

const AGAIN: Duration = Duration::from_secs(2);
/// Clears a terminal and goes to its upper left corner.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";

/// For programs: as it is written, and whether a coordinator serves it (null: the ledger can't be asked).
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    status: &'a RunStatus,
    served: Option<bool>,
}

pub(super) async fn run(args: StatusArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let root = look_at_blobs(&doors.root).await?;
    let office = Office::open(&doors).await;
    let is_redrawn = args.watch && !args.json && std::io::stdout().is_terminal();
    let Some(run) = &args.run else {
        loop {
            match all((&root, doors.root.as_str()), &office, &args, is_redrawn).await {
                Err(error) if args.watch && is_away(&error) => note!("{error:#}; trying again"),
                told => told?,
            }
            if !args.watch {
                return Ok(Exit::Done);
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    loop {
        let served = office.of(run).await;
        let workers = office.workers(&root.uri("")).await;
        let status = match read_status(&root, run).await {
            Err(error) if args.watch && is_away(&error) => {
                note!("{error:#}; trying again");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            status => status?,
        };
        // When all is known: nobody is to look at an empty terminal.
        if is_redrawn {
            crate::say::bytes(CLEAR);
        }
        let Some(status) = status else {
            if root.head(&keys::run_record(run)).await?.is_none() {
                return Err(Usage(format!(
                    "there is no run '{run}' under {}; see: swath status",
                    doors.root
                ))
                .into());
            }
            match args.json {
                true => say!("{}", serde_json::json!({ "run": run, "served": served.known() })),
                false => say!("{run}  {}", submitted(served)),
            }
            if !args.watch {
                return Ok(Exit::Done);
            }
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        match args.json {
            true => say!("{}", serde_json::to_string(&Told { status: &status, served: served.known() })?),
            false => show(&status, served, workers.as_deref(), (&doors, args.watch))?,
        }
        if !args.watch || status.state.is_final() {
            if let Some(record) = read_record(&root, run).await?.filter(|_| is_to_be_told(&args, &status)) {
                report::results(&record, &status, &root).await?;
            }
            return Ok(exit(&status));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Where a run that is over has left what it has made.
const fn is_to_be_told(args: &StatusArgs, status: &RunStatus) -> bool {
    !args.json && status.state.is_final()
}

/// The exit code that a run's end deserves; a run that goes on is fine.
pub(crate) fn exit(status: &RunStatus) -> Exit {
    match status.state {
        RunState::Failed | RunState::Cancelled => Exit::Failed,
        RunState::DoneWithFailures => Exit::DoneWithFailures,
        RunState::Done | RunState::Preparing | RunState::Running | RunState::Paused => Exit::Done,
    }
}

/// A server that may be back in a moment.
fn is_away(error: &anyhow::Error) -> bool {
    let kind = error.chain().find_map(|cause| Some(cause.downcast_ref::<swath_backends::Error>()?.kind));
    kind == Some(Kind::Transient)
}

async fn all(
    (root, at): (&SharedBlobs, &str),
    office: &Office,
    args: &StatusArgs,
    is_redrawn: bool,
) -> anyhow::Result<()> {
    let headings = ["RUN", "STATE", "DONE", "FAILED", "PRIORITY", "STARTED (UTC)"];
    let mut rows = vec![headings.map(String::from).to_vec()];
    for run in list(root).await? {
        let status = match read_status(root, &run).await {
            // Other runs are not concerned.
            Err(error) if is_unreadable(&error) => {
                note!("{run}: {error:#}");
                continue;
            }
            status => status?,
        };
        let served = office.of(&run).await;
        if args.json {
            let (status, served) = (serde_json::to_string(&status)?, serde_json::to_string(&served.known())?);
            say!(r#"{{"run":"{run}","status":{status},"served":{served}}}"#);
            continue;
        }
        rows.push(row(&run, status.as_ref(), served));
    }
    if is_redrawn {
        crate::say::bytes(CLEAR);
    }
    if !args.json && rows.len() == 1 {
        let why = if is_missing(at) { " (there is no such folder)" } else { "" };
        say!("no runs under {at} yet{why}; begin one with: swath run FILE");
    } else if !args.json {
        table::print(&rows);
    }
    Ok(())
}

const fn submitted(served: Served) -> &'static str {
    match served {
        Served::No => "waiting for a coordinator",
        Served::Yes | Served::Unknown => "submitted",
    }
}

fn row(run: &RunId, status: Option<&RunStatus>, served: Served) -> Vec<String> {
    let Some(status) = status else {
        return vec![run.to_string(), submitted(served).into()];
    };
    vec![
        run.to_string(),
        standing(status, served),
        done(status),
        (status.n_failures + status.unreadable_scenes.len() as u64).to_string(),
        rank(status.rank),
        to_the_minute(&status.started),
    ]
}

/// Items, once those of all stages to come are known; else how many stages it has come to.
fn done(status: &RunStatus) -> String {
    let stages: Vec<(Stage, &StageCount)> =
        status.in_order().filter(|(stage, _)| *stage != Stage::Probe).collect();
    let is_at_work = |(stage, count): &(Stage, &StageCount)| match status.at_work {
        Some(at_work) => *stage == at_work,
        None => count.done + count.buried < count.items,
    };
    let at = stages.iter().position(is_at_work).unwrap_or(0);
    let is_known = stages[at..].iter().all(|(_, count)| count.items > 0);
    if !status.state.is_final() && !is_known {
        return format!("stage {} of {}", at + 1, stages.len());
    }
    let (done, items) =
        status.stages.values().fold((0, 0), |(done, items), stage| (done + stage.done, items + stage.items));
    format!("{done}/{items}")
}

/// `2026-11-28 11:50`, of a time in UTC with all its digits.
fn to_the_minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// `5`, or `5 (share 2)`.
pub(super) fn rank(rank: Rank) -> String {
    let Rank { priority, share } = rank;
    if share == 1 { priority.to_string() } else { format!("{priority} (share {share})") }
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

fn show(
    status: &RunStatus,
    served: Served,
    workers: Option<&[Worker]>,
    (doors, is_watched): (&DoorArgs, bool),
) -> anyhow::Result<()> {
    say!("{}  {}", status.run, standing(status, served));
    if let Some(message) = &status.message {
        say!("{message}");
    }
    if status.rank != Rank::default() {
        say!("priority {}", rank(status.rank));
    }
    table::print(&stages(status));
    match (status.state.is_final(), served) {
        (true, _) => {}
        (false, Served::No) => {
            say!(
                "no coordinator serves it: swath coordinator goes on with it, or swath run with the same file"
            );
        }
        (false, _) => say!("{}", line::at_work(status)),
    }
    if let Some(workers) = workers.filter(|_| !status.state.is_final()) {
        say!("workers     {}", crew(workers));
    }
    phases(status).iter().for_each(|line| say!("{line}"));
    cost::tell_spent(status, doors)?;
    match is_watched && !status.state.is_final() {
        true => report::failures_in_short(status),
        false => report::failures(status),
    }
    Ok(())
}

/// `3: 2 at work, 1 idle; 5 items in hand`
fn crew(workers: &[Worker]) -> String {
    if workers.is_empty() {
        return "none; each is started with: swath worker".into();
    }
    let (leaving, there): (Vec<&Worker>, Vec<&Worker>) =
        workers.iter().partition(|worker| worker.state == WorkerState::Leaving);
    let (idle, busy): (Vec<&Worker>, Vec<&Worker>) =
        there.into_iter().partition(|worker| worker.in_hand == 0);
    let told = [(busy.len(), "at work"), (idle.len(), "idle"), (leaving.len(), "leaving")];
    let told: Vec<String> =
        told.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}")).collect();
    let in_hand = workers.iter().map(|worker| u64::from(worker.in_hand)).sum();
    format!("{}: {}; {} in hand", workers.len(), told.join(", "), table::count(in_hand, "item"))
}

/// What workers are busy with where they predict, and what of it holds the others back.
fn phases(status: &RunStatus) -> Vec<String> {
    let Some(shares) = status.phases.and_then(|phases| phases.shares()) else { return Vec::new() };
    let shares = shares.map(|(phase, share)| format!("{} {:.0} %", phase.name(), share * 100.0)).join(", ");
    let held = status.bottleneck.as_ref();
    let held = held.map(|told| format!("predicting is held back by {}; {}", told.phase, told.advice));
    [format!("busy with   {shares}")].into_iter().chain(held).collect()
}

/// In the order of work.
fn stages(status: &RunStatus) -> Vec<Vec<String>> {
    let mut rows = vec![["STAGE", "DONE", "ITEMS", "FAILED", "TIME"].map(String::from).to_vec()];
    for (stage, count) in status.in_order() {
        let known = |n: u64| if count.items == 0 { "-".into() } else { n.to_string() };
        let done = match (stage, &status.training) {
            // One item that may take days: its epochs tell more.
            (Stage::Train, Some(training)) if count.done == 0 => {
                format!("epoch {}/{}", training.epoch, training.epochs)
            }
            _ => known(count.done),
        };
        // Of small scenes, some may fail where no item stands.
        let failed = if count.buried > 0 { count.buried.to_string() } else { known(0) };
        let time = if count.seconds > 0.0 { table::duration(count.seconds) } else { "-".into() };
        rows.push(vec![stage.to_string(), done, known(count.items), failed, time]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_told_by_what_they_do() {
        let worker = |state: &str, in_hand: u32| -> Worker {
            let json = serde_json::json!({
                "started": "", "program": "", "host": "h", "pid": 1, "lanes": ["cpu"], "slots": 3, "state": state,
                "in_hand": in_hand, "done": 0, "failed": 0, "busy_s": 0.0,
            });
            serde_json::from_value(json).unwrap()
        };
        let workers =
            [worker("working", 3), worker("working", 0), worker("leaving", 1), worker("working", 1)];
        assert_eq!(crew(&workers), "4: 2 at work, 1 idle, 1 leaving; 5 items in hand");
        assert_eq!(crew(&workers[3..]), "1: 1 at work; 1 item in hand");
        assert!(crew(&[]).contains("swath worker"));
    }

    #[test]
    fn what_workers_are_busy_with_is_told_once_it_is_known() {
        let mut json = serde_json::json!({
            "run": "a-1", "state": "running", "written": "", "started": "", "stages": {}, "pixels_done": 0,
            "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [], "n_failures": 0,
            "unreadable_scenes": [], "message": null,
        });
        let told = |json: &serde_json::Value| phases(&serde_json::from_value(json.clone()).unwrap());
        assert!(told(&json).is_empty());
        json["phases"] =
            serde_json::json!({ "fetch": 1.0, "decode": 1.0, "device": 6.0, "encode": 1.0, "put": 1.0 });
        json["bottleneck"] = serde_json::json!({ "phase": "device", "share": 0.6, "advice": "more workers" });
        let lines = told(&json);
        assert_eq!(lines[0], "busy with   fetch 10 %, decode 10 %, device 60 %, encode 10 %, put 10 %");
        assert_eq!(lines[1..], ["predicting is held back by device; more workers"]);
    }

    #[test]
    fn the_list_counts_stages_until_the_items_of_all_of_them_are_known_and_scenes_among_what_failed() {
        let stages = serde_json::json!({
            "probe": { "items": 0, "done": 0, "buried": 0 }, "chip": { "items": 8, "done": 8, "buried": 0 },
            "train": { "items": 1, "done": 0, "buried": 0 }, "predict": { "items": 0, "done": 0, "buried": 0 },
        });
        let mut json = serde_json::json!({
            "run": "a-1", "state": "running", "written": "", "started": "", "stages": stages, "pixels_done": 0,
            "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [], "n_failures": 2,
            "unreadable_scenes": ["west: not a TIFF"], "message": null,
        });
        let told = |json: &serde_json::Value| {
            let status: RunStatus = serde_json::from_value(json.clone()).unwrap();
            let cells = row(&status.run, Some(&status), Served::Yes);
            (cells[2].clone(), cells[3].clone())
        };
        assert_eq!(told(&json), ("stage 2 of 3".into(), "3".into()));
        json["at_work"] = "predict".into();
        assert_eq!(told(&json).0, "stage 3 of 3");
        json["stages"]["predict"]["items"] = 4.into();
        assert_eq!(told(&json).0, "8/13");
        json["stages"]["predict"]["items"] = 0.into();
        json["state"] = "cancelled".into();
        assert_eq!(told(&json).0, "8/9");
    }

    #[test]
    fn stages_stand_in_the_order_of_work() {
        let count = serde_json::json!({ "items": 1, "done": 1, "buried": 0 });
        let names =
            ["assemble", "bundle", "chip", "eval", "merge", "predict", "survey", "train", "vectorize"];
        let stages: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), count.clone())).collect();
        let json = serde_json::json!({
            "run": "a-1", "state": "running", "written": "", "started": "", "stages": stages, "pixels_done": 0,
            "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [], "n_failures": 0,
            "unreadable_scenes": [], "message": null,
        });
        let status: RunStatus = serde_json::from_value(json).unwrap();
        let shown: Vec<String> = super::stages(&status)[1..].iter().map(|row| row[0].clone()).collect();
        let order =
            ["survey", "chip", "train", "predict", "assemble", "eval", "vectorize", "merge", "bundle"];
        assert_eq!(shown, order);
        let json = serde_json::to_string(&Told { status: &status, served: None }).unwrap();
        let at: Vec<_> = order.iter().map(|name| json.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(at.is_sorted(), "{json}");
    }
}
