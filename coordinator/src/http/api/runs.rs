//! The list of runs, page by page: the next begins behind the last run of this one, whatever has begun meanwhile.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::json;

use super::Asked;
use crate::http::{
    error::Problem,
    listed::{self, Summary},
    site::Site,
};

/// A cursor is a time and a name.
const CURSOR_BYTES: usize = 512;

#[derive(Deserialize)]
pub(in crate::http) struct Wanted {
    /// The cursor of the last run that is known.
    after: Option<String>,
    n: Option<usize>,
    /// Only runs whose name holds this.
    #[serde(default)]
    name: String,
    only: Option<Only>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Only {
    UnderWay,
    Failed,
}

impl Wanted {
    fn wants(&self, run: &Summary) -> bool {
        let is_of_kind = match self.only {
            None => true,
            Some(Only::UnderWay) => run.is_under_way(),
            Some(Only::Failed) => run.has_failures(),
        };
        is_of_kind && run.run.as_str().contains(&self.name)
    }
}

pub(in crate::http) async fn list(
    State(site): State<Site>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let after = wanted.after.as_deref();
    if after.is_some_and(|after| after.len() > CURSOR_BYTES) {
        return Err(Problem::bad("after: give the `cursor` of a run, or `next` of the page before"));
    }
    let n = super::Page { from: 0, n: wanted.n }.n().max(1);
    let runs = listed::runs(&site).await?;
    let all: Vec<&Summary> = runs.iter().map(|run| &**run).filter(|run| wanted.wants(run)).collect();
    let rest = all.iter().filter(|run| after.is_none_or(|after| run.cursor.as_str() < after));
    let mut page: Vec<&&Summary> = rest.take(n + 1).collect();
    let is_last = page.len() <= n;
    page.truncate(n);
    let next = page.last().filter(|_| !is_last).map(|run| run.cursor.as_str());
    Ok(super::json(&json!({
        "total": runs.len(),
        "under_way": listed::under_way(&runs),
        "found": all.len(),
        "next": next,
        "runs": page,
    })))
}
