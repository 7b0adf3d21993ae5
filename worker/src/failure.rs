//! From an error to its class, and from the class to what becomes of the item: the one map, exhaustive.
//! `docs/failures.md` tells it to people.

use std::any::Any;

use swath_backends::Kind;
use swath_proto::{item::Place, outcome::FailureClass};

/// What becomes of an item that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody else gets it at once; nothing is booked.
    HandBack,
    /// A failure is booked. Somebody gets it after a pause, or it is buried if that was its last try.
    TryAgain,
    /// Set aside with its cause: the same error would come again.
    Bury,
    /// A failure is booked, and the coordinator ends the run: every item would fail like this.
    StopRun,
}

impl Verdict {
    /// `root_answers` is asked only where it matters: no item is to blame for a root that is away.
    pub const fn of(class: FailureClass, root_answers: bool) -> Self {
        match class {
            FailureClass::Preempted => Self::HandBack,
            FailureClass::Transient if !root_answers => Self::HandBack,
            // By then this worker has tried it again with pauses (transient), or alone (capacity).
            FailureClass::Transient | FailureClass::Capacity | FailureClass::Fault => Self::TryAgain,
            FailureClass::Data | FailureClass::Dropped => Self::Bury,
            FailureClass::Config => Self::StopRun,
        }
    }
}

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

    pub const fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Failed { class, .. } => Some(*class),
            Self::MissingInputs { .. } | Self::Unfit(_) => None,
        }
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

    /// A bug of ours as well.
    pub fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Self::internal(anyhow::anyhow!("it panicked: {text}"))
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
            // It leaves, and the run goes on with others.
            Kind::Unfit => return Self::Unfit(error.into()),
            Kind::Config => FailureClass::Config,
            Kind::Data => FailureClass::Data,
            Kind::Capacity => FailureClass::Capacity,
            Kind::Gang => FailureClass::Transient,
            Kind::Internal => FailureClass::Fault,
        };
        Self::new(class, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_alone_decides_but_for_a_root_that_is_away() {
        use FailureClass::*;
        for (class, verdict) in [
            (Transient, Verdict::TryAgain),
            (Preempted, Verdict::HandBack),
            (Capacity, Verdict::TryAgain),
            (Fault, Verdict::TryAgain),
            (Data, Verdict::Bury),
            (Config, Verdict::StopRun),
            (Dropped, Verdict::Bury),
        ] {
            assert_eq!(Verdict::of(class, true), verdict, "{class:?}");
            let away = if class == Transient { Verdict::HandBack } else { verdict };
            assert_eq!(Verdict::of(class, false), away, "{class:?}, the root is away");
        }
    }

    #[test]
    fn what_a_server_says_has_a_class() {
        let class =
            |kind| JobError::from(swath_backends::Error::new(kind, "x", anyhow::anyhow!("y"))).class();
        for (kind, wanted) in [
            (Kind::Transient, Some(FailureClass::Transient)),
            (Kind::NotFound, Some(FailureClass::Fault)),
            (Kind::Full, Some(FailureClass::Capacity)),
            (Kind::Corrupt, Some(FailureClass::Data)),
            // Whoever can't use the root leaves.
            (Kind::Refused, None),
            (Kind::Config, None),
        ] {
            assert_eq!(class(kind), wanted, "{kind:?}");
        }
    }
}
