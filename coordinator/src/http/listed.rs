//! All runs under the root, in a line each: read once for all who ask. What there is to read of them is little, and what
//! is asked of the root is bounded: a run that is over is looked at again now and then, and only so many at a time.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use swath_proto::{
    ids::RunId,
    item::Stage,
    status::{RunState, RunStatus, StageCount},
};
use tokio::sync::Mutex;

use super::{progress::Progress, site::Site, watch::status_of};
use crate::records::{self, is_unreadable, office};

/// Runs that are asked about at a time.
const READS: usize = 16;
/// Who asks within this is told the same; longer where a list takes long, since stores are paid by the call.
const FRESH: Duration = Duration::from_secs(1);
const FRESH_AT_MOST: Duration = Duration::from_secs(30);
/// A run that is over and not served here is looked at again after this, and so many of them each time.
const AGAIN_OVER: Duration = Duration::from_secs(30);
const AGAIN_AT_A_TIME: usize = 64;
/// Runs that are told of one by one when they have changed; where there are more, all is read again.
const MOST_CHANGES: usize = 500;

/// A run in a list. `state` is none where nothing was written down yet, or by a newer program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) run: RunId,
    /// Its place in the list, which is read on from there.
    pub(super) cursor: String,
    state: Option<RunState>,
    served: bool,
    started: Option<String>,
    written: Option<String>,
    at_work: Option<Stage>,
    items: u64,
    done: u64,
    /// While items of later stages are unknown, the two numbers above tell too much.
    progress: Progress,
    failures: u64,
    unreadable_scenes: usize,
    eta_seconds: Option<f64>,
    priority: i32,
    message: Option<String>,
}

impl Summary {
    fn is_over(&self) -> bool {
        self.state.is_some_and(RunState::is_final)
    }

    pub(super) fn is_under_way(&self) -> bool {
        !self.is_over()
    }

    pub(super) fn has_failures(&self) -> bool {
        self.state == Some(RunState::Failed) || self.failures > 0 || self.unreadable_scenes > 0
    }
}

/// The newest first.
pub(super) type Runs = Arc<Vec<Arc<Summary>>>;

#[derive(Clone)]
struct Known {
    summary: Arc<Summary>,
    looked: Instant,
}

struct List {
    at: Instant,
    took: Duration,
    known: Vec<Known>,
    runs: Runs,
}

impl List {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < (self.took * 10).clamp(FRESH, FRESH_AT_MOST)
    }
}

/// The list that was made last.
#[derive(Default)]
pub(super) struct Listed(Mutex<Option<List>>);

pub(super) async fn runs(site: &Site) -> anyhow::Result<Runs> {
    let mut listed = site.listed().0.lock().await;
    if let Some(list) = listed.as_ref().filter(|list| list.is_fresh() && !site.stop().is_cancelled()) {
        return Ok(list.runs.clone());
    }
    let began = Instant::now();
    let there = records::list(&site.doors().blobs).await?;
    let (mut known, mut stale, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    {
        let before = listed.iter().flat_map(|list| &list.known);
        let before: HashMap<&RunId, &Known> = before.map(|known| (&known.summary.run, known)).collect();
        for run in there {
            let over = before.get(&run).filter(|known| known.summary.is_over());
            match over.filter(|_| site.live().listen(&run).is_none()) {
                None => asked.push(run),
                Some(over) if over.looked.elapsed() < AGAIN_OVER => known.push((*over).clone()),
                Some(over) => stale.push((*over).clone()),
            }
        }
    }
    // Those first that were not looked at for the longest.
    stale.sort_by_key(|over| over.looked);
    known.extend(stale.split_off(stale.len().min(AGAIN_AT_A_TIME)));
    asked.extend(stale.iter().map(|over| over.summary.run.clone()));
    let looks = futures::stream::iter(asked).map(|run| look(site, run)).buffered(READS);
    known.extend(looks.try_collect::<Vec<Known>>().await?);
    known.sort_by(|one, other| other.summary.cursor.cmp(&one.summary.cursor));
    let runs: Runs = Arc::new(known.iter().map(|known| known.summary.clone()).collect());
    *listed = Some(List { at: Instant::now(), took: began.elapsed(), known, runs: runs.clone() });
    Ok(runs)
}

async fn look(site: &Site, run: RunId) -> anyhow::Result<Known> {
    let status = match status_of(site, &run).await {
        Err(error) if is_unreadable(&error) => {
            let summary = Arc::new(of_unreadable(run, &error));
            return Ok(Known { summary, looked: Instant::now() });
        }
        status => status?,
    };
    let is_over = status.as_ref().is_some_and(|status| status.state.is_final());
    let served = !is_over && site.doors().ledger.leader(&office(&run)).await?.is_some();
    Ok(Known { summary: Arc::new(of_status(run, status, served)), looked: Instant::now() })
}

/// Behind every time of day: what was submitted and nobody has taken up yet stands first.
const NOT_BEGUN: &str = "~";

fn of_status(run: RunId, status: Option<RunStatus>, served: bool) -> Summary {
    let sum = |of: fn(&StageCount) -> u64| -> u64 {
        status.as_ref().map_or(0, |status| status.stages.values().map(of).sum())
    };
    let began = status.as_ref().map_or(NOT_BEGUN, |status| status.started.as_str());
    Summary {
        cursor: format!("{began} {run}"),
        served,
        items: sum(|count| count.items),
        done: sum(|count| count.done),
        progress: status.as_ref().map(Progress::of).unwrap_or_default(),
        state: status.as_ref().map(|status| status.state),
        started: status.as_ref().map(|status| status.started.clone()),
        written: status.as_ref().map(|status| status.written.clone()),
        at_work: status.as_ref().and_then(|status| status.at_work),
        failures: status.as_ref().map_or(0, |status| status.n_failures),
        unreadable_scenes: status.as_ref().map_or(0, |status| status.unreadable_scenes.len()),
        eta_seconds: status.as_ref().and_then(|status| status.eta_seconds),
        priority: status.as_ref().map_or(0, |status| status.rank.priority),
        message: status.and_then(|status| status.message),
        run,
    }
}

/// Others are not concerned. It stands last, since nobody knows when it began.
fn of_unreadable(run: RunId, error: &anyhow::Error) -> Summary {
    tracing::debug!(%run, error = format!("{error:#}"), "the page can't read this run");
    let message = "its status was written by another version of the program, or is damaged".to_owned();
    let cursor = format!(" {run}");
    Summary { message: Some(message), cursor, ..of_status(run, None, false) }
}

/// What is told to those who have the list already.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Changes<'a> {
    total: usize,
    under_way: usize,
    changed: Vec<&'a Summary>,
    gone: Vec<&'a RunId>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Told<'a> {
    Nothing,
    Changes(Changes<'a>),
    ReadAgain,
}

pub(super) fn told<'a>(before: &'a [Arc<Summary>], now: &'a [Arc<Summary>]) -> Told<'a> {
    let known = |runs: &'a [Arc<Summary>]| -> HashMap<&'a RunId, &'a Summary> {
        runs.iter().map(|summary| (&summary.run, &**summary)).collect()
    };
    let (was, is) = (known(before), known(now));
    let is_other = |summary: &&Summary| was.get(&summary.run) != Some(summary);
    let changed: Vec<&Summary> = now.iter().map(|summary| &**summary).filter(is_other).collect();
    let gone: Vec<&RunId> = before.iter().map(|of| &of.run).filter(|run| !is.contains_key(run)).collect();
    match changed.len() + gone.len() {
        0 => Told::Nothing,
        n if n > MOST_CHANGES => Told::ReadAgain,
        _ => Told::Changes(Changes { total: now.len(), under_way: under_way(now), changed, gone }),
    }
}

pub(super) fn under_way(runs: &[Arc<Summary>]) -> usize {
    runs.iter().filter(|run| run.is_under_way()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, done: u64) -> Arc<Summary> {
        let of = of_status(name.parse().expect("a name"), None, false);
        Arc::new(Summary { done, ..of })
    }

    #[test]
    fn who_has_the_list_is_told_of_what_has_changed_alone() {
        let before = [run("a-1", 0), run("b-1", 0), run("c-1", 0)];
        assert_eq!(told(&before, &before), Told::Nothing);
        let again = [run("a-1", 0), run("b-1", 0), run("c-1", 0)];
        assert_eq!(told(&before, &again), Told::Nothing, "it was read again, and says the same");
        let now = [run("a-1", 0), run("c-1", 5), run("d-1", 0)];
        let Told::Changes(changes) = told(&before, &now) else { panic!("it has changed") };
        let names: Vec<&str> = changes.changed.iter().map(|summary| summary.run.as_str()).collect();
        assert_eq!((names, changes.total, changes.under_way), (vec!["c-1", "d-1"], 3, 3));
        assert_eq!(changes.gone, [&before[1].run]);
        let many: Vec<_> = (0..=MOST_CHANGES).map(|n| run(&format!("n-{n}"), 0)).collect();
        assert_eq!(told(&[], &many), Told::ReadAgain);
    }

    #[test]
    fn what_nobody_has_taken_up_stands_first_and_what_nobody_can_read_last() {
        let submitted = run("a-1", 0);
        let unreadable = of_unreadable("z-1".parse().expect("a name"), &anyhow::anyhow!("damaged"));
        let began = "2026-11-29T10:00:00Z a-1";
        assert!(submitted.cursor.as_str() > began && unreadable.cursor.as_str() < began);
    }
}
