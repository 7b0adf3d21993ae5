//! What can go wrong with a raster, sorted by what is to be done about it.

use gdal::errors::GdalError;

pub type Result<T> = std::result::Result<T, RasterError>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A server that is away; it may work in a moment.
    Transient,
    /// Credentials or permissions.
    Refused,
    /// There is no such file.
    Missing,
    /// Not a raster, or a damaged one.
    Unreadable,
    BandMissing,
    BadLabels,
    /// A layout or type that can't be used.
    Unsupported,
    /// No disk or memory left.
    Full,
}

#[derive(Debug, thiserror::Error)]
#[error("{doing}: {why}")]
pub struct RasterError {
    pub kind: Kind,
    doing: String,
    why: String,
}

impl RasterError {
    pub(crate) fn new(kind: Kind, doing: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), why: why.into() }
    }

    /// GDAL tells by numbers and, where those are too coarse, by text.
    pub(crate) fn gdal(doing: impl Into<String>, error: GdalError) -> Self {
        let why = match &error {
            GdalError::CplError { msg, .. } | GdalError::NullPointer { msg, .. } if !msg.is_empty() => {
                msg.clone()
            }
            GdalError::NullPointer { method_name: "GDALOpenEx", .. } => {
                "it is no raster that GDAL knows how to read".into()
            }
            other => other.to_string(),
        };
        Self { kind: kind(&error, &why), doing: doing.into(), why }
    }

    /// By GDAL's words alone; a remote file that it says nothing about is not there.
    pub(crate) fn told(doing: impl Into<String>, why: String) -> Self {
        Self { kind: by_words(&why).unwrap_or(Kind::Missing), doing: doing.into(), why }
    }

    /// The same, where it was found that the store is to blame.
    pub(crate) fn of_store(self) -> Self {
        let why = format!("{} (the store's answers break off)", self.why);
        Self { kind: Kind::Transient, why, ..self }
    }

    pub(crate) fn io(doing: impl Into<String>, error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::Missing,
            std::io::ErrorKind::PermissionDenied => Kind::Refused,
            std::io::ErrorKind::StorageFull => Kind::Full,
            _ => Kind::Transient,
        };
        Self { kind, doing: doing.into(), why: error.to_string() }
    }
}

/// `CPLE_OutOfMemory`, which the bindings leave out.
const OUT_OF_MEMORY: i32 = 2;

fn kind(error: &GdalError, why: &str) -> Kind {
    by_words(why).unwrap_or(match error {
        GdalError::CplError { number, .. } if *number == OUT_OF_MEMORY => Kind::Full,
        _ => Kind::Unreadable,
    })
}

fn by_words(why: &str) -> Option<Kind> {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if says(&[
        "No such file",
        "does not exist",
        "NoSuchKey",
        "HTTP response code: 404",
        "not recognized as being in",
    ]) && !says(&["not recognized as a supported"])
    {
        return Some(Kind::Missing);
    }
    // Keys that have run out in the middle of an item are fetched anew for its next try.
    if says(&["ExpiredToken"]) {
        return Some(Kind::Transient);
    }
    if says(&[
        "AccessDenied",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "HTTP response code: 403",
        "Permission denied",
        "AWS_SECRET_ACCESS_KEY",
    ]) {
        return Some(Kind::Refused);
    }
    if says(&["No space left"]) {
        return Some(Kind::Full);
    }
    if says(&[
        "HTTP response code: 5",
        "Connection refused",
        "Couldn't connect",
        "timed out",
        "SlowDown",
        "CURL error",
        "Could not resolve",
    ]) {
        return Some(Kind::Transient);
    }
    // "HTTP response code on URL: 503"; 0 is no answer at all.
    if why.contains("HTTP response code") {
        let code = why.rsplit(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
        return Some(match code.and_then(|digits| digits.parse::<u16>().ok()) {
            Some(404) => Kind::Missing,
            Some(401 | 403) => Kind::Refused,
            _ => Kind::Transient,
        });
    }
    None
}
