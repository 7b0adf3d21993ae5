//! Where workers come from: one trait for processes of this machine and for machines that are rented.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use swath_proto::{
    fleet::{Market, WorkerKind},
    ids::RunId,
    item::Stage,
};

/// Its verbs may be called again after an error or a time-out; nothing then happens twice.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Starts workers of a kind, and returns those of this order, also the ones that an earlier call has
    /// started. Whatever happens in between, one `order.token` never starts more than `order.n` workers: the
    /// order lies under the root before this is called, and is given again, unchanged, until it is answered; in
    /// doubt the provider lists by the token before it starts another. Fewer may be returned: then there is no
    /// room for more now.
    async fn start(&self, order: &Order) -> Result<Vec<JobId>, ProviderError>;

    /// This fleet's jobs that are not over, and those that have ended lately (for ten minutes at least).
    async fn jobs(&self) -> Result<Vec<Job>, ProviderError>;

    /// Ends a job that does not work yet, or that never leaves. One that is over is left as it is.
    async fn cancel(&self, job: &JobId, why: &str) -> Result<(), ProviderError>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Of this order alone, for ever: letters, digits and '-', 40 at most.
    pub token: String,
    pub kind: WorkerKind,
    /// Nothing to a provider that knows no such thing.
    pub market: Market,
    /// At least one.
    pub n: u32,
    /// For tags: whose work is waiting most, and which. The workers take any run's.
    pub run: Option<RunId>,
    pub stage: Option<Stage>,
}

/// As the worker's card says in `job`: `batch:JOBID` (of an array's child, `batch:JOBID:INDEX`), `local:TOKEN-N`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub String);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One worker: of an array, one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    /// Of the order that it was started for.
    pub token: String,
    pub kind: WorkerKind,
    pub market: Market,
    pub state: JobState,
    /// When the provider was asked for it.
    pub asked: Timestamp,
    /// From when to when it has cost something, as far as it has come.
    pub began: Option<Timestamp>,
    pub ended: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// There is no machine for it yet; `why`, where the provider says it.
    Queued {
        why: Option<String>,
    },
    /// It has a machine, and its program does not run yet.
    Launching,
    Running,
    Ended(Ending),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has left by itself, or was cancelled.
    Done,
    /// Its machine was taken away or has died: nothing is wrong with the job.
    HostLost,
    /// Its program or image is at fault; in words.
    Failed(String),
}

impl JobState {
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It may work in a moment: throttled, away, no answer.
    Away,
    /// There is nothing to be had, or a limit is reached: later, or elsewhere.
    NoCapacity,
    /// Credentials or rights: until somebody mends them.
    Refused,
    /// The set-up is wrong: a queue that is not there, an image that is missing, an environment that is INVALID.
    Config,
}

#[derive(Debug)]
pub struct ProviderError {
    pub kind: ErrorKind,
    /// What was tried, and on what: "submit to the job queue swath-gpu-spot".
    pub doing: String,
    /// What to do about it, in a sentence; empty where waiting is all there is.
    pub remedy: String,
    pub source: anyhow::Error,
}

impl ProviderError {
    pub fn new(
        kind: ErrorKind,
        doing: impl Into<String>,
        remedy: impl Into<String>,
        source: impl Into<anyhow::Error>,
    ) -> Self {
        Self { kind, doing: doing.into(), remedy: remedy.into(), source: source.into() }
    }

    /// All of it, in one line.
    pub fn told(&self) -> String {
        let end = if self.remedy.is_empty() { String::new() } else { format!("; {}", self.remedy) };
        format!("{}: {:#}{end}", self.doing, self.source)
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl std::error::Error for ProviderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// As the other doors tell of theirs, with what to do in the words.
impl From<ProviderError> for swath_backends::Error {
    fn from(error: ProviderError) -> Self {
        let kind = match error.kind {
            ErrorKind::Away | ErrorKind::NoCapacity => swath_backends::Kind::Transient,
            ErrorKind::Refused => swath_backends::Kind::Refused,
            ErrorKind::Config => swath_backends::Kind::Config,
        };
        let ProviderError { doing, remedy, source, .. } = error;
        let source = if remedy.is_empty() { source } else { anyhow::anyhow!("{source:#}; {remedy}") };
        Self::new(kind, doing, source)
    }
}
