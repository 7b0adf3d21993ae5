//! How the workers stand that a coordinator starts by itself: `fleet.json`, and whether anybody has it.

use anyhow::Context as _;
use axum::{extract::State, response::Response};
use serde_json::{Value, json};
use swath_backends::Kind;
use swath_proto::{fleet::FleetStatus, keys};

use crate::{
    fleet::control::office,
    http::{error::Problem, site::Site},
};

pub(in crate::http) async fn fleet(State(site): State<Site>) -> Result<Response, Problem> {
    let doors = site.doors();
    let json = match doors.blobs.get(keys::FLEET).await {
        Err(error) if error.kind == Kind::NotFound => {
            return Ok(super::json(&json!({ "fleet": null, "served": false, "silent_s": null })));
        }
        json => json?,
    };
    let status = FleetStatus::from_json(&json).with_context(|| format!("reading {}", keys::FLEET))?;
    let served = doors.ledger.leader(&office(&doors.blobs.uri(""))).await?.is_some();
    Ok(super::json(&told(&status, served, jiff::Timestamp::now())))
}

/// What is written down holds only while somebody has the fleet; for how long nothing was is told by the clock here.
fn told(status: &FleetStatus, served: bool, now: jiff::Timestamp) -> Value {
    let written = status.written.parse::<jiff::Timestamp>().ok();
    let silent_s = written.map(|written| now.duration_since(written).as_secs_f64().max(0.0));
    json!({ "fleet": status, "served": served, "silent_s": silent_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_told_with_the_age_of_its_word() {
        let status =
            FleetStatus::from_json(include_bytes!("../../../../proto/samples/fleet-v1.json")).unwrap();
        let told = told(&status, true, "2026-11-29T12:00:30Z".parse().unwrap());
        assert_eq!((&told["silent_s"], &told["served"]), (&json!(30.0), &json!(true)));
        assert_eq!(told["fleet"]["crews"]["cpu"]["why"], "4 by command");
    }
}
