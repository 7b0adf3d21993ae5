//! How much of the time the device computes: what is left of it goes by while it waits for pixels to be read.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

#[derive(Default)]
pub struct Busy(Mutex<Option<Span>>);

/// From the beginning of the first task to the end of the last.
#[derive(Clone, Copy)]
struct Span {
    began: Instant,
    ended: Instant,
    busy: Duration,
}

/// What the device has come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub busy: Duration,
    pub of: Duration,
}

impl Share {
    pub fn percent(self) -> f64 {
        100.0 * self.busy.as_secs_f64() / self.of.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl Busy {
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.add(began, Instant::now());
        result
    }

    fn add(&self, began: Instant, ended: Instant) {
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = span.unwrap_or(Span { began, ended, busy: Duration::ZERO });
        *span = Some(Span { ended, busy: before.busy + (ended - began), ..before });
    }

    /// None: it was never used.
    pub fn share(&self) -> Option<Share> {
        let span = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(Share { busy: span.busy, of: span.ended - span.began })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_tasks_count_and_those_around_them_do_not() {
        let (busy, start) = (Busy::default(), Instant::now());
        assert_eq!(busy.share(), None);
        let at = |seconds| start + Duration::from_secs(seconds);
        busy.add(at(10), at(13));
        busy.add(at(14), at(20));
        let share = busy.share().unwrap();
        assert_eq!(share, Share { busy: Duration::from_secs(9), of: Duration::from_secs(10) });
        assert_eq!(share.percent(), 90.0);
    }
}
