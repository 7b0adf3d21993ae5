//! `sqs://REGION/PREFIX?endpoint=URL`: where the queues are and what they are called.

use anyhow::anyhow;
use url::Url;

use crate::{Error, Kind, Result, queue::Lane};

/// SQS takes 80 characters, and the longest ending is `-steps`.
const LONGEST_PREFIX: usize = 74;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) region: String,
    prefix: String,
    /// Another server that speaks SQS, or a way to AWS's own that is not the usual one.
    pub(super) endpoint: Option<String>,
}

impl Address {
    /// `own`: what queues are called where the URL names no prefix.
    pub(super) fn read(url: &Url, own: &str) -> Result<Self> {
        let wrong = |why: String| {
            // Who puts a password into the endpoint is not to find it in a log.
            let mut shown = url.clone();
            shown.set_query(None);
            let doing = format!("reading {}", crate::open::redacted(shown.as_str()));
            Err(Error::new(Kind::Config, doing, anyhow!(why)))
        };
        if !url.username().is_empty() || url.password().is_some() || url.port().is_some() {
            return wrong(
                "it is sqs://REGION/PREFIX, without user, password or port: credentials come from AWS_* variables \
                 or a profile, another server from ?endpoint=URL"
                    .into(),
            );
        }
        let region = url.host_str().unwrap_or_default().to_owned();
        if !crate::open::is_region(&region) {
            return wrong(format!(
                "'{region}' is no region: it is sqs://REGION/PREFIX, sqs://eu-central-1/maps for instance"
            ));
        }
        let prefix = match url.path().trim_matches('/') {
            "" => own.to_owned(),
            named => named.to_owned(),
        };
        let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if prefix.len() > LONGEST_PREFIX || !prefix.chars().all(is_safe) {
            return wrong(format!(
                "the prefix '{prefix}' begins the names of queues: it must be at most {LONGEST_PREFIX} letters, \
                 digits, '-' and '_'"
            ));
        }
        let mut endpoint = None;
        for (key, value) in url.query_pairs() {
            let is_server = |value: &str| {
                Url::parse(value).is_ok_and(|url| {
                    let has_user = !url.username().is_empty() || url.password().is_some();
                    matches!(url.scheme(), "http" | "https") && url.has_host() && !has_user
                })
            };
            match &*key {
                "endpoint" if is_server(&value) => endpoint = Some(value.into_owned()),
                "endpoint" => {
                    let shown = crate::open::redacted(&value);
                    return wrong(format!(
                        "the endpoint '{shown}' must be http://HOST or https://HOST, without user or password"
                    ));
                }
                _ => return wrong(format!("'{key}' is not known: there is endpoint=URL and nothing else")),
            }
        }
        Ok(Self { region, prefix, endpoint })
    }

    pub(super) fn queue(&self, lane: Lane) -> String {
        format!("{}-{}", self.prefix, lane.name())
    }

    /// Where messages end that nobody could settle.
    pub(super) fn dead(&self) -> String {
        format!("{}-dead", self.prefix)
    }

    /// Of one queue, for people.
    pub(super) fn shown(&self, queue: &str) -> String {
        let at = self.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        format!("sqs://{}/{queue}{at}", self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> std::result::Result<Address, String> {
        let read = Address::read(&Url::parse(url).expect("a URL"), "swath-01234567");
        read.map_err(|error| {
            assert_eq!(error.kind, Kind::Config, "{error}");
            error.told()
        })
    }

    #[test]
    fn a_url_says_where_queues_are_and_what_they_are_called() {
        let address = read("sqs://eu-central-1/maps?endpoint=http://127.0.0.1:4566").expect("a right URL");
        assert_eq!(address.region, "eu-central-1");
        assert_eq!(address.endpoint.as_deref(), Some("http://127.0.0.1:4566"));
        assert_eq!(address.queue(Lane::Steps), "maps-steps");
        assert_eq!(address.dead(), "maps-dead");
        for url in ["sqs://us-gov-west-1", "sqs://us-gov-west-1/"] {
            let address = read(url).expect("a right URL");
            assert_eq!(address.queue(Lane::Cpu), "swath-01234567-cpu", "queues are the root's own");
        }
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong() {
        for (url, word) in [
            ("sqs://my-queue", "no region"),
            ("sqs:///maps", "no region"),
            ("sqs://123456789012/maps", "no region"),
            ("sqs://eu-central-1/maps/tiles", "prefix"),
            ("sqs://eu-central-1/maps.fifo", "prefix"),
            ("sqs://eu-central-1/maps?endpoint=localhost:4566", "http://"),
            ("sqs://eu-central-1/maps?endpont=http://localhost", "endpoint=URL"),
            ("sqs://AKIA:hunter2@eu-central-1/maps", "AWS_*"),
            ("sqs://eu-central-1:4566/maps", "endpoint"),
            ("sqs://eu-central-1/maps?endpoint=http://user:hunter2@localhost", "without user"),
        ] {
            let words = read(url).expect_err("it was taken");
            assert!(words.contains(word) && !words.contains("hunter2"), "{url}: {words}");
        }
        assert!(read(&format!("sqs://eu-central-1/{}", "x".repeat(74))).is_ok());
        assert!(read(&format!("sqs://eu-central-1/{}", "x".repeat(75))).is_err());
    }
}
