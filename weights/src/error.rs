//! What can be wrong with a file of weights, and what to do about it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use swath_zip::ZipError;

/// A problem, and where it is.
#[derive(Debug)]
pub struct WeightsError {
    pub file: PathBuf,
    /// The tensor or the member of an archive.
    pub member: Option<String>,
    pub problem: Problem,
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, member, problem } = self;
        match member {
            Some(member) => write!(f, "{}: '{member}': {problem}", file.display()),
            None => write!(f, "{}: {problem}", file.display()),
        }
    }
}

impl std::error::Error for WeightsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{doing}: {error}")]
    Io {
        doing: &'static str,
        #[source]
        error: io::Error,
    },
    #[error("{0}")]
    NotWeights(&'static str),
    #[error("this is a TorchScript module: use architecture = \"torchscript\"")]
    TorchScript,
    #[error(
        "this file wants to run '{0}': refused; save the weights alone: torch.save(model.state_dict(), ...)"
    )]
    Refused(String),
    #[error("written by a big-endian machine; load it with PyTorch and save it again on a little-endian one")]
    BigEndian,
    #[error("{0}; the file is damaged or not by torch.save or safetensors: fetch it or save it again")]
    Malformed(String),
    #[error("{what}; at most {limit} are read: save the weights alone, without what is beside them")]
    TooMuch { what: String, limit: u64 },
    #[error("{0}")]
    Unsupported(String),
    #[error(
        "no dict of tensors in it, nor under state_dict, model_state_dict, model or network: \
         save the weights alone: torch.save(model.state_dict(), ...)"
    )]
    NoTensors,
    #[error("no tensor of this name; the file has {0} others")]
    NoSuchTensor(usize),
    #[error("element {index} is {value}: the weights are broken, train or fetch them again")]
    NotFinite { index: u64, value: f64 },
    #[error("its SHA-256 is {found}, which does not begin with {wanted} as its name says: fetch it again")]
    Hash { wanted: String, found: String },
}

pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// A problem within a file that its finder does not know the name of.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) member: Option<String>,
    pub(crate) problem: Problem,
}

impl From<ZipError> for Problem {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io { doing, error } => Self::Io { doing, error },
            ZipError::NotAFile => Self::NotWeights("this is no file: give the path of a file of weights"),
            ZipError::Malformed(text) => Self::Malformed(text),
            ZipError::Changed => Self::Malformed(error.to_string()),
            ZipError::TooMuch { what, limit } => Self::TooMuch { what, limit },
            ZipError::Packed => Self::Unsupported(
                "it is compressed or encrypted, which torch.save does not do: \
                 the archive was packed anew; unpack it and pack it with 'zip -0', or save it again"
                    .into(),
            ),
        }
    }
}

impl From<ZipError> for Located {
    fn from(error: ZipError) -> Self {
        Problem::from(error).into()
    }
}

impl From<Problem> for Located {
    fn from(problem: Problem) -> Self {
        Self { member: None, problem }
    }
}

impl Located {
    pub(crate) fn in_file(self, file: &Path) -> WeightsError {
        WeightsError { file: file.to_owned(), member: self.member, problem: self.problem }
    }
}

impl Problem {
    pub(crate) fn within(self, member: &str) -> Located {
        Located { member: Some(shown(member)), problem: self }
    }

    pub(crate) fn in_file(self, file: &Path) -> WeightsError {
        Located::from(self).in_file(file)
    }

    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, error }
    }
}

pub(crate) fn malformed<T>(text: impl Into<String>) -> Result<T> {
    Err(Problem::Malformed(text.into()))
}

pub(crate) fn at_most(n: u64, limit: u64, what: &str) -> Result<()> {
    if n <= limit {
        return Ok(());
    }
    Err(Problem::TooMuch { what: format!("{n} {what}"), limit })
}

/// Part of a name that came from a file, fit for a message.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(100).flat_map(char::escape_debug).collect()
}
