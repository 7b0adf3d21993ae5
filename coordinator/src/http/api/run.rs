//! One run: how it stands, and what was frozen when it began.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};
use swath_backends::Kind;
use swath_proto::{ids::RunId, item::Stage, keys, run::RunRecord, status::RunStatus};

use super::{
    Named,
    made::{self, Made, There},
};
use crate::{
    http::{error::Problem, site::Site, watch::status_of},
    records::office,
};

pub(in crate::http) async fn run(
    State(site): State<Site>,
    Named(run): Named<RunId>,
) -> Result<Response, Problem> {
    let doors = site.doors();
    // Kept beside the layout: the record of ten thousand scenes takes long to read.
    let layout = site.layouts().of(&run, &doors.blobs).await?.ok_or_else(|| super::no_run(&run))?;
    let status = status_of(&site, &run).await?;
    let served = doors.ledger.leader(&office(&run)).await?.is_some();
    let has_scores = is_there(&site, &keys::eval(&run)).await?;
    let has_report = is_there(&site, &keys::report(&run)).await?;
    let made: Vec<Made> = match status.as_ref().filter(|status| status.state.is_final()) {
        Some(status) => {
            let predicts = layout.record.has(Stage::Predict);
            let catalogue = predicts && is_there(&site, &keys::stac_collection(&run)).await?;
            let there = There { report: has_report, eval: has_scores, catalogue };
            made::of_run(&layout.record, status, there)
        }
        None => Vec::new(),
    };
    Ok(super::json(&json!({
        "run": run,
        "served": served,
        "status": status,
        "record": told(&layout.record),
        "bill": status.as_ref().and_then(|status| bill(&site, status)),
        "has_scores": has_scores,
        "has_report": has_report,
        "made": made,
    })))
}

/// None where all workers were on machines of one's own.
fn bill(site: &Site, status: &RunStatus) -> Option<Value> {
    let prices = site.prices();
    let bill = prices.bill(&status.rented);
    let told = json!({
        "hours": bill.hours,
        "money": prices.told(bill.money),
        "unknown": bill.unknown,
        "origin": prices.origin(),
    });
    (!status.rented.is_empty()).then_some(told)
}

/// Of its record what people ask for; neither where buckets are nor how they are reached.
fn told(record: &RunRecord) -> Value {
    let classes: Vec<Value> = record
        .classes
        .iter()
        .map(|class| {
            let [red, green, blue] = class.rgb;
            json!({ "name": class.name, "color": format!("#{red:02x}{green:02x}{blue:02x}") })
        })
        .collect();
    let plan = &record.predict;
    let networks: Vec<Value> = plan
        .model
        .networks()
        .iter()
        .map(|network| json!({ "architecture": network.architecture, "precision": network.precision.name() }))
        .collect();
    let class = plan.class.as_ref();
    json!({
        "created": record.created,
        "program": record.program,
        "stages": record.stages,
        "steps": record.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
        "scenes": record.scenes.len(),
        "learnt": record.learnt().len(),
        "classes": classes,
        "null_class": record.null_class,
        "networks": networks,
        "engine": plan.model.engine,
        "device": plan.model.device,
        "core_px": plan.window.core_px,
        "margin_px": plan.window.margin_px,
        "item_px": plan.item_px,
        "threads": class.map(|class| class.threads),
        "predicts": record.has(Stage::Predict),
        "trains": record.has(Stage::Train),
        "has_confidence": plan.confidence,
    })
}

async fn is_there(site: &Site, key: &str) -> Result<bool, Problem> {
    Ok(site.doors().blobs.head(key).await?.is_some())
}

/// What the coordinator has written at the run's end. It may do nothing: its pictures and colours are in it.
const REPORT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'";

pub(in crate::http) async fn report(
    State(site): State<Site>,
    Named(run): Named<RunId>,
) -> Result<Response, Problem> {
    use axum::{
        http::{HeaderValue, header},
        response::IntoResponse as _,
    };
    let html = match site.doors().blobs.get(&keys::report(&run)).await {
        Err(error) if error.kind == Kind::NotFound => {
            return Err(Problem::missing(format!("'{run}' has no report: it is written when a run is over")));
        }
        html => html?,
    };
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let policy = HeaderValue::from_static(REPORT_POLICY);
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], html).into_response())
}
