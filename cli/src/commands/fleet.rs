//! `swath fleet`: how the workers stand that a coordinator starts by itself, and what is asked of it: a wish under the
//! root, for whichever coordinator has the fleet.

use std::time::Duration;

use anyhow::Context as _;
use swath_backends::{Kind, blobs::SharedBlobs, open::look_at_blobs};
use swath_coordinator::fleet::commands::{self, Command};
use swath_proto::{
    fleet::{Crew, FleetStatus, WorkerKind},
    keys,
};

use crate::{
    args::{DoorArgs, FleetCommand, Number},
    exit::Exit,
    served::{Office, Served},
    table,
};

/// It is written every few seconds.
const SILENT: Duration = Duration::from_secs(60);

/// For programs: as it is written, and whether a coordinator has it (null: the ledger can't be asked).
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    status: &'a FleetStatus,
    served: Option<bool>,
}

pub(super) async fn run(what: FleetCommand, doors: DoorArgs) -> anyhow::Result<Exit> {
    let root = look_at_blobs(&doors.root).await?;
    let served = Office::open(&doors).await.of_fleet(&root.uri("")).await;
    let command = match what {
        FleetCommand::Status { json } => {
            show(read(&root).await?.as_ref(), served, json)?;
            return Ok(Exit::Done);
        }
        FleetCommand::Scale { workers: Number(workers), kind } => Command::Scale { kind, workers },
        FleetCommand::Drain { workers, all } => Command::Drain { workers: (!all).then_some(workers) },
        FleetCommand::Stop => Command::Stop,
    };
    commands::give(&root, &command).await?;
    match served {
        Served::Yes => say!("asked; the coordinator takes it within seconds. See: swath fleet status"),
        Served::No => say!(
            "noted, but no coordinator has a fleet now: it is taken as soon as one does (swath coordinator --fleet local)"
        ),
        Served::Unknown => say!(
            "asked; it is taken within seconds if a coordinator has a fleet, which can't be seen from here: --ledger \
             can't be asked. See: swath fleet status"
        ),
    }
    Ok(Exit::Done)
}

async fn read(root: &SharedBlobs) -> anyhow::Result<Option<FleetStatus>> {
    let json = match root.get(keys::FLEET).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        json => json?,
    };
    let reading =
        || format!("reading {}: was it written by a newer program? Then update this one", keys::FLEET);
    Ok(Some(FleetStatus::from_json(&json).with_context(reading)?))
}

fn show(status: Option<&FleetStatus>, served: Served, json: bool) -> anyhow::Result<()> {
    let Some(status) = status else {
        match json {
            true => say!("{}", serde_json::json!({ "served": served.known() })),
            false => say!("no fleet yet; begin one with: swath coordinator --fleet local"),
        }
        return Ok(());
    };
    if json {
        say!("{}", serde_json::to_string(&Told { status, served: served.known() })?);
        return Ok(());
    }
    say!("{}", standing(status, served));
    table::print(&rows(status));
    for kind in WorkerKind::ALL {
        let crew = status.crews.of(kind);
        if is_shown(crew) {
            say!("{kind}: {}", crew.why);
        }
        if let Some(trouble) = &crew.trouble {
            say!("{kind}: {trouble}");
        }
    }
    say!("{}", money(status));
    status.messages.iter().for_each(|message| say!("{message}"));
    Ok(())
}

/// Who has it. What is written down holds only while somebody does.
fn standing(status: &FleetStatus, served: Served) -> String {
    let FleetStatus { provider, coordinator, written, .. } = status;
    let silent = written.parse::<jiff::Timestamp>().ok();
    let silent = silent.and_then(|written| jiff::Timestamp::now().duration_since(written).try_into().ok());
    let silent: Duration = silent.unwrap_or_default();
    let since = table::duration(silent.as_secs_f64());
    match served {
        Served::No => format!("{provider}: no coordinator has it now; as it was {since} ago"),
        _ if silent > SILENT => format!("{provider}: no word from {coordinator} for {since}"),
        Served::Yes | Served::Unknown => format!("{provider}, by {coordinator}"),
    }
}

fn is_shown(crew: &Crew) -> bool {
    crew.max > 0 || crew.working + crew.idle + crew.leaving + crew.others > 0
}

fn rows(status: &FleetStatus) -> Vec<Vec<String>> {
    let headings = [
        "KIND",
        "TARGET",
        "WORKING",
        "IDLE",
        "LAUNCHING",
        "LEAVING",
        "OTHERS",
        "ALLOWED",
        "BACKLOG",
        "LAUNCH",
    ];
    let mut rows = vec![headings.map(String::from).to_vec()];
    for kind in WorkerKind::ALL {
        let crew = status.crews.of(kind);
        if !is_shown(crew) {
            continue;
        }
        let launching = match crew.queued {
            0 => crew.launching.to_string(),
            queued => format!("{} ({queued} without a machine)", crew.launching),
        };
        rows.push(vec![
            kind.to_string(),
            crew.target.to_string(),
            crew.working.to_string(),
            crew.idle.to_string(),
            launching,
            crew.leaving.to_string(),
            crew.others.to_string(),
            format!("{}-{}", crew.min, crew.max),
            backlog(crew),
            crew.launch_s.map_or_else(|| "-".into(), table::duration),
        ]);
    }
    rows
}

fn backlog(crew: &Crew) -> String {
    let takes = table::duration(crew.backlog_s);
    if crew.is_guess { format!("{takes} (not measured yet)") } else { takes }
}

/// What was spent, and may be.
fn money(status: &FleetStatus) -> String {
    let (spent, budget) = (status.spent, status.budget);
    let of = |limit: Option<f64>| limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    let hours = format!("spent: {:.2}{} hours of workers", spent.hours, of(budget.hours));
    match spent.money > 0.0 || budget.money.is_some() {
        true => format!("{hours}, {:.2}{} in money", spent.money, of(budget.money)),
        false => hours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> FleetStatus {
        FleetStatus::from_json(include_bytes!("../../../proto/samples/fleet-v1.json")).unwrap()
    }

    #[test]
    fn a_fleet_that_nobody_has_is_told_from_one_that_works() {
        let mut status = status();
        assert!(standing(&status, Served::No).starts_with("local: no coordinator has it now; as it was "));
        status.written = "2020-01-01T00:00:00Z".into();
        assert!(standing(&status, Served::Yes).contains("no word from coordinator-host-1-00000a for "));
        status.written = jiff::Timestamp::now().to_string();
        assert_eq!(standing(&status, Served::Yes), "local, by coordinator-host-1-00000a");
    }

    #[test]
    fn kinds_that_are_not_wanted_are_not_shown() {
        let mut status = status();
        assert_eq!(rows(&status).len(), 3);
        status.crews.gpu.max = 0;
        let rows = rows(&status);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1][4], "2 (1 without a machine)");
        assert_eq!(rows[1][7], "0-8");
        let measured = rows[1][8].clone();
        status.crews.cpu.is_guess = true;
        assert_eq!(super::rows(&status)[1][8], format!("{measured} (not measured yet)"));
    }

    #[test]
    fn money_is_told_where_there_is_any() {
        let mut status = status();
        status.spent.money = 0.5;
        assert_eq!(money(&status), "spent: 3.25 of 40 hours of workers, 0.50 in money");
        status.spent.money = 0.0;
        assert_eq!(money(&status), "spent: 3.25 of 40 hours of workers");
        status.budget.money = Some(7.5);
        assert_eq!(money(&status), "spent: 3.25 of 40 hours of workers, 0.00 of 7.5 in money");
    }
}
