//! How documents lead to each other and to what they were made from.

use serde_json::{Value, json};

pub(crate) const JSON: &str = "application/json";
pub(crate) const GEOJSON: &str = "application/geo+json";

pub(crate) fn link(rel: &str, href: &str, media: &str) -> Value {
    json!({"rel": rel, "href": href, "type": media})
}

/// From a document in a folder so deep under the root to an object. Keys hold nothing that a URL would have to escape.
pub(crate) fn up(depth: usize, key: &str) -> String {
    format!("{}{key}", "../".repeat(depth))
}

/// A file outside the root as others may be told of it: without the name and password that a URL can carry, and
/// without the query of a signed one.
pub(crate) fn outside(uri: &str) -> String {
    match uri.split_once("://") {
        None => format!("file://{}", escaped(uri)),
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            // In a bucket a question mark is a letter as any other.
            let is_web = scheme.starts_with("http");
            let path = if is_web { path.split(['?', '#']).next().unwrap_or_default() } else { path };
            let host = if is_web { host.split(['?', '#']).next().unwrap_or_default() } else { host };
            format!("{scheme}://{host}{}", escaped(path))
        }
    }
}

fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'=' | b'+' | b',' | b'@' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_without_secrets() {
        for (uri, wanted) in [
            ("/data/north 1.tif", "file:///data/north%201.tif"),
            ("s3://bucket/a/ü?.tif", "s3://bucket/a/%C3%BC%3F.tif"),
            ("https://me:secret@host/a.tif?X-Amz-Signature=abc#x", "https://host/a.tif"),
            ("https://host?token=abc", "https://host"),
        ] {
            assert_eq!(outside(uri), wanted);
        }
    }
}
