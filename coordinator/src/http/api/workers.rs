//! Who is at work, as workers say themselves to the ledger.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};
use swath_proto::worker::{GROUP, WorkerCard};

use crate::http::{error::Problem, site::Site};

pub(in crate::http) async fn list(State(site): State<Site>) -> Result<Response, Problem> {
    let there = site.doors().ledger.announced(GROUP).await?;
    let workers: Vec<Value> = there.iter().map(|(worker, words)| told(worker.as_str(), words)).collect();
    Ok(super::json(&json!({ "workers": workers })))
}

/// Of a worker of another version it is shown that it is there.
fn told(name: &str, words: &str) -> Value {
    let card = serde_json::from_str(words).ok().map(WorkerCard::into_newest);
    json!({ "worker": name, "card": card })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_another_version_is_there_all_the_same() {
        let words = r#"{"version":"1","started":"2026-01-01T00:00:00Z","program":"0.1.0","host":"a","pid":7,"lanes":["cpu"],
            "slots":3,"state":"working","in_hand":2,"done":5,"failed":0,"busy_s":1.5}"#;
        let worker = told("w-1", words);
        assert_eq!((&worker["worker"], &worker["card"]["slots"]), (&json!("w-1"), &json!(3)));
        assert_eq!(told("w-2", r#"{"version":"99"}"#), json!({ "worker": "w-2", "card": null }));
    }
}
