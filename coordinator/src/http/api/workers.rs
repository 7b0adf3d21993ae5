//! Who is at work, as workers say themselves to the ledger.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};
use swath_proto::worker::{GROUP, WorkerCard};

use crate::http::{error::Problem, site::Site};

pub(in crate::http) async fn list(State(site): State<Site>) -> Result<Response, Problem> {
    let there = site.doors().ledger.announced(GROUP).await?;
    let now = jiff::Timestamp::now();
    let workers: Vec<Value> = there.iter().map(|(worker, words)| told(worker.as_str(), words, now)).collect();
    Ok(super::json(&json!({ "workers": workers })))
}

/// Of a worker of another version it is shown that it is there. For how long it has said nothing is told by the clock
/// here: that of whoever looks may be any.
fn told(name: &str, words: &str, now: jiff::Timestamp) -> Value {
    let card = serde_json::from_str(words).ok().map(WorkerCard::into_newest);
    let said = card.as_ref().and_then(|card| card.said.as_deref()?.parse::<jiff::Timestamp>().ok());
    let silent_s = said.map(|said| now.duration_since(said).as_secs_f64().max(0.0));
    json!({ "worker": name, "card": card, "silent_s": silent_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_another_version_is_there_all_the_same() {
        let words = r#"{"version":"1","started":"2026-01-01T00:00:00Z","program":"0.1.0","host":"a","pid":7,"lanes":["cpu"],
            "slots":3,"state":"working","in_hand":2,"done":5,"failed":0,"busy_s":1.5}"#;
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let worker = told("w-1", words, now);
        assert_eq!((&worker["worker"], &worker["card"]["slots"]), (&json!("w-1"), &json!(3)));
        assert_eq!(worker["silent_s"], Value::Null, "it does not say when it said so");
        let other = json!({ "worker": "w-2", "card": null, "silent_s": null });
        assert_eq!(told("w-2", r#"{"version":"99"}"#, now), other);
        let said = words.replace(r#""busy_s""#, r#""said":"2026-01-01T00:00:42Z","busy_s""#);
        assert_eq!(told("w-1", &said, now)["silent_s"], json!(18.0));
    }
}
