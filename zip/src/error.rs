use std::io;

#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    #[error("{doing}: {error}")]
    Io {
        doing: &'static str,
        #[source]
        error: io::Error,
    },
    #[error("this is no file")]
    NotAFile,
    #[error("{0}")]
    Malformed(String),
    #[error("{what}; at most {limit} are read")]
    TooMuch { what: String, limit: u64 },
    #[error("it is compressed or encrypted")]
    Packed,
    #[error("it changed while it was read")]
    Changed,
}

pub(crate) type Result<T, E = ZipError> = std::result::Result<T, E>;

impl ZipError {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, error }
    }
}

pub(crate) fn malformed<T>(text: impl Into<String>) -> Result<T> {
    Err(ZipError::Malformed(text.into()))
}

pub(crate) fn at_most(n: u64, limit: u64, what: &str) -> Result<()> {
    if n <= limit { Ok(()) } else { Err(ZipError::TooMuch { what: format!("{n} {what}"), limit }) }
}

/// Part of a name that came from a file, fit for a message.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(100).flat_map(char::escape_debug).collect()
}
