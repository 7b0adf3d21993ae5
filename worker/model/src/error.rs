//! What can go wrong with a model, sorted by what is to be done about it.

use std::fmt;

use swath_weights::Problem;

pub type Result<T> = std::result::Result<T, ModelError>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not on this machine, as it is set up: another may.
    Unfit,
    /// Weights and architecture do not belong together, or the file is damaged.
    Config,
    /// The network's output is no number: the pixels are at fault.
    Data,
    /// No memory left.
    Capacity,
    /// Another rank of the gang is gone, or does not answer.
    Gang,
    /// The engine failed.
    Internal,
}

#[derive(Debug)]
pub struct ModelError {
    pub kind: Kind,
    text: String,
}

impl ModelError {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn config(text: impl Into<String>) -> Self {
        Self { kind: Kind::Config, text: text.into() }
    }

    pub(crate) fn data(text: impl Into<String>) -> Self {
        Self { kind: Kind::Data, text: text.into() }
    }

    pub(crate) fn capacity(text: impl Into<String>) -> Self {
        Self { kind: Kind::Capacity, text: text.into() }
    }

    pub(crate) fn internal(text: impl Into<String>) -> Self {
        Self { kind: Kind::Internal, text: text.into() }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ModelError {}

impl From<swath_weights::WeightsError> for ModelError {
    fn from(error: swath_weights::WeightsError) -> Self {
        // Another worker has a copy of its own.
        let kind = match error.problem {
            Problem::Io { .. } => Kind::Unfit,
            _ => Kind::Config,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<tch::TchError> for ModelError {
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        // The engine's own texts go on with a stack of C++ frames that help nobody here.
        let text = text.split("\nException raised from").next().unwrap_or_default().to_owned();
        // The last three are what cards say of it.
        let told = [
            "not enough memory",
            "out of memory",
            "bad_alloc",
            "unable to find an engine",
            "CUDNN_STATUS_ALLOC_FAILED",
            "CUBLAS_STATUS_ALLOC_FAILED",
        ];
        let kind = match () {
            () if told.iter().any(|told| text.contains(told)) => Kind::Capacity,
            // A backward pass that waited for the gradients of others: the transport names its own sources.
            () if ["gloo/", "gang/", "NCCL"].iter().any(|told| text.contains(told)) => Kind::Gang,
            () => Kind::Internal,
        };
        Self { kind, text }
    }
}
