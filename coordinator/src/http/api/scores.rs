//! How well a run did: `eval.json`, with its long list of scenes as a short one.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};
use swath_backends::Kind;
use swath_proto::{ids::RunId, keys};

use super::Named;
use crate::{
    http::{error::Problem, site::Site},
    records::read_record,
    scores::{average, f1_of_scene, mean},
};

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
    let record = read_record(&site.doors().blobs, &run).await?.ok_or_else(|| super::no_run(&run))?;
    let mut scenes: Vec<(f64, Value)> = eval["per_scene"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(scene, scores)| {
            let (mean, average) = (mean(scores, record.null_class), average(scores));
            let told = json!({ "scene": scene, "metrics": average, "mean": mean });
            (f1_of_scene(&mean, average), told)
        })
        .collect();
    scenes.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let total = scenes.len();
    scenes.truncate(MOST_SCENES);
    let scenes: Vec<Value> = scenes.into_iter().map(|(_, told)| told).collect();
    Ok(super::json(&json!({
        "overall": eval["overall"],
        "mean": mean(&eval["overall"], record.null_class),
        "baseline": baseline.map(|baseline| baseline["overall"].clone()),
        "scenes": scenes,
        "total": total,
    })))
}

async fn read(site: &Site, key: &str) -> Result<Option<Value>, Problem> {
    match site.doors().blobs.get(key).await {
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        json => Ok(Some(serde_json::from_slice(&json?).map_err(anyhow::Error::from)?)),
    }
}
