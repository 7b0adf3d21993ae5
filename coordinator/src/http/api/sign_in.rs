//! Where a person types the token, and is given a cookie for it.

use std::time::{Duration, Instant};

use axum::{
    Extension, Form,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use crate::http::{access::no_cookie, assets, error::Problem, security::Peer, site::Site};

/// A wrong token is answered no sooner.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Deserialize)]
pub(in crate::http) struct Typed {
    token: String,
}

pub(in crate::http) async fn sign_in(
    State(site): State<Site>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    typed: Result<Form<Typed>, axum::extract::rejection::FormRejection>,
) -> Result<Response, Problem> {
    let Some(token) = site.token() else { return Ok(Redirect::to("/").into_response()) };
    if !site.logins().take(peer.0.ip(), Instant::now()) {
        let words = "too many tokens were tried from this address; wait a minute";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, words));
    }
    let Form(typed) = typed.map_err(|rejection| Problem::bad(rejection.body_text()))?;
    if !token.is(&typed.token) {
        tokio::time::sleep(PAUSE).await;
        tracing::warn!(from = %peer.0, "a wrong token was typed on the page");
        return Ok((StatusCode::UNAUTHORIZED, assets::login_again()).into_response());
    }
    // Behind a proxy that speaks TLS the page's own address says so.
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let cookie = token.cookie(origin.is_some_and(|origin| origin.starts_with("https://")));
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

pub(in crate::http) async fn sign_out() -> Response {
    ([(header::SET_COOKIE, no_cookie())], Redirect::to("/login")).into_response()
}
