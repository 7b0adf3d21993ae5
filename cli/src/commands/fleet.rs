//! `swath fleet`: how the workers stand that a coordinator starts by itself, and what is asked of it: a wish under the
//! root, for whichever coordinator has the fleet.

use std::time::Duration;

use anyhow::Context as _;
use swath_backends::{Kind, blobs::SharedBlobs, open::look_at_blobs};
use swath_coordinator::fleet::commands::{self, Command};
use swath_proto::{
    fleet::{Crew, FleetStatus, WorkerKind},
    ids::WorkerId,
    keys,
};

#[cfg(feature = "servers")]
use super::gang;
use crate::{
    args::{DoorArgs, FleetCommand, Number},
    exit::{Exit, Usage},
    served::{Office, Served},
    table,
};

/// It is written every few seconds. One that is silent for so long, and does not say that it is there, may be gone.
const SILENT: Duration = Duration::from_secs(15);
/// One that does say it is told of after this.
const LONG: Duration = Duration::from_secs(60);

/// Workers that an error names.
const NAMED: usize = 8;

/// For programs: as it is written, and whether a coordinator has it (null: the ledger can't be asked, or the
/// coordinator may be gone).
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    status: &'a FleetStatus,
    served: Option<bool>,
}

pub(super) async fn run(what: FleetCommand, doors: DoorArgs) -> anyhow::Result<Exit> {
    #[cfg(feature = "servers")]
    if let FleetCommand::Gang(what) = what {
        return gang::run(what, doors).await;
    }
    let root = look_at_blobs(&doors.root).await?;
    let office = Office::open(&doors).await;
    let served = office.of_fleet(&root.uri("")).await;
    let command = match what {
        FleetCommand::Status { json } => {
            let status = read(&root).await?;
            let is_gone = match &status {
                Some(status) => may_be_gone(status, served, &office, &root).await,
                None => false,
            };
            show(status.as_ref(), served, is_gone, json)?;
            return Ok(Exit::Done);
        }
        FleetCommand::Scale { workers: Number(workers), kind } => Command::Scale { kind, workers },
        FleetCommand::Drain { workers, all } => {
            if let Some(there) = office.announced(&root.uri("")).await {
                are_there(&workers, &there.into_iter().map(|one| one.name).collect::<Vec<_>>())?;
            }
            Command::Drain { workers: (!all).then_some(workers) }
        }
        FleetCommand::Stop => Command::Stop,
        #[cfg(feature = "servers")]
        FleetCommand::Gang(_) => unreachable!("it is obeyed above"),
    };
    commands::give(&root, &command).await?;
    // What can't be read is no reason not to ask.
    if let Ok(Some(status)) = read(&root).await
        && served == Served::Yes
        && may_be_gone(&status, served, &office, &root).await
    {
        let (coordinator, since) = (&status.coordinator, table::duration(silence(&status).as_secs_f64()));
        say!(
            "noted, but there is no word from {coordinator} for {since}: it is taken as soon as a coordinator has the fleet. \
             See: swath fleet status"
        );
        return Ok(Exit::Done);
    }
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

/// A name that was mistyped is waited for in vain.
fn are_there(asked: &[WorkerId], there: &[WorkerId]) -> Result<(), Usage> {
    let Some(unknown) = asked.iter().find(|worker| !there.contains(worker)) else { return Ok(()) };
    let mut names = there.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match there.len() {
        0 => names.push_str("none is there now"),
        n if n > NAMED => names.push_str(", ..."),
        _ => {}
    }
    Err(Usage(format!("there is no worker {unknown} ({names}); see: swath fleet status")))
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

fn silence(status: &FleetStatus) -> Duration {
    let written = status.written.parse::<jiff::Timestamp>().ok();
    let silent = written.and_then(|written| jiff::Timestamp::now().duration_since(written).try_into().ok());
    silent.unwrap_or_default()
}

/// Its office runs out a minute after a coordinator has died.
async fn may_be_gone(status: &FleetStatus, served: Served, office: &Office, root: &SharedBlobs) -> bool {
    if served == Served::No || silence(status) <= SILENT {
        return false;
    }
    let there = office.coordinators(&root.uri("")).await;
    !there.is_some_and(|there| there.contains(&status.coordinator))
}

fn show(status: Option<&FleetStatus>, served: Served, is_gone: bool, json: bool) -> anyhow::Result<()> {
    let Some(status) = status else {
        match json {
            true => say!("{}", serde_json::json!({ "served": served.known() })),
            false => say!("no fleet yet; begin one with: swath coordinator --fleet local"),
        }
        return Ok(());
    };
    if json {
        let served = served.known().filter(|_| !is_gone);
        say!("{}", serde_json::to_string(&Told { status, served })?);
        return Ok(());
    }
    say!("{}", standing(status, served, is_gone));
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
fn standing(status: &FleetStatus, served: Served, is_gone: bool) -> String {
    let FleetStatus { provider, coordinator, .. } = status;
    let silent = silence(status);
    let since = table::duration(silent.as_secs_f64());
    match served {
        Served::No => format!("{provider}: no coordinator has it now; as it was {since} ago"),
        _ if is_gone => format!("{provider}: no word from {coordinator} for {since}: it may be gone"),
        _ if silent > LONG => format!("{provider}: no word from {coordinator} for {since}"),
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
    use swath_backends::open::{Urls, open};
    use swath_coordinator::{
        run::{LEASE, Me},
        serve::serve,
    };
    use tokio_util::sync::CancellationToken;

    fn status() -> FleetStatus {
        FleetStatus::from_json(include_bytes!("../../../proto/samples/fleet-v1.json")).unwrap()
    }

    #[test]
    fn a_fleet_that_nobody_has_is_told_from_one_that_works() {
        let mut status = status();
        assert!(
            standing(&status, Served::No, false).starts_with("local: no coordinator has it now; as it was ")
        );
        status.written = "2020-01-01T00:00:00Z".into();
        assert!(
            standing(&status, Served::Yes, false).contains("no word from coordinator-host-1-00000a for ")
        );
        assert!(standing(&status, Served::Yes, true).ends_with(": it may be gone"));
        status.written = jiff::Timestamp::now().to_string();
        assert_eq!(standing(&status, Served::Yes, false), "local, by coordinator-host-1-00000a");
    }

    #[tokio::test]
    async fn whoever_was_killed_is_missed_after_seconds_and_whoever_is_slow_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let urls = Urls { root, queue: "local:".into(), ledger: "local:".into() };
        let doors = open(&urls).await.unwrap();
        let mut status = status();
        let office = Office::Ledger(doors.ledger.clone());
        let is_gone = async |status: &FleetStatus, served, office: &Office| {
            may_be_gone(status, served, office, &doors.blobs).await
        };
        status.written = "2020-01-01T00:00:00Z".into();
        assert!(is_gone(&status, Served::Yes, &office).await);
        assert!(is_gone(&status, Served::Unknown, &Office::Closed).await);
        assert!(!is_gone(&status, Served::No, &office).await, "that is said in other words");
        let me = Me { name: status.coordinator.clone(), lease: LEASE, prices: None };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(doors.clone(), me, stop.clone()));
        while is_gone(&status, Served::Yes, &office).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        serving.await.unwrap().unwrap();
        status.written = jiff::Timestamp::now().to_string();
        assert!(!is_gone(&status, Served::Yes, &office).await);
    }

    #[test]
    fn who_is_not_there_can_t_be_told_to_leave() {
        let name = |name: &str| name.parse::<WorkerId>().unwrap();
        let there = [name("worker-a"), name("worker-b")];
        assert!(are_there(&there[..1], &there).is_ok() && are_there(&[], &[]).is_ok());
        let told = are_there(&[name("worker-a"), name("worker-nobody")], &there).unwrap_err().to_string();
        assert_eq!(told, "there is no worker worker-nobody (worker-a, worker-b); see: swath fleet status");
        assert!(are_there(&there, &[]).unwrap_err().to_string().contains("(none is there now)"));
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
