//! What was set aside: by the objects under `buried/`, which outlive the ledger.

use axum::{extract::State, response::Response};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use swath_backends::Kind;
use swath_proto::{ids::RunId, item::Place, keys, outcome::Buried};

use super::{Asked, Named, Page};
use crate::http::{error::Problem, site::Site};

/// Graves that are read at a time.
const READS: usize = 16;

/// In the order of their keys, without their logs.
pub(in crate::http) async fn list(
    State(site): State<Site>,
    Named(run): Named<RunId>,
    Asked(page): Asked<Page>,
) -> Result<Response, Problem> {
    let blobs = &site.doors().blobs;
    if blobs.head(&keys::run_record(&run)).await?.is_none() {
        return Err(super::no_run(&run));
    }
    let listed: Vec<_> = blobs.list(&keys::buried_of(&run)).try_collect().await?;
    let total = listed.len();
    let some: Vec<String> =
        listed.into_iter().map(|object| object.key).skip(page.from).take(page.n()).collect();
    let graves = futures::stream::iter(some).map(|key| async move { blobs.get(&key).await }).buffered(READS);
    let graves: Vec<_> = graves.collect().await;
    let mut told = Vec::new();
    for grave in graves {
        match grave {
            // Somebody has replayed it meanwhile.
            Err(error) if error.kind == Kind::NotFound => {}
            json => {
                told.extend(serde_json::from_slice::<Buried>(&json?).ok().map(|grave| tell(&grave, false)))
            }
        }
    }
    Ok(super::json(&json!({ "total": total, "from": page.from, "failures": told })))
}

/// With the end of its log.
pub(in crate::http) async fn one(
    State(site): State<Site>,
    Named((run, place)): Named<(RunId, Place)>,
) -> Result<Response, Problem> {
    let json = match site.doors().blobs.get(&keys::buried(&run, place)).await {
        Err(error) if error.kind == Kind::NotFound => {
            return Err(Problem::missing(format!("{place} of '{run}' is not set aside")));
        }
        json => json?,
    };
    let grave: Buried = serde_json::from_slice(&json).map_err(anyhow::Error::from)?;
    Ok(super::json(&tell(&grave, true)))
}

fn tell(grave: &Buried, with_log: bool) -> Value {
    let mut told = json!({
        "place": grave.place,
        "stage": grave.place.stage,
        "attempts": grave.attempts,
        "class": grave.failure.class,
        "message": grave.failure.message,
        "scene": grave.failure.scene,
        "rect": grave.failure.rect,
        "worker": grave.failure.worker,
        "written": grave.written,
        "is_dropped": grave.is_dropped(),
    });
    if with_log {
        told["log"] = json!(grave.log);
    }
    told
}
