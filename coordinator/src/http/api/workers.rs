//! Who is at work, as workers say themselves to the ledger.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use crate::http::{error::Problem, site::Site};

/// The group in which they are there.
const GROUP: &str = "workers";
/// What is handed on of a worker's words. Others stay where they are.
const WORDS: [&str; 14] = [
    "started", "version", "host", "pid", "lanes", "slots", "state", "in_hand", "done", "failed", "busy_s",
    "job", "instance", "metrics",
];

pub(in crate::http) async fn list(State(site): State<Site>) -> Result<Response, Problem> {
    let there = site.doors().ledger.announced(GROUP).await?;
    let workers: Vec<Value> = there.iter().map(|(worker, words)| told(worker.as_str(), words)).collect();
    Ok(super::json(&json!({ "workers": workers })))
}

/// A worker of another version may say other things: what is known of them is shown.
fn told(worker: &str, words: &str) -> Value {
    let said: Value = serde_json::from_str(words).unwrap_or(Value::Null);
    let mut told = json!({ "worker": worker });
    for word in WORDS {
        told[word] = said.get(word).cloned().unwrap_or(Value::Null);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_worker_says_only_known_words_are_handed_on() {
        let worker = told("w-1", r#"{"host":"a","slots":3,"secret":"x"}"#);
        assert_eq!(
            (&worker["worker"], &worker["host"], &worker["slots"]),
            (&json!("w-1"), &json!("a"), &json!(3))
        );
        assert!(worker.get("secret").is_none() && worker["pid"].is_null());
        assert_eq!(told("w-2", "no JSON")["host"], Value::Null);
    }
}
