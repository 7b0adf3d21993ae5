//! What a rank says to whoever has started it: JSON, one line each, on standard output.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{Kind, Outcome, Progress, TrainError};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// Its store is open for the others at this port.
    Opened(u16),
    /// It lives, whatever it waits for.
    Alive,
    Progress(Progress),
    Ended(Outcome),
    Failed {
        kind: Kind,
        text: String,
    },
}

/// Says words, whole lines at a time.
pub(super) struct Voice<W>(Mutex<W>);

impl<W: Write> Voice<W> {
    pub(super) const fn new(out: W) -> Self {
        Self(Mutex::new(out))
    }

    /// Whether anybody listens.
    pub(super) fn say(&self, word: &Word) -> bool {
        let Ok(mut line) = serde_json::to_vec(word) else { return true };
        line.push(b'\n');
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line).and_then(|()| out.flush()).is_ok()
    }
}

impl From<&TrainError> for Word {
    fn from(error: &TrainError) -> Self {
        Self::Failed { kind: error.kind, text: error.to_string() }
    }
}
