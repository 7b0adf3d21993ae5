//! Where the time of items goes: what each part of their way is busy with, and how long items wait until they may
//! enter it. And how much of the time the device computes: what is left of that goes by while it waits for pixels.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use swath_model::computing;
use swath_proto::phases::PhaseSeconds;

use crate::metrics::{Phase, took};

#[derive(Default)]
pub struct Phases(Mutex<Times>);

/// What a worker has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Bytes on their way here.
    pub fetch: Duration,
    /// Bytes becoming pixels.
    pub decode: Duration,
    pub device: Duration,
    /// What the device's thread computed in networks that predict: not what other threads of theirs did, or a card.
    pub forward: Duration,
    pub encode: Duration,
    /// Bytes on their way out.
    pub put: Duration,
    /// Items that waited for a thread to decode or to encode on.
    pub waited_for_threads: Duration,
    pub waited_for_device: Duration,
    /// From the beginning of the device's first task to the end of its last.
    span: Option<(Instant, Instant)>,
}

impl Times {
    /// How much of the time the device has computed, of how much; none: it was never used.
    pub fn device_share(&self) -> Option<(f64, Duration)> {
        let (began, ended) = self.span?;
        let of = ended - began;
        Some((self.device.as_secs_f64() / of.as_secs_f64().max(f64::MIN_POSITIVE), of))
    }
}

impl From<Times> for PhaseSeconds {
    fn from(Times { fetch, decode, device, encode, put, .. }: Times) -> Self {
        let [fetch, decode, device, encode, put] =
            [fetch, decode, device, encode, put].map(|time| time.as_secs_f64());
        Self { fetch, decode, device, encode, put }
    }
}

impl Phases {
    pub fn times(&self) -> Times {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Reads pixels on this thread. While it computes, it decodes; while it does not, bytes are fetched.
    pub fn read<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let (result, decode) = computing(work);
        let fetch = began.elapsed().saturating_sub(decode);
        took(Phase::Decode, decode);
        took(Phase::Fetch, fetch);
        self.add(|times| {
            times.decode += decode;
            times.fetch += fetch;
        });
        result
    }

    pub fn encode<T>(&self, work: impl FnOnce() -> T) -> T {
        let (result, busy) = computing(work);
        took(Phase::Encode, busy);
        self.add(|times| times.encode += busy);
        result
    }

    /// A network, within a task of the device.
    pub fn forward(&self, busy: Duration) {
        self.add(|times| times.forward += busy);
    }

    pub fn put(&self, busy: Duration) {
        took(Phase::Put, busy);
        self.add(|times| times.put += busy);
    }

    pub fn waited_for_threads(&self, waited: Duration) {
        took(Phase::WaitForThreads, waited);
        self.add(|times| times.waited_for_threads += waited);
    }

    /// A task of the device, which was handed over at `asked`.
    pub fn compute<T>(&self, asked: Instant, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.computed(asked, began, Instant::now());
        result
    }

    fn computed(&self, asked: Instant, began: Instant, ended: Instant) {
        took(Phase::WaitForDevice, began - asked);
        took(Phase::Device, ended - began);
        self.add(|times| {
            times.waited_for_device += began - asked;
            times.device += ended - began;
            times.span = Some((times.span.map_or(began, |(first, _)| first), ended));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_tasks_count_and_those_around_them_do_not() {
        let (phases, start) = (Phases::default(), Instant::now());
        assert_eq!(phases.times().device_share(), None);
        let at = |seconds| start + Duration::from_secs(seconds);
        phases.computed(at(9), at(10), at(13));
        phases.computed(at(12), at(14), at(20));
        let times = phases.times();
        assert_eq!(times.device_share(), Some((0.9, Duration::from_secs(10))));
        assert_eq!(times.waited_for_device, Duration::from_secs(3));
    }

    #[test]
    fn whoever_sleeps_while_it_reads_is_fetching() {
        let phases = Phases::default();
        phases.read(|| std::thread::sleep(Duration::from_millis(50)));
        let Times { fetch, decode, .. } = phases.times();
        assert!(fetch > Duration::from_millis(40), "{fetch:?}");
        assert!(decode < fetch, "{decode:?}");
    }

    #[test]
    fn whoever_is_held_up_does_not_encode_meanwhile() {
        let phases = Phases::default();
        phases.encode(|| std::thread::sleep(Duration::from_millis(50)));
        let Times { encode, .. } = phases.times();
        assert!(encode < Duration::from_millis(40), "{encode:?}");
    }
}
