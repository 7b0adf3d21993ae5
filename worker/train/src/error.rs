//! What can go wrong with a training, sorted by what is to be done about it.

use std::{fmt, io};

use serde::{Deserialize, Serialize};
use swath_backends::Kind as BlobKind;
use swath_model::{Kind as ModelKind, ModelError};
use swath_weights::WeightsError;

pub type Result<T> = std::result::Result<T, TrainError>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Not on this machine, as it is set up: another may.
    Unfit,
    /// What was asked for can't be done: the same error everywhere.
    Config,
    /// Chips, weights or a checkpoint are at fault, or what became of them.
    Data,
    /// No memory, disk or threads left.
    Capacity,
    /// It may work in a moment.
    Transient,
    /// Another rank is gone: a new gang goes on from the last checkpoint.
    Gang,
    Internal,
}

#[derive(Debug)]
pub struct TrainError {
    pub kind: Kind,
    text: String,
}

impl TrainError {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn config(text: impl Into<String>) -> Self {
        Self::new(Kind::Config, text)
    }

    pub(crate) fn data(text: impl Into<String>) -> Self {
        Self::new(Kind::Data, text)
    }

    pub(crate) fn no_thread(error: &io::Error) -> Self {
        Self::new(Kind::Capacity, format!("starting a thread: {error}"))
    }

    /// Says what was done when it happened.
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self { text: format!("{place}: {}", self.text), ..self }
    }

    /// Says more of it.
    pub(crate) fn and(self, more: impl fmt::Display) -> Self {
        Self { text: format!("{}; {more}", self.text), ..self }
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TrainError {}

impl From<ModelError> for TrainError {
    fn from(error: ModelError) -> Self {
        let kind = match error.kind {
            ModelKind::Unfit => Kind::Unfit,
            ModelKind::Config => Kind::Config,
            ModelKind::Data => Kind::Data,
            ModelKind::Capacity => Kind::Capacity,
            ModelKind::Gang => Kind::Gang,
            ModelKind::Internal => Kind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<WeightsError> for TrainError {
    fn from(error: WeightsError) -> Self {
        Self::data(error.to_string())
    }
}

impl From<swath_backends::Error> for TrainError {
    fn from(error: swath_backends::Error) -> Self {
        let kind = match error.kind {
            BlobKind::Transient => Kind::Transient,
            BlobKind::NotFound | BlobKind::Corrupt => Kind::Data,
            BlobKind::Full => Kind::Capacity,
            BlobKind::Refused | BlobKind::Config => Kind::Config,
        };
        Self::new(kind, format!("{error}: {:#}", error.source))
    }
}
