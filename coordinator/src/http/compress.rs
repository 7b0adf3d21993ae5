//! Answers are made smaller for whoever takes gzip: the states of a million parts are a quarter of a megabyte, of which
//! hardly anything is left.

use std::io::Write as _;

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Below it is not worth its header, above it would take long.
const BYTES: std::ops::RangeInclusive<u64> = 1024..=8 * 1024 * 1024;
/// Pictures are small already, and what is told for as long as somebody listens is told at once.
const KINDS: [&str; 6] = [
    "application/json",
    "application/octet-stream",
    "text/html",
    "text/css",
    "text/javascript",
    "image/svg+xml",
];

pub(super) async fn compress(request: Request, next: Next) -> Response {
    let is_taken = takes_gzip(request.headers());
    let answer = next.run(request).await;
    if !is_of_a_kind(answer.headers()) {
        return answer;
    }
    let is_worth_it = answer.body().size_hint().exact().is_some_and(|bytes| BYTES.contains(&bytes));
    let (mut head, body) = answer.into_parts();
    head.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !is_taken || !is_worth_it {
        return Response::from_parts(head, body);
    }
    // It lies in memory as a whole: its size is known.
    let Ok(whole) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(head, Body::empty());
    };
    let of = whole.clone();
    let body = match tokio::task::spawn_blocking(move || gzip(&of)).await {
        Ok(Ok(small)) => {
            head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            head.headers.remove(header::CONTENT_LENGTH);
            Bytes::from(small)
        }
        _ => whole,
    };
    Response::from_parts(head, Body::from(body))
}

fn gzip(bytes: &Bytes) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|coding| {
        let mut words = coding.split(';').map(str::trim);
        let is_gzip = words.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let is_refused = |word: &str| {
            word.strip_prefix("q=")
                .is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        };
        is_gzip && !words.any(is_refused)
    })
}

fn is_of_a_kind(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    KINDS.contains(&kind) && !headers.contains_key(header::CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn who_takes_gzip_says_so() {
        let takes = |said: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(said));
            takes_gzip(&headers)
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5") && takes("deflate , gzip"));
        assert!(!takes("") && !takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.0") && !takes("xgzip"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_made_small_is_read_as_it_was() {
        let states = Bytes::from(vec![0b10_10_10_10; 250_000]);
        let small = gzip(&states).expect("in memory");
        assert!(small.len() < 2500, "{} bytes", small.len());
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(&small[..]).read_to_end(&mut read).expect("gzip");
        assert_eq!(read, states);
    }
}
