//! What stands behind the `?` of a server's URL: settings of ours are taken out before a client reads the rest, and a
//! word that nobody knows is an error, not something to be passed over.

use anyhow::anyhow;
use url::Url;

use crate::{Error, Kind, Result, open::redacted};

/// Takes a setting out of the URL.
pub(crate) fn take(url: &mut Url, name: &str) -> Option<String> {
    let (taken, rest): (Vec<_>, Vec<_>) = url.query_pairs().into_owned().partition(|(key, _)| key == name);
    if taken.is_empty() {
        return None;
    }
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    taken.into_iter().next_back().map(|(_, value)| value)
}

/// The URL itself, and beside it the others of the same cluster that `nodes` names as `HOST:PORT,HOST:PORT`.
pub(crate) fn nodes(url: &mut Url) -> Result<Vec<Url>> {
    let others = take(url, "nodes").unwrap_or_default();
    let mut nodes = vec![url.clone()];
    for other in others.split(',').filter(|other| !other.is_empty()) {
        let wrong = || {
            let why = anyhow!("nodes: '{other}' is not HOST or HOST:PORT");
            Error::new(Kind::Config, format!("reading {}", redacted(url.as_str())), why)
        };
        let place = Url::parse(&format!("{}://{other}", url.scheme())).map_err(|_| wrong())?;
        let mut node = url.clone();
        node.set_host(place.host_str()).map_err(|_| wrong())?;
        node.set_port(place.port().or(url.port())).map_err(|()| wrong())?;
        nodes.push(node);
    }
    Ok(nodes)
}

/// All that is left must be among the client's own settings.
pub(crate) fn check(url: &Url, of_client: &[&str], ours: &[&str]) -> Result<()> {
    let unknown = url.query_pairs().find(|(key, _)| !of_client.contains(&key.as_ref()));
    let Some((key, _)) = unknown else { return Ok(()) };
    let known = [ours, of_client].concat().join(", ");
    let why = anyhow!("'{key}' behind the ? is not known; there are {known}");
    Err(Error::new(Kind::Config, format!("reading {}", redacted(url.as_str())), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_ours_are_taken_out_and_the_rest_stays() {
        let mut url: Url = "amqp://h/%2fv%20x?heartbeat=5&prefix=a%26b&frame_max=9".parse().expect("a URL");
        assert_eq!(take(&mut url, "prefix").as_deref(), Some("a&b"));
        assert_eq!(url.as_str(), "amqp://h/%2fv%20x?heartbeat=5&frame_max=9");
        assert_eq!(take(&mut url, "prefix"), None);
        assert_eq!(
            (take(&mut url, "heartbeat"), take(&mut url, "frame_max")),
            (Some("5".into()), Some("9".into()))
        );
        assert_eq!(url.as_str(), "amqp://h/%2fv%20x");
    }

    #[test]
    fn a_word_that_nobody_knows_is_an_error_that_lists_those_there_are() {
        let url: Url = "amqp://u:hunter2@h/?heartbeat=5&cacert=x".parse().expect("a URL");
        let error = check(&url, &["heartbeat"], &["cacertfile"]).expect_err("it was passed over");
        assert_eq!(error.kind, Kind::Config);
        let words = error.told();
        assert!(words.contains("'cacert'") && words.contains("cacertfile, heartbeat"), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}
