//! How well a run did: `eval.json`, with its long list of scenes as a short one.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};
use swath_backends::Kind;
use swath_proto::{ids::RunId, keys};

use super::Named;
use crate::http::{error::Problem, site::Site};

/// The worst come first: these are looked at.
const MOST_SCENES: usize = 1000;

pub(in crate::http) async fn scores(
    State(site): State<Site>,
    Named(run): Named<RunId>,
) -> Result<Response, Problem> {
    let Some(eval) = read(&site, &keys::eval(&run)).await? else {
        return Err(Problem::missing(format!(
            "'{run}' has no scores: no scene with labels is evaluated yet"
        )));
    };
    let baseline = read(&site, &keys::baseline(&run)).await?;
    let mut scenes: Vec<Value> = eval["per_scene"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(scene, scores)| json!({ "scene": scene, "metrics": average(scores) }))
        .collect();
    let f1 = |scene: &Value| scene["metrics"]["f1"].as_f64().unwrap_or(-1.0);
    scenes.sort_by(|one, other| f1(one).total_cmp(&f1(other)));
    let total = scenes.len();
    scenes.truncate(MOST_SCENES);
    Ok(super::json(&json!({
        "overall": eval["overall"],
        "baseline": baseline.map(|baseline| baseline["overall"].clone()),
        "scenes": scenes,
        "total": total,
    })))
}

/// The last entry of a list is the average of the others.
fn average(scores: &Value) -> Option<&Value> {
    scores.as_array()?.last()?.get("metrics")
}

async fn read(site: &Site, key: &str) -> Result<Option<Value>, Problem> {
    match site.doors().blobs.get(key).await {
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        json => Ok(Some(serde_json::from_slice(&json?).map_err(anyhow::Error::from)?)),
    }
}
