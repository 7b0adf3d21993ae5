//! How files outside the root are reached, where it is not as the environment says. Names and flags: a key or
//! a password never stands here, so that it may lie in `run.json` and go over the queue. It decides no pixel,
//! and so no item's id. [`Pass`] is what was settled of it, keys and all: it is handed from one library to another
//! within a process, and can't be written.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How S3 is asked for what lies under a prefix. The longest prefix that fits a file is its own; what fits none is
/// reached as the environment says (`AWS_*`), and so is everything under the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Of what: "s3://bucket", or "s3://bucket/prefix".
    pub prefix: String,
    /// The ARN of a role to assume, as those who are known by `profile` or the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// A profile of ~/.aws/config and ~/.aws/credentials, on every machine that reads the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Ask without credentials: for public buckets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub anonymous: bool,
    /// Pay for what is read, where the bucket's owner does not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requester_pays: bool,
    /// The region of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The URL of a store that speaks like S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Ask for ENDPOINT/bucket/key, not for bucket.ENDPOINT/key. Where there is an endpoint, and nothing is said,
    /// that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Access {
    /// The entry for a file, where one fits.
    pub fn of<'a>(all: &'a [Self], uri: &str) -> Option<&'a Self> {
        all.iter().filter(|access| access.covers(uri)).max_by_key(|access| access.place().len())
    }

    /// Whether a file or folder lies under the prefix: whole names alone count.
    pub fn covers(&self, uri: &str) -> bool {
        uri.strip_prefix(self.place()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn place(&self) -> &str {
        self.prefix.trim_end_matches('/')
    }

    /// Whether two entries are about the same files.
    pub fn is_of(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    /// What is wrong, and with which key.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let wrong = |key, why: &str| Some((key, why.to_owned()));
        let bucket = self.prefix.strip_prefix("s3://").map(|rest| rest.split('/').next().unwrap_or_default());
        let is_bucket = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        if !bucket.is_some_and(is_bucket) {
            return wrong("prefix", "must be s3://bucket or s3://bucket/prefix");
        }
        if self.role.as_ref().is_some_and(|role| !(role.starts_with("arn:") && role.contains(":role/"))) {
            return wrong(
                "role",
                "must be the ARN of a role, arn:aws:iam::123456789012:role/reader for instance",
            );
        }
        for (key, word) in [("profile", &self.profile), ("region", &self.region)] {
            if word.as_ref().is_some_and(|word| word.is_empty() || word.contains(char::is_control)) {
                return wrong(key, "must be a name");
            }
        }
        if let Some(endpoint) = &self.endpoint
            && let Some(why) = bad_endpoint(endpoint)
        {
            return Some(("endpoint", why));
        }
        let signs = [("role", self.role.is_some()), ("profile", self.profile.is_some())];
        if let Some((key, _)) = signs.into_iter().find(|(_, given)| *given && self.anonymous) {
            return wrong(
                "anonymous",
                &format!("asks without credentials, and {key} names some: give just one of both"),
            );
        }
        if self.anonymous && self.requester_pays {
            return wrong(
                "anonymous",
                "asks without credentials, and requester_pays needs somebody who pays",
            );
        }
        let nothing = Self { prefix: self.prefix.clone(), ..Self::default() };
        if *self == nothing {
            return wrong(
                "prefix",
                "stands alone, which changes nothing: give role, profile, anonymous, requester_pays, region, endpoint \
                 or path_style",
            );
        }
        None
    }
}

/// All that whoever asks a store has to know of files under a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// `s3://`, `s3://bucket` or `s3://bucket/prefix`.
    pub prefix: String,
    /// A URL without the bucket.
    pub endpoint: String,
    pub region: String,
    pub path_style: bool,
    pub requester_pays: bool,
    /// None: nothing is signed.
    pub keys: Option<Keys>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, ***)", self.id)
    }
}

fn bad_endpoint(endpoint: &str) -> Option<String> {
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Some("must begin with https:// or http://".into());
    };
    if rest.contains('@') {
        return Some(
            "must not hold a user or a password: keys come from the environment or a profile".into(),
        );
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let host = rest.strip_suffix('/').unwrap_or(rest);
    (host.is_empty() || !host.chars().all(is_host))
        .then(|| "must be a host and, as wanted, a port: https://minio.example:9000 for instance".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prefix: &str) -> Access {
        Access { prefix: prefix.into(), requester_pays: true, ..Access::default() }
    }

    #[test]
    fn the_longest_prefix_of_whole_names_is_a_files_own() {
        let all = [of("s3://a"), of("s3://a/deep/er/"), of("s3://a/deep"), of("s3://ab")];
        let found = |uri| Access::of(&all, uri).map(|access| access.prefix.as_str());
        assert_eq!(found("s3://a/x.tif"), Some("s3://a"));
        assert_eq!(found("s3://a/deep/x.tif"), Some("s3://a/deep"));
        assert_eq!(found("s3://a/deep/er/x.tif"), Some("s3://a/deep/er/"));
        assert_eq!(found("s3://a/deeper/x.tif"), Some("s3://a"));
        assert_eq!(found("s3://ab/deep/x.tif"), Some("s3://ab"));
        assert_eq!(found("s3://abc/x.tif"), None);
        assert_eq!(found("/a/x.tif"), None);
    }

    #[test]
    fn what_contradicts_itself_or_holds_a_secret_is_told() {
        let role = || Some("arn:aws:iam::123456789012:role/reader".to_owned());
        let right = Access { role: role(), ..of("s3://a/b") };
        assert_eq!(right.problem(), None);
        for (wrong, key, word) in [
            (of("a/b"), "prefix", "s3://"),
            (of("s3:///b"), "prefix", "s3://"),
            (Access { requester_pays: false, ..of("s3://a") }, "prefix", "nothing"),
            (Access { role: Some("reader".into()), ..of("s3://a") }, "role", "arn:"),
            (
                Access { role: role(), anonymous: true, requester_pays: false, ..of("s3://a") },
                "anonymous",
                "role",
            ),
            (Access { anonymous: true, ..of("s3://a") }, "anonymous", "pays"),
            (Access { endpoint: Some("minio:9000".into()), ..of("s3://a") }, "endpoint", "https://"),
            (
                Access { endpoint: Some("https://me:secret@minio".into()), ..of("s3://a") },
                "endpoint",
                "password",
            ),
            (Access { endpoint: Some("https://minio/path".into()), ..of("s3://a") }, "endpoint", "host"),
            (Access { profile: Some(String::new()), ..of("s3://a") }, "profile", "name"),
        ] {
            let (at, why) = wrong.problem().expect("it is wrong");
            assert!(at == key && why.contains(word), "{wrong:?}: {at} {why}");
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
