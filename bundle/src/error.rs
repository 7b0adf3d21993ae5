//! What can be wrong with a bundle, and what to do about it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use swath_proto::ids::Digest;
use swath_weights::WeightsError;
use swath_zip::ZipError;

/// A problem, and where it is.
#[derive(Debug)]
pub struct BundleError {
    pub file: PathBuf,
    pub member: Option<String>,
    pub problem: Problem,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, member, problem } = self;
        match member {
            Some(member) => write!(f, "{}: '{member}': {problem}", file.display()),
            None => write!(f, "{}: {problem}", file.display()),
        }
    }
}

impl std::error::Error for BundleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Zip(#[from] ZipError),
    #[error("this is no bundle: give the bundle.zip that a run has made")]
    NotABundle,
    #[error("this is a bundle of Raster Vision: swath import raster-vision makes one of ours of it")]
    RasterVision,
    #[error("the bundle has no such member: it was changed, fetch or make it again")]
    Missing,
    #[error("the path climbs out of the bundle: refused, do not unpack it elsewhere either")]
    Climbs,
    #[error("it is a symbolic link, which no bundle has: refused, do not unpack it elsewhere either")]
    Link,
    #[error("it does not belong in a bundle: it was changed, fetch or make it again")]
    Stranger,
    #[error("it shares bytes with another member: the bundle was changed, fetch or make it again")]
    Overlap,
    #[error("its {len} bytes are more than the {limit} that are read")]
    TooLong { len: u64, limit: u64 },
    #[error("it has {found} bytes and should have {wanted}: it was changed, fetch or make it again")]
    Length { wanted: u64, found: u64 },
    #[error("its SHA-256 is {found} and should be {wanted}: it was changed, fetch or make it again")]
    Digest { wanted: Digest, found: Digest },
    #[error("its check sum is wrong: it was damaged, fetch or make it again")]
    CheckSum,
    #[error(
        "version {found} of the format, written by swath {program}; this program reads version 1: \
         use swath {program} or later"
    )]
    Version { found: String, program: String },
    #[error("{0}")]
    Json(serde_json::Error),
    #[error("{0}")]
    Model(String),
    #[error("{}{problem}", tensor.as_ref().map(|tensor| format!("'{tensor}': ")).unwrap_or_default())]
    Weights { tensor: Option<String>, problem: swath_weights::Problem },
}

impl From<WeightsError> for Problem {
    fn from(WeightsError { member, problem, .. }: WeightsError) -> Self {
        Self::Weights { tensor: member, problem }
    }
}

pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// A problem within a file that its finder does not know the name of.
#[derive(Debug)]
pub(crate) struct Located {
    member: Option<String>,
    problem: Problem,
}

impl<P: Into<Problem>> From<P> for Located {
    fn from(problem: P) -> Self {
        Self { member: None, problem: problem.into() }
    }
}

impl Located {
    pub(crate) fn in_file(self, file: &Path) -> BundleError {
        BundleError { file: file.to_owned(), member: self.member, problem: self.problem }
    }
}

pub(crate) fn within<P: Into<Problem>>(member: &str) -> impl Fn(P) -> Located {
    move |problem| Located { member: Some(shown(member)), problem: problem.into() }
}

/// Part of a text that came from a file, fit for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}
