//! Exit codes, and the one map from errors to them.

use swath_backends::Kind;
use swath_proto::pipeline::BadPipeline;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// Wrong usage or a wrong file: nothing was started.
    WrongUsage = 2,
    /// Done, but some scenes or items failed; they were listed.
    DoneWithFailures = 3,
    /// A server can't be reached, or refuses.
    Unreachable = 4,
    /// Stopped by Ctrl-C; the same command goes on.
    Interrupted = 130,
}

impl Exit {
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Failed,
        Self::WrongUsage,
        Self::DoneWithFailures,
        Self::Unreachable,
        Self::Interrupted,
    ];

    pub const fn means(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::WrongUsage => "wrong usage or a wrong file: nothing was started",
            Self::DoneWithFailures => "done, but some scenes or items failed (they are listed)",
            Self::Unreachable => "a server can't be reached, or refuses",
            Self::Interrupted => "interrupted: the same command goes on",
        }
    }
}

/// What help tells of them.
pub fn codes() -> String {
    let codes = Exit::ALL.map(|exit| format!("{} {}", exit as i32, exit.means()));
    format!("Exit codes: {}.", codes.join("; "))
}

/// Marks an error as the fault of what was typed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// An error in what was typed, unless a server is to blame.
pub fn as_usage(error: anyhow::Error) -> anyhow::Error {
    let of_server = |cause: &(dyn std::error::Error + 'static)| cause.is::<swath_backends::Error>();
    if error.chain().any(of_server) { error } else { Usage(format!("{error:#}")).into() }
}

/// Prints an error with its causes and picks the code.
pub fn explain(error: &anyhow::Error) -> Exit {
    // Lines that begin with a file's name stay as they are: editors and people jump there.
    match error.is::<BadPipeline>() {
        true => note!("{error}"),
        false => note!("swath: {error}"),
    }
    for cause in error.chain().skip(1) {
        note!("  because: {cause}");
    }
    if is_full(error) {
        note!("  make room there, then give the same command again: what is done is kept");
    }
    code(error)
}

fn is_full(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| Some(cause.downcast_ref::<swath_backends::Error>()?.kind);
    error.chain().find_map(kind) == Some(Kind::Full)
}

/// What an error deserves.
pub fn code(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if cause.is::<Usage>() || cause.is::<BadPipeline>() {
            return Exit::WrongUsage;
        }
        if let Some(error) = cause.downcast_ref::<swath_backends::Error>() {
            return match error.kind {
                Kind::Transient | Kind::Refused => Exit::Unreachable,
                Kind::Config => Exit::WrongUsage,
                Kind::NotFound | Kind::Full | Kind::Corrupt => Exit::Failed,
            };
        }
    }
    Exit::Failed
}
