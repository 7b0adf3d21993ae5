//! All runs under the root, in a line each.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use axum::{extract::State, response::Response};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use swath_proto::{
    ids::RunId,
    item::Stage,
    status::{RunState, RunStatus, StageCount},
};
use tokio::sync::Mutex;

use crate::{
    http::{error::Problem, site::Site, watch::status_of},
    records::{self, is_unreadable, office},
};

/// Runs that are asked about at a time.
const READS: usize = 16;
/// Who asks within this is told the same.
const FRESH: Duration = Duration::from_secs(1);
/// A run that is over and not served here is looked at again after this: a root of a thousand of them is not to be
/// read every other second, since stores are paid by the call.
const AGAIN_OVER: Duration = Duration::from_secs(30);

/// A run in a list. `state` is none where nothing was written down yet, or by a newer program.
#[derive(Clone, Serialize)]
pub(in crate::http) struct Summary {
    run: RunId,
    state: Option<RunState>,
    served: bool,
    started: Option<String>,
    written: Option<String>,
    at_work: Option<Stage>,
    items: u64,
    done: u64,
    failures: u64,
    unreadable_scenes: usize,
    eta_seconds: Option<f64>,
    priority: i32,
    message: Option<String>,
    #[serde(skip)]
    looked: Instant,
}

impl Summary {
    fn still_holds(&self) -> bool {
        self.state.is_some_and(RunState::is_final) && self.looked.elapsed() < AGAIN_OVER
    }
}

/// The list that was made last.
#[derive(Default)]
pub(in crate::http) struct Listed(Mutex<Option<(Instant, Vec<Summary>)>>);

pub(in crate::http) async fn list(State(site): State<Site>) -> Result<Response, Problem> {
    Ok(super::json(&summaries(&site).await?))
}

/// The newest first.
pub(in crate::http) async fn summaries(site: &Site) -> anyhow::Result<Vec<Summary>> {
    let mut listed = site.listed().0.lock().await;
    if let Some((at, runs)) = listed.as_ref()
        && at.elapsed() < FRESH
        && !site.stop().is_cancelled()
    {
        return Ok(runs.clone());
    }
    let (mut known, mut asked) = (Vec::new(), Vec::new());
    let runs = records::list(&site.doors().blobs).await?;
    {
        let before = listed.iter().flat_map(|(_, runs)| runs).filter(|run| run.still_holds());
        let before: HashMap<&RunId, &Summary> = before.map(|run| (&run.run, run)).collect();
        for run in runs {
            match before.get(&run).filter(|_| site.live().listen(&run).is_none()) {
                Some(before) => known.push((*before).clone()),
                None => asked.push(run),
            }
        }
    }
    let summaries = futures::stream::iter(asked).map(|run| summary(site, run)).buffered(READS);
    let mut runs: Vec<Summary> = summaries.try_collect().await?;
    runs.append(&mut known);
    runs.sort_by(|one, other| (&other.started, &one.run).cmp(&(&one.started, &other.run)));
    *listed = Some((Instant::now(), runs.clone()));
    Ok(runs)
}

async fn summary(site: &Site, run: RunId) -> anyhow::Result<Summary> {
    let status = match status_of(site, &run).await {
        Err(error) if is_unreadable(&error) => return Ok(of_unreadable(run, &error)),
        status => status?,
    };
    let is_over = status.as_ref().is_some_and(|status| status.state.is_final());
    let served = !is_over && site.doors().ledger.leader(&office(&run)).await?.is_some();
    Ok(of_status(run, status, served))
}

fn of_status(run: RunId, status: Option<RunStatus>, served: bool) -> Summary {
    let sum = |of: fn(&StageCount) -> u64| -> u64 {
        status.as_ref().map_or(0, |status| status.stages.values().map(of).sum())
    };
    Summary {
        served,
        items: sum(|count| count.items),
        done: sum(|count| count.done),
        state: status.as_ref().map(|status| status.state),
        started: status.as_ref().map(|status| status.started.clone()),
        written: status.as_ref().map(|status| status.written.clone()),
        at_work: status.as_ref().and_then(|status| status.at_work),
        failures: status.as_ref().map_or(0, |status| status.n_failures),
        unreadable_scenes: status.as_ref().map_or(0, |status| status.unreadable_scenes.len()),
        eta_seconds: status.as_ref().and_then(|status| status.eta_seconds),
        priority: status.as_ref().map_or(0, |status| status.rank.priority),
        message: status.and_then(|status| status.message),
        looked: Instant::now(),
        run,
    }
}

/// Others are not concerned.
fn of_unreadable(run: RunId, error: &anyhow::Error) -> Summary {
    tracing::debug!(%run, error = format!("{error:#}"), "the page can't read this run");
    let message = "its status was written by another version of the program, or is damaged".to_owned();
    Summary { message: Some(message), ..of_status(run, None, false) }
}
