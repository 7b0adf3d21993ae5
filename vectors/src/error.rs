//! Why a feature did not reach the file.

use parquet::errors::ParquetError;

use crate::feature::BadFeature;

pub type Result<T> = std::result::Result<T, WriteError>;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing of the feature was written; the writer can go on.
    #[error(transparent)]
    Feature(#[from] BadFeature),
    /// The file is lost.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is lost, and the writer is to blame.
    #[error("encoding GeoParquet: {0}")]
    Encode(String),
}

impl From<ParquetError> for WriteError {
    /// A full disk is a full disk, whichever library met it.
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(inner) => match inner.downcast() {
                Ok(io) => Self::Io(*io),
                Err(other) => Self::Encode(other.to_string()),
            },
            other => Self::Encode(other.to_string()),
        }
    }
}
