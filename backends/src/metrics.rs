//! What calls to the doors take, and how they fail. All metrics of this crate are declared here.

use std::{
    sync::{LazyLock, OnceLock},
    time::Instant,
};

use prometheus::{GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::{Error, Kind, Result, declared::Declared};

const CALL_SECONDS: Declared = Declared::histogram(
    "swath_call_seconds",
    &["door", "call"],
    "From a call of the queue, the ledger or the blobs to its answer, or until nobody waited for it any more.",
);
const CALL_ERRORS: Declared = Declared::counter(
    "swath_call_errors_total",
    &["door", "error"],
    "Calls that have failed, and (abandoned) those that nobody waited for any more.",
);
const BLOB_BYTES: Declared = Declared::counter(
    "swath_blob_bytes_total",
    &["direction"],
    "Bytes of objects under the root that were read and written by this process.",
);
const QUEUE_WAITING: Declared = Declared::gauge(
    "swath_queue_waiting_messages",
    &["lane"],
    "Messages that wait for a worker, as the broker has said when it was asked last: an estimate.",
);
const BUILD: Declared =
    Declared::gauge("swath_build_info", &["version", "program"], "1; its labels say what this process is.");

pub const ALL: [Declared; 5] = [CALL_SECONDS, CALL_ERRORS, BLOB_BYTES, QUEUE_WAITING, BUILD];

/// From a lookup in a file of this machine to a server that is away.
const SECONDS: [f64; 8] = [0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0];

static SECONDS_OF: LazyLock<HistogramVec> = LazyLock::new(|| CALL_SECONDS.to_histograms(&SECONDS));
static ERRORS_OF: LazyLock<IntCounterVec> = LazyLock::new(|| CALL_ERRORS.to_int_counters());
static BYTES: LazyLock<IntCounterVec> = LazyLock::new(|| BLOB_BYTES.to_int_counters());
static WAITING: LazyLock<GaugeVec> = LazyLock::new(|| QUEUE_WAITING.to_gauges());
static BUILT: LazyLock<GaugeVec> = LazyLock::new(|| BUILD.to_gauges());

pub(crate) static BYTES_READ: LazyLock<IntCounter> = LazyLock::new(|| BYTES.with_label_values(&["read"]));
pub(crate) static BYTES_WRITTEN: LazyLock<IntCounter> =
    LazyLock::new(|| BYTES.with_label_values(&["written"]));

/// Of a call that was cut off.
const ABANDONED: &str = "abandoned";

/// Says what this process is: to be called once, before it is asked.
pub fn begin(program: &str, version: &str) {
    BUILT.with_label_values(&[version, program]).set(1.0);
    for door in ["queue", "ledger", "blobs"] {
        // They are there before the first is counted: a rate needs something to rise from.
        for kind in Kind::ALL.map(Kind::name).into_iter().chain([ABANDONED]) {
            ERRORS_OF.with_label_values(&[door, kind]).inc_by(0);
        }
    }
    BYTES_READ.inc_by(0);
    BYTES_WRITTEN.inc_by(0);
}

pub(crate) fn saw_waiting(lane: &str, messages: u64) {
    WAITING.with_label_values(&[lane]).set(messages as f64);
}

/// A call of a door. Its clock is looked up once, when it is called first: a process shows what it calls.
pub(crate) struct Call {
    door: &'static str,
    name: &'static str,
    seconds: OnceLock<Histogram>,
}

impl Call {
    pub(crate) const fn new(door: &'static str, name: &'static str) -> Self {
        Self { door, name, seconds: OnceLock::new() }
    }

    pub(crate) async fn of<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let mut call = self.begin();
        let answer = answer.await;
        call.end(answer.as_ref().err());
        answer
    }

    pub(crate) fn begin(&self) -> UnderWay {
        let of = || SECONDS_OF.with_label_values(&[self.door, self.name]);
        let seconds = self.seconds.get_or_init(of).clone();
        UnderWay { door: self.door, seconds, began: Instant::now(), has_ended: false }
    }

    /// Of one that may wait for as long as it likes: it has no clock.
    pub(crate) fn failed(&self, error: &Error) {
        count(self.door, error);
    }
}

fn count(door: &'static str, error: &Error) {
    ERRORS_OF.with_label_values(&[door, error.kind.name()]).inc();
}

/// Its time is taken when it is dropped.
pub(crate) struct UnderWay {
    door: &'static str,
    seconds: Histogram,
    began: Instant,
    has_ended: bool,
}

impl UnderWay {
    pub(crate) fn end(&mut self, error: Option<&Error>) {
        self.has_ended = true;
        if let Some(error) = error {
            count(self.door, error);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.seconds.observe(self.began.elapsed().as_secs_f64());
        if !self.has_ended {
            ERRORS_OF.with_label_values(&[self.door, ABANDONED]).inc();
        }
    }
}

/// The calls of a door, a field each, named as its verbs are.
macro_rules! calls {
    ($calls:ident of $door:literal: $($call:ident)+) => {
        pub(crate) struct $calls {
            $(pub(crate) $call: crate::metrics::Call,)+
        }

        impl Default for $calls {
            fn default() -> Self {
                Self { $($call: crate::metrics::Call::new($door, stringify!($call)),)+ }
            }
        }
    };
}
pub(crate) use calls;

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn a_call_is_timed_and_its_failure_counted_even_if_nobody_waits_for_it() {
        // A door of its own: others count beside this.
        let call = Call::new("test", "ask");
        let failed = |kind: &str| ERRORS_OF.with_label_values(&["test", kind]).get();
        assert_eq!(call.of(async { Ok(7) }).await.expect("an answer"), 7);
        let refused = Error::new(Kind::Refused, "asking", anyhow!("no"));
        call.of::<()>(async { Err(refused) }).await.expect_err("it was refused");
        let silent = call.of::<()>(std::future::pending());
        tokio::time::timeout(std::time::Duration::from_millis(10), silent).await.expect_err("it never ends");
        assert_eq!((failed("refused"), failed(ABANDONED), failed("transient")), (1, 1, 0));
        let clock = SECONDS_OF.with_label_values(&["test", "ask"]);
        assert_eq!(clock.get_sample_count(), 3);
        assert!(clock.get_sample_sum() >= 0.01);
    }
}
