//! How many messages wait, without asking SQS each time: whoever sweeps a run asks every second, for every
//! run, and SQS is paid by the call. Its count lags up to a minute behind what was published, so it is not
//! believed to be nought before: a coordinator would publish again what is there.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::Server;
use crate::queue::Lane;

const ASK_EVERY: Duration = Duration::from_secs(5);
/// After this, says SQS, its counts are right.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Estimate {
    asked: Option<(Instant, u64)>,
    published: Option<Instant>,
}

impl Estimate {
    pub(super) fn published(&mut self, n: u64) {
        self.published_at(n, Instant::now());
    }

    pub(super) fn told(&mut self, count: u64) -> u64 {
        self.told_at(count, Instant::now())
    }

    /// Unless it is time to ask again.
    pub(super) fn known(&self) -> Option<u64> {
        self.known_at(Instant::now())
    }

    fn published_at(&mut self, n: u64, now: Instant) {
        self.published = Some(now);
        if let Some((_, count)) = &mut self.asked {
            *count += n;
        }
    }

    fn told_at(&mut self, count: u64, now: Instant) -> u64 {
        self.asked = Some((now, count));
        self.at_least(count, now)
    }

    fn known_at(&self, now: Instant) -> Option<u64> {
        let (asked, count) = self.asked?;
        (now.duration_since(asked) < ASK_EVERY).then(|| self.at_least(count, now))
    }

    fn at_least(&self, count: u64, now: Instant) -> u64 {
        let may_lag = self.published.is_some_and(|last| now.duration_since(last) < SETTLES_WITHIN);
        count.max(u64::from(may_lag))
    }
}

impl Server {
    pub(super) fn estimate<T>(&self, lane: Lane, change: impl FnOnce(&mut Estimate) -> T) -> T {
        change(self.estimates.lock().unwrap_or_else(PoisonError::into_inner).entry(lane).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqs_is_asked_now_and_then_and_not_believed_to_be_empty_right_after_a_publish() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut estimate = Estimate::default();
        assert_eq!(estimate.known_at(at(0)), None, "it was never asked");
        assert_eq!(estimate.told_at(7, at(0)), 7);
        estimate.published_at(3, at(1));
        assert_eq!(estimate.known_at(at(4)), Some(10));
        assert_eq!(estimate.known_at(at(5)), None);
        assert_eq!(estimate.told_at(0, at(5)), 1, "it does not see yet what was published");
        assert_eq!(estimate.told_at(0, at(61)), 0);
        assert_eq!(estimate.known_at(at(65)), Some(0));
    }
}
