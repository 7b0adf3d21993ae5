//! What can be asked, one file a thing. Names are read as what they are before anything else: a run, a scene, a place.
//! None can hold a slash, and none becomes a path but by `swath_proto::keys`.

pub(super) mod about;
pub(super) mod actions;
pub(super) mod events;
pub(super) mod failures;
pub(super) mod fleet;
mod made;
pub(super) mod pictures;
pub(super) mod run;
pub(super) mod runs;
pub(super) mod scenes;
pub(super) mod scores;
pub(super) mod sign_in;
pub(super) mod training;
pub(super) mod workers;

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::error::Problem;

/// What stands in the path, read as names.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(rejection) => Err(Problem::bad(rejection.body_text())),
        }
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(Problem::bad(rejection.body_text())),
        }
    }
}

/// Part of a long list.
#[derive(serde::Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) from: usize,
    pub(super) n: Option<usize>,
}

impl Page {
    const USUAL: usize = 200;
    const MOST: usize = 1000;

    pub(super) fn n(&self) -> usize {
        self.n.unwrap_or(Self::USUAL).min(Self::MOST)
    }
}

pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], body).into_response()
        }
        Err(error) => Problem::from(anyhow::Error::from(error)).into_response(),
    }
}

fn no_run(run: &swath_proto::ids::RunId) -> Problem {
    Problem::missing(format!("there is no run '{run}' under this root"))
}
