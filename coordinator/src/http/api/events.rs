//! What happens, as it happens.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use swath_proto::{ids::RunId, keys};

use super::Named;
use crate::http::{
    error::Problem,
    events::{Topic, told},
    site::Site,
    watch::tell,
};

pub(in crate::http) async fn of_runs(State(site): State<Site>) -> Result<Response, Problem> {
    listen(&site, Topic::Runs)
}

pub(in crate::http) async fn of_run(
    State(site): State<Site>,
    Named(run): Named<RunId>,
) -> Result<Response, Problem> {
    if site.doors().blobs.head(&keys::run_record(&run)).await?.is_none() {
        return Err(super::no_run(&run));
    }
    listen(&site, Topic::Run(run))
}

fn listen(site: &Site, topic: Topic) -> Result<Response, Problem> {
    let permit = site.watchers().try_acquire_owned();
    let permit =
        permit.map_err(|_| Problem::later("too many watch already; the page asks again by itself"))?;
    let (receiver, speaker) = site.channels().listen(&topic);
    if let Some(sender) = speaker {
        tokio::spawn(tell(site.clone(), topic, sender));
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // A proxy that gathers answers before it hands them on would tell nothing for minutes.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let body = Body::from_stream(told(receiver, permit));
    Ok((headers, body).into_response())
}
