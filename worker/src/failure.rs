//! From an error to what becomes of the item: the one map, exhaustive.

use swath_backends::Kind;
use swath_proto::{item::Place, outcome::FailureClass};

/// Why a job did not give an output.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("{source:#}")]
    Failed { class: FailureClass, source: anyhow::Error },
    /// Inputs that were made once are gone: their items have to be done again first.
    #[error("{message}")]
    MissingInputs { places: Vec<Place>, message: String },
    /// Not the item's fault: this worker can't do this run's items at all.
    #[error("{0:#}")]
    Unfit(anyhow::Error),
}

impl JobError {
    pub fn new(class: FailureClass, source: impl Into<anyhow::Error>) -> Self {
        Self::Failed { class, source: source.into() }
    }

    pub fn data(source: impl Into<anyhow::Error>) -> Self {
        Self::new(FailureClass::Data, source)
    }

    /// Of a file that is not under the root: whoever can't reach it is no worse a worker, and another may have the
    /// profile or the right.
    pub fn outside(error: swath_backends::Error) -> Self {
        match error.kind {
            Kind::Refused | Kind::Config => Self::new(FailureClass::Fault, error),
            _ => error.into(),
        }
    }

    /// A bug of ours: tried again, and buried if it persists.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::new(FailureClass::Fault, source)
    }
}

impl From<swath_backends::Error> for JobError {
    fn from(error: swath_backends::Error) -> Self {
        let class = match error.kind {
            Kind::Transient => FailureClass::Transient,
            // What should be there is not: it may be on its way, or gone for good.
            Kind::NotFound => FailureClass::Fault,
            // The root is everybody's: whoever can't use it is wrongly set up.
            Kind::Refused | Kind::Config => return Self::Unfit(error.into()),
            Kind::Full => FailureClass::Capacity,
            Kind::Corrupt => FailureClass::Data,
        };
        Self::new(class, error)
    }
}

impl From<swath_raster::RasterError> for JobError {
    fn from(error: swath_raster::RasterError) -> Self {
        use swath_raster::Kind;
        let class = match error.kind {
            Kind::Transient => FailureClass::Transient,
            // Another worker may have the mount, or the right.
            Kind::Missing | Kind::Refused => FailureClass::Fault,
            Kind::Unreadable | Kind::BandMissing | Kind::BadLabels | Kind::Unsupported => FailureClass::Data,
            Kind::Full => FailureClass::Capacity,
        };
        Self::new(class, error)
    }
}

impl From<swath_model::ModelError> for JobError {
    fn from(error: swath_model::ModelError) -> Self {
        use swath_model::Kind;
        let class = match error.kind {
            Kind::Config => FailureClass::Config,
            Kind::Data => FailureClass::Data,
            Kind::Capacity => FailureClass::Capacity,
            Kind::Internal => FailureClass::Fault,
        };
        Self::new(class, error)
    }
}
