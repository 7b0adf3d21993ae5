//! What is wrong with a request, in the words of RFC 9457: a status, a title and what to do.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::records::is_unreadable;

/// The answer to a request that can't be met.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// The run is in a state in which this can't be done.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Too much at once, or a server behind us is away.
    pub(super) fn later(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    pub(super) fn absent(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body =
            serde_json::json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let json = HeaderValue::from_static("application/problem+json");
        let store = HeaderValue::from_static("no-store");
        let mut response =
            (self.status, [(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, store)], body.to_string())
                .into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE || self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// Of root and ledger. What they say may name hosts and paths: it goes to the log, and the reader is told that there
/// it lies. What was read and is not understood stays so, however often it is asked for.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        tracing::warn!(error = format!("{error:#}"), "the page can't show what was asked for");
        if is_unreadable(&error) {
            let words = "what lies under the root can't be read by this program: was it written by a newer one? Then \
                         update this one; the coordinator's log says which file it is";
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, words);
        }
        Self::later("root or ledger can't be read now; the coordinator's log says why")
    }
}

impl From<swath_backends::Error> for Problem {
    fn from(error: swath_backends::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use swath_backends::{Error, Kind};

    use super::*;

    #[test]
    fn nobody_is_told_to_wait_for_a_file_of_a_newer_program() {
        let newer = Problem::from(anyhow!("unknown variant").context("reading runs/a/status.json"));
        assert_eq!(newer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!newer.detail.contains("runs/a"), "paths go to the log");
        let away = Problem::from(Error::new(Kind::Transient, "reading", anyhow!("no route to 10.0.0.1")));
        assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!away.detail.contains("10.0.0.1"));
    }
}
