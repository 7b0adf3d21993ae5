//! What people ask of a run. It goes the way of `swath pause` and its like: a small object under the root, for
//! whichever coordinator serves the run.

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use swath_proto::{ids::RunId, item::Place, keys, status::RunState};

use super::Named;
use crate::{
    commands::{self, Command, NewRank},
    http::{error::Problem, site::Site},
    presence,
    records::{office, read_status},
};

/// Of one command: more come with `all`.
const MOST_PLACES: usize = 5000;

pub(in crate::http) async fn pause(state: State<Site>, run: Named<RunId>) -> Result<Response, Problem> {
    ask(state, run, Command::Pause).await
}

pub(in crate::http) async fn resume(state: State<Site>, run: Named<RunId>) -> Result<Response, Problem> {
    ask(state, run, Command::Resume).await
}

pub(in crate::http) async fn cancel(state: State<Site>, run: Named<RunId>) -> Result<Response, Problem> {
    ask(state, run, Command::Cancel).await
}

/// What is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rank {
    priority: Option<i32>,
    share: Option<u32>,
}

pub(in crate::http) async fn priority(
    state: State<Site>,
    run: Named<RunId>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Rank { priority, share } = read(&body)?;
    if priority.is_some_and(|priority| !(-1000..=1000).contains(&priority)) {
        return Err(Problem::bad("priority must be -1000 to 1000"));
    }
    if share.is_some_and(|share| !(1..=1000).contains(&share)) {
        return Err(Problem::bad("share must be 1 to 1000"));
    }
    let rank = NewRank { priority, share };
    if rank.is_empty() {
        return Err(Problem::bad("name priority, share or both"));
    }
    ask(state, run, Command::Rank(rank)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    items: Vec<Place>,
    #[serde(default)]
    all: bool,
}

pub(in crate::http) async fn replay(
    state: State<Site>,
    run: Named<RunId>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Which { items, all } = read(&body)?;
    if all != items.is_empty() {
        return Err(Problem::bad("name items, predict.0.17 for instance, or all: true"));
    }
    check(&items)?;
    ask(state, run, Command::Replay((!all).then_some(items))).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct These {
    items: Vec<Place>,
}

pub(in crate::http) async fn drop_items(
    state: State<Site>,
    run: Named<RunId>,
    body: Bytes,
) -> Result<Response, Problem> {
    let These { items } = read(&body)?;
    if items.is_empty() {
        return Err(Problem::bad("name items, predict.0.17 for instance"));
    }
    check(&items)?;
    ask(state, run, Command::Drop(items)).await
}

fn check(items: &[Place]) -> Result<(), Problem> {
    if items.len() > MOST_PLACES {
        return Err(Problem::bad(format!("at most {MOST_PLACES} items can be named at once")));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad(format!("the body can't be read: {error}")))
}

async fn ask(
    State(site): State<Site>,
    Named(run): Named<RunId>,
    command: Command,
) -> Result<Response, Problem> {
    let doors = site.doors();
    if doors.blobs.head(&keys::run_record(&run)).await?.is_none() {
        return Err(super::no_run(&run));
    }
    let state = read_status(&doors.blobs, &run).await?.map(|status| status.state);
    if let Some(why) = refusal(&command, state) {
        return Err(Problem::conflict(format!("'{run}' {why}")));
    }
    commands::give(&doors.blobs, &run, &command).await?;
    let is_served = doors.ledger.leader(&office(&run)).await?.is_some();
    // One that is over is taken up by whoever watches the root.
    let served = is_served
        || state.is_some_and(RunState::is_final)
            && !presence::coordinators(&*doors.ledger, &doors.blobs.uri("")).await?.is_empty();
    tracing::info!(%run, command = command.name(), "asked for on the page");
    Ok((StatusCode::ACCEPTED, super::json(&json!({ "run": run, "served": served }))).into_response())
}

fn refusal(command: &Command, state: Option<RunState>) -> Option<&'static str> {
    match (command, state?) {
        (Command::Resume, RunState::Done) => Some("is done: there is nothing to resume"),
        (Command::Pause | Command::Cancel | Command::Rank(_), state) if state.is_final() => {
            Some("is over already")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_over_takes_no_command_that_needs_one_that_goes_on() {
        assert!(refusal(&Command::Pause, Some(RunState::Done)).is_some());
        assert!(refusal(&Command::Resume, Some(RunState::Done)).is_some());
        assert!(refusal(&Command::Resume, Some(RunState::Cancelled)).is_none());
        assert!(refusal(&Command::Replay(None), Some(RunState::DoneWithFailures)).is_none());
        assert!(refusal(&Command::Cancel, Some(RunState::Running)).is_none());
        assert!(refusal(&Command::Cancel, None).is_none());
    }

    #[test]
    fn what_is_no_place_is_no_item() {
        assert!(read::<These>(br#"{"items":["predict.0.17"]}"#).is_ok());
        for bad in [&b"{}"[..], b"", br#"{"items":["../../etc/passwd"]}"#, br#"{"items":[],"also":1}"#] {
            assert!(read::<These>(bad).is_err());
        }
    }
}
