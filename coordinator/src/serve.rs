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
    live::Live,
    presence,
    records::{is_unreadable, silent_for},
    run::{self, Me, Over},
    sharing::Sharing,
};

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A run that can't be served is tried again after 2, 4, 8, ... seconds, and this at most.
const REST: Duration = Duration::from_secs(60);
/// The same where it was a server that was away: it may be back at any moment.
const REST_FROM_SERVERS: Duration = Duration::from_secs(4);

pub async fn serve(doors: Doors, me: Me, stop: CancellationToken) -> anyhow::Result<()> {
    serve_sharing(doors, me, Sharing::default(), Live::default(), stop).await
}

/// As [`serve`], where others want to know what runs ask for, and how they stand.
pub async fn serve_sharing(
    doors: Doors,
    me: Me,
    sharing: Sharing,
    live: Live,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let over = CancellationToken::new();
    let serves = async {
        let served = serve_all(&doors, &me, &sharing, &live, &stop).await;
        over.cancel();
        served
    };
    let (served, ()) = tokio::join!(serves, presence::tell(&doors, &me.name, &over));
    served
}

async fn serve_all(
    doors: &Doors,
    me: &Me,
    sharing: &Sharing,
    live: &Live,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut serving = HashSet::new();
    let mut looked_at = LookedAt::default();
    let mut resting: HashMap<RunId, (u32, Instant)> = HashMap::new();
    let mut tasks: JoinSet<(RunId, anyhow::Result<()>)> = JoinSet::new();
    loop {
        match open_runs(doors, &serving, &mut looked_at).await {
            Ok(runs) => {
                let rests = |id: &RunId| resting.get(id).is_some_and(|(_, until)| Instant::now() < *until);
                for id in runs.into_iter().filter(|id| !rests(id)) {
                    tracing::info!(run = %id, "serving");
                    serving.insert(id.clone());
                    let (doors, me, sharing, stop) =
                        (doors.clone(), me.clone(), sharing.clone(), stop.clone());
                    let (watch, _) = watch::channel(None);
                    live.begin(&id, watch.clone());
                    tasks.spawn(async move {
                        let end = run::serve_among(&id, &doors, &me, &sharing, Over::Left, watch, stop).await;
                        (id, end.map(drop))
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
                    live.end(&id);
                    match end {
                        Ok(()) => {
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
                Err(error) => anyhow::bail!("a run was dropped: {error}"),
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

/// What need not be looked at again.
#[derive(Default)]
struct LookedAt {
    over: HashSet<RunId>,
    /// Told of once.
    unreadable: HashSet<RunId>,
}

/// Runs that are not over, or that somebody has put a command down for, without those that are served.
async fn open_runs(
    doors: &Doors,
    serving: &HashSet<RunId>,
    looked_at: &mut LookedAt,
) -> anyhow::Result<Vec<RunId>> {
    let asked = commands::asked_of(&doors.blobs).await?;
    let mut open = Vec::new();
    for id in run::list(&doors.blobs).await?.into_iter().filter(|id| !serving.contains(id)) {
        let commanded = asked.contains(&id);
        if looked_at.over.contains(&id) && !commanded {
            continue;
        }
        let status = match run::read_status(&doors.blobs, &id).await {
            Ok(status) => status,
            // Other runs are not concerned.
            Err(error) if is_unreadable(&error) => {
                if looked_at.unreadable.insert(id.clone()) {
                    tracing::error!(run = %id, error = format!("{error:#}"), "this run is not served");
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        match status.filter(|status| status.state.is_final() && !commanded) {
            None => {
                looked_at.over.remove(&id);
                open.push(id);
            }
            Some(status) => {
                if silent_for(&status).is_some_and(|silent| silent > run::REMEMBERED) {
                    // Nothing hangs on it: the next coordinator tries again.
                    if let Err(error) = doors.ledger.forget(&id).await {
                        tracing::debug!(run = %id, error = error.doing, "it can't be forgotten now");
                    }
                }
                looked_at.over.insert(id);
            }
        }
    }
    Ok(open)
}
