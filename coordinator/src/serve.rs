//! Watches a root and serves every run under it that is not over.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use swath_backends::{Kind, open::Doors};
use swath_proto::ids::RunId;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    commands,
    run::{self, Me},
};

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A run that can't be served is tried again after 2, 4, 8, ... seconds, and this at most.
const REST: Duration = Duration::from_secs(60);
/// The same where it was a server that was away: it may be back at any moment.
const REST_FROM_SERVERS: Duration = Duration::from_secs(4);

pub async fn serve(doors: Doors, me: Me, stop: CancellationToken) -> anyhow::Result<()> {
    let mut serving = HashSet::new();
    let mut over = HashSet::new();
    let mut resting: HashMap<RunId, (u32, Instant)> = HashMap::new();
    let mut tasks: JoinSet<(RunId, anyhow::Result<bool>)> = JoinSet::new();
    loop {
        match open_runs(&doors, &mut over).await {
            Ok(runs) => {
                let rests = |id: &RunId| resting.get(id).is_some_and(|(_, until)| Instant::now() < *until);
                for id in
                    runs.into_iter().filter(|id| !serving.contains(id) && !rests(id)).collect::<Vec<_>>()
                {
                    tracing::info!(run = %id, "serving");
                    serving.insert(id.clone());
                    let (doors, me, stop) = (doors.clone(), me.clone(), stop.clone());
                    tasks.spawn(async move {
                        let (watch, _) = watch::channel(None);
                        let end = run::serve(&id, &doors, &me, watch, stop).await;
                        (id, end.map(|status| status.is_some()))
                    });
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "looking for runs failed; trying again")
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(ended) = tasks.join_next() => match ended {
                Ok((id, end)) => {
                    serving.remove(&id);
                    match end {
                        Ok(_) => {
                            resting.remove(&id);
                            tracing::info!(run = %id, "over");
                        }
                        // A later look takes it up again: whatever it needs lies outside this process.
                        Err(error) => {
                            tracing::warn!(run = %id, error = format!("{error:#}"), "interrupted");
                            let (n, until) = resting.entry(id).or_insert((0, Instant::now()));
                            *n += 1;
                            let most = if is_of_server(&error) { REST_FROM_SERVERS } else { REST };
                            *until = Instant::now() + Duration::from_secs(1 << (*n).min(6)).min(most);
                        }
                    }
                }
                Err(panic) => anyhow::bail!("serving a run panicked: {panic}"),
            }
        }
    }
    while let Some(ended) = tasks.join_next().await {
        if let Ok((id, Err(error))) = ended {
            tracing::warn!(run = %id, error = format!("{error:#}"), "interrupted");
        }
    }
    Ok(())
}

fn is_of_server(error: &anyhow::Error) -> bool {
    let kind = error.chain().find_map(|cause| Some(cause.downcast_ref::<swath_backends::Error>()?.kind));
    matches!(kind, Some(Kind::Transient | Kind::Full))
}

/// Runs that are not over, or that somebody has put a command down for.
async fn open_runs(doors: &Doors, over: &mut HashSet<RunId>) -> anyhow::Result<Vec<RunId>> {
    let asked = commands::asked_of(&doors.blobs).await?;
    let mut open = Vec::new();
    for id in run::list(&doors.blobs).await? {
        let commanded = asked.contains(&id);
        if over.contains(&id) && !commanded {
            continue;
        }
        let status = run::read_status(&doors.blobs, &id).await?;
        if commanded || !status.is_some_and(|status| status.state.is_final()) {
            over.remove(&id);
            open.push(id);
        } else {
            over.insert(id);
        }
    }
    Ok(open)
}
