//! What every request has to get past, and what every answer says to browsers. The page acts: whoever can make a
//! browser on this machine ask it something must not get further than its owner.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{access::Shown, error::Problem, site::Site};

/// An answer that takes longer is given up; what is told for as long as somebody listens begins sooner.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Who has asked: put into the request by the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Everything is ours, and nothing inline: what got into a page as text can't become a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// What is said with every answer.
fn said() -> [(HeaderName, &'static str); 7] {
    [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ]
}

pub(super) async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let admitted = admit(&site, &request);
    let mut answer = match admitted {
        Ok(()) => match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => Problem::later("it takes too long: a server behind the page is slow").into_response(),
        },
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in said() {
        // A report has a policy of its own.
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Browsers show it beside what the way takes, and `make bench-page` prints it.
    let took = format!("coordinator;dur={:.1}", began.elapsed().as_secs_f64() * 1000.0);
    if let Ok(took) = HeaderValue::try_from(took) {
        answer.headers_mut().insert(HeaderName::from_static("server-timing"), took);
    }
    answer.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

enum Refusal {
    Problem(Problem),
    /// A person who is to sign in first.
    SignIn,
    /// A program that is to send a token.
    Token,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::SignIn => Redirect::to("/login").into_response(),
            Self::Token => {
                let words = "a token is asked for: Authorization: Bearer TOKEN, or sign in on the page";
                let mut answer = Problem::new(StatusCode::UNAUTHORIZED, words).into_response();
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                answer
            }
        }
    }
}

fn admit(site: &Site, request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let peer = request.extensions().get::<Peer>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    if !site.rate().take(peer, Instant::now()) {
        let words = "too many requests from this address; wait a moment";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, words).into());
    }
    let host = host(request).ok_or_else(|| Problem::bad("the request names no host"))?;
    let shown = match site.token() {
        Some(token) => token.shown_by(headers),
        None if is_loopback(host) => None,
        // A name of somebody else's that was made to point here.
        None => {
            let words = "this page is for this machine: open it as 127.0.0.1 or localhost. Behind a proxy it needs a \
                         token (--http-token-file)";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, words).into());
        }
    };
    if changes(request.method()) && shown != Some(Shown::Bearer) && !is_same_origin(headers, host) {
        let words = "what changes something is taken from the page itself alone: send its address as Origin, or a \
                     token as Authorization: Bearer";
        return Err(Problem::refused(words).into());
    }
    match request.uri().path() {
        path if site.token().is_none() || shown.is_some() || is_open(path) => Ok(()),
        "/" => Err(Refusal::SignIn),
        _ => Err(Refusal::Token),
    }
}

/// Where one types the token, and what that is drawn with.
fn is_open(path: &str) -> bool {
    path == "/login" || path.starts_with("/assets/")
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn host(request: &Request) -> Option<&str> {
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    named.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

/// Whatever the port: a tunnel may end at another.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) if !host.ends_with(']') => return false,
        _ => host,
    };
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// By what browsers say and pages can't change. One of both headers has to be there.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let said = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = said(header::ORIGIN);
    let site = said(HeaderName::from_static("sec-fetch-site"));
    let is_ours =
        |origin: &str| origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host));
    (origin.is_some() || site.is_some())
        && origin.is_none_or(is_ours)
        && site.is_none_or(|site| site == "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn only_names_of_this_machine_are_let_in_without_a_token() {
        for host in
            ["127.0.0.1", "127.0.0.1:7878", "localhost:1", "LOCALHOST", "[::1]:7878", "[::1]", "127.1.2.3:80"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7878",
            "127.0.0.1.evil.example",
            "10.0.0.1:7878",
            "[::2]",
            "localhost.",
            "::1",
            "",
            "127.0.0.1:",
            "[::1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn an_action_comes_from_the_page_itself() {
        let host = "127.0.0.1:7878";
        for ours in [
            &[("origin", "http://127.0.0.1:7878")][..],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "https://127.0.0.1:7878"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(is_same_origin(&headers(ours), host), "{ours:?}");
        }
        for theirs in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://127.0.0.1:9999")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://127.0.0.1:7878"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!is_same_origin(&headers(theirs), host), "{theirs:?}");
        }
    }

    #[test]
    fn nothing_inline_is_run_or_drawn() {
        assert!(!POLICY.contains("unsafe"));
        assert!(POLICY.contains("frame-ancestors 'none'") && POLICY.starts_with("default-src 'none'"));
    }
}
