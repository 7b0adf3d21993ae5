//! What Redis says no with, and what a person can do about it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{Error, Kind, tls};

pub(super) fn failed(doing: impl Into<String>, error: RedisError) -> Error {
    let (kind, advice) = (kind(&error), advice(&error));
    match advice {
        Some(advice) => Error::new(kind, doing, advised(&error, advice)),
        None => Error::new(kind, doing, error),
    }
}

/// As [`failed`], where nothing has worked yet.
pub(super) fn shut(doing: impl Into<String>, error: RedisError) -> Error {
    let advice = match kind(&error) {
        Kind::Transient => Some(
            "is it up, are host and port right (6379), does it speak TLS if and only if the URL says rediss://, and does no \
             firewall stand between?",
        ),
        _ => None,
    };
    match advice {
        Some(advice) => Error::new(Kind::Transient, doing, advised(&error, advice)),
        None => greeted(doing, error),
    }
}

/// As [`failed`], where the server says its first words.
pub(super) fn greeted(doing: impl Into<String>, error: RedisError) -> Error {
    match error.kind() {
        ErrorKind::Parse => {
            let advice = "something answers there, and it is not Redis: are host and port right (6379)?";
            Error::new(Kind::Config, doing, advised(&error, advice))
        }
        _ => failed(doing, error),
    }
}

fn advised(error: &RedisError, advice: &str) -> anyhow::Error {
    anyhow::anyhow!("{error}: {advice}")
}

pub(super) fn kind(error: &RedisError) -> Kind {
    if is_crowded(error) {
        return Kind::Transient;
    }
    if tls::advice(error).is_some() || lacks_a_right(error) {
        return Kind::Refused;
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => Kind::Refused,
        ErrorKind::InvalidClientConfig => Kind::Config,
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Kind::Transient,
        // A failover: the primary is gone or demoted, and another takes its place in some seconds.
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        ) => Kind::Transient,
        _ if matches!(error.code(), Some("OOM" | "MISCONF")) => Kind::Full,
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => Kind::Refused,
        _ if matches!(
            error.code(),
            Some("LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "NOREPLICAS" | "BUSY")
        ) =>
        {
            Kind::Transient
        }
        _ if error.is_connection_dropped() || error.is_timeout() || error.is_connection_refusal() => {
            Kind::Transient
        }
        _ => Kind::Corrupt,
    }
}

/// More clients than it takes, as after a failover, when all come back at once: said before it asks who one is, and
/// by text alone.
fn is_crowded(error: &RedisError) -> bool {
    error.to_string().contains("max number of clients reached")
}

/// Of a command inside a script, Redis 7.0 says so by text alone.
fn lacks_a_right(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
        || (error.code() == Some("ERR")
            && error.detail().is_some_and(|detail| detail.starts_with("The user executing the script can't")))
}

fn advice(error: &RedisError) -> Option<&'static str> {
    if is_crowded(error) {
        return Some("raise its maxclients");
    }
    if lacks_a_right(error) {
        return Some("the user lacks a right: docs/servers.md has the ACL line that is enough");
    }
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => Some(
            "wrong user or password: redis://USER:PASSWORD@HOST, or redis://:PASSWORD@HOST where there are no users",
        ),
        (_, Some("NOAUTH")) => {
            Some("it asks for a password: redis://USER:PASSWORD@HOST, or redis://:PASSWORD@HOST")
        }
        (_, Some("MISCONF")) => {
            Some("Redis can't write its snapshots and takes no more: mend its disk, or set save \"\"")
        }
        (_, Some("OOM")) => Some("Redis has no memory left: raise maxmemory"),
        _ => tls::advice(error),
    }
}
