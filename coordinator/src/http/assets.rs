//! The bundle of `web/`, in the program itself: nothing is fetched from elsewhere. `make web` builds it of its
//! sources.

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use swath_proto::ids::Digest;

use super::{api::Named, error::Problem};

const INDEX: &str = include_str!("../../../web/dist/index.html");
const LOGIN: &str = include_str!("../../../web/dist/login.html");

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static [u8],
    tag: String,
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    let asset = |name, kind, body: &'static [u8]| {
        // Weak: what is sent as gzip is of the same tag, and is not the same bytes.
        let tag = format!("W/\"{}\"", &Digest::of(body).to_string()[..16]);
        Asset { name, kind, body, tag }
    };
    [
        asset("app.js", "text/javascript; charset=utf-8", include_bytes!("../../../web/dist/app.js")),
        asset("app.css", "text/css; charset=utf-8", include_bytes!("../../../web/dist/app.css")),
        asset("theme.js", "text/javascript; charset=utf-8", include_bytes!("../../../web/dist/theme.js")),
        asset("icon.svg", "image/svg+xml", include_bytes!("../../../web/dist/icon.svg")),
    ]
});

pub(super) async fn index() -> Response {
    html(INDEX)
}

pub(super) async fn login() -> Response {
    html(LOGIN)
}

/// After a wrong token.
pub(super) fn login_again() -> Response {
    html(&LOGIN.replace("<p id=\"wrong\" hidden>", "<p id=\"wrong\">"))
}

fn html(text: &str) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text.to_owned()).into_response()
}

pub(super) async fn asset(headers: HeaderMap, Named(name): Named<String>) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Problem::missing("the page has no such file"))?;
    let tag = HeaderValue::from_str(&asset.tag).unwrap_or(HeaderValue::from_static("\"\""));
    let vary = HeaderValue::from_static("accept-encoding");
    // Asked for each time, and sent once: a newer program is seen at once.
    let cache = HeaderValue::from_static("private, no-cache");
    let common = [(header::ETAG, tag), (header::CACHE_CONTROL, cache), (header::VARY, vary)];
    if is_known(&headers, &asset.tag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let kind = HeaderValue::from_static(asset.kind);
    Ok((common, [(header::CONTENT_TYPE, kind)], asset.body).into_response())
}

/// Whether whoever asks has what is of this tag, compared weakly.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let said = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_it_says_so_in_one_of_several_ways() {
        let is_known = |said: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(said));
            is_known(&headers, "W/\"ab12\"")
        };
        for said in ["W/\"ab12\"", "\"ab12\"", "\"cd34\", W/\"ab12\"", "*"] {
            assert!(is_known(said), "{said}");
        }
        for said in ["", "W/\"ab1\"", "\"cd34\",\"ef56\"", "ab12"] {
            assert!(!is_known(said), "{said}");
        }
    }

    #[test]
    fn the_page_names_no_other_host_and_holds_nothing_inline() {
        for page in [INDEX, LOGIN] {
            assert!(!page.contains("http://") && !page.contains("https://"), "another host");
            assert!(!page.contains("style=") && !page.contains("<style") && !page.contains("onclick"));
            for script in page.split("<script").skip(1) {
                assert!(script.contains("src=\"/assets/"), "an inline script");
            }
        }
        assert_ne!(LOGIN, LOGIN.replace("<p id=\"wrong\" hidden>", ""), "what is shown after a wrong token");
    }
}
