//! What is done now and then, in a loop that goes round many times a second.

use std::time::{Duration, Instant};

/// When things were done last.
#[derive(Default)]
pub(super) struct Clock {
    pub(super) asked: Last,
    pub(super) swept: Last,
    pub(super) watched: Last,
    pub(super) counted: Last,
    pub(super) judged: Last,
    pub(super) told: Last,
    pub(super) shown: Last,
    pub(super) reported: Last,
}

#[derive(Default)]
pub(super) struct Last(Option<Instant>);

impl Last {
    /// Whether it is time again; if so, it counts as done.
    pub(super) fn is_due(&mut self, now: Instant, every: Duration) -> bool {
        let due = self.0.is_none_or(|last| now.duration_since(last) >= every);
        if due {
            self.0 = Some(now);
        }
        due
    }
}
