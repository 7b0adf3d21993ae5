//! One error for all doors. Decisions look at its kind, never at its text.

use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may work in a moment: a lost connection, a busy or restarting server.
    Transient,
    /// What was asked for is not there.
    NotFound,
    /// The server says no: credentials, permissions.
    Refused,
    /// No disk or memory left.
    Full,
    /// A wrong URL or name, or a server that can't do what is needed.
    Config,
    /// What was read is not what was written.
    Corrupt,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Transient, Self::NotFound, Self::Refused, Self::Full, Self::Config, Self::Corrupt];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::Config => "config",
            Self::Corrupt => "corrupt",
        }
    }
}

#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    /// What was tried, and on what: "get s3://bucket/key".
    pub doing: String,
    pub source: anyhow::Error,
}

impl Error {
    pub fn new(kind: Kind, doing: impl Into<String>, source: impl Into<anyhow::Error>) -> Self {
        Self { kind, doing: doing.into(), source: source.into() }
    }

    /// What was tried, and all that was in the way: a line for people.
    pub fn told(&self) -> String {
        format!("{}: {:#}", self.doing, self.source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}
