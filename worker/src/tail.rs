//! The end of what an attempt has logged, kept in memory beside the log itself: whoever looks at a buried
//! item reads it there, and need not find the machine on which it was.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use swath_backends::open::redacted;
use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan};

const LINES: usize = 50;
/// Characters of a line; what is longer is cut.
const LINE: usize = 400;

tokio::task_local! {
    static TAIL: Tail;
}

/// Lines of one attempt. Clones are the same.
#[derive(Clone)]
pub struct Tail(Arc<Lines>);

struct Lines {
    begun: Instant,
    lines: Mutex<VecDeque<String>>,
}

impl Default for Tail {
    fn default() -> Self {
        Self(Arc::new(Lines { begun: Instant::now(), lines: Mutex::default() }))
    }
}

impl Tail {
    /// Of the attempt that this is a part of. Outside of attempts, one that nobody reads.
    pub fn current() -> Self {
        TAIL.try_with(Tail::clone).unwrap_or_default()
    }

    /// What is logged within `attempt` lands here.
    pub async fn around<F: Future>(self, attempt: F) -> F::Output {
        TAIL.scope(self, attempt).await
    }

    /// For a part of an attempt that goes on in another thread.
    pub fn within<T>(self, part: impl FnOnce() -> T) -> T {
        TAIL.sync_scope(self, part)
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        let (seconds, level) = (self.0.begun.elapsed().as_secs_f64(), event.metadata().level());
        // Writing to a string can't fail.
        let _ = write!(text.0, "+{seconds:.3} s {level}");
        event.record(&mut text);
        let line = safe(&text.0);
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// Cut to its length, without line breaks, and without what must not be shown: passwords in URLs, and the
/// queries of URLs, which may be signatures.
fn safe(line: &str) -> String {
    let word = |word: &str| match word.contains("://") {
        true => redacted(word.split('?').next().unwrap_or(word)),
        false => word.to_owned(),
    };
    let line = line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    line.chars().take(LINE).collect()
}

/// To be laid beside the log. Tells more than the log does: of our own code, every event but the finest.
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    let told = Targets::new().with_target("swath", Level::DEBUG).with_default(Level::WARN);
    Layer::<S>::with_filter(TailLayer, told)
}

struct TailLayer;

impl<S: Subscriber> Layer<S> for TailLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Outside of attempts nobody would read it.
        let _ = TAIL.try_with(|tail| tail.push(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[tokio::test]
    async fn an_attempt_keeps_the_end_of_its_own_log_and_of_no_other() {
        let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer()));
        let (one, other) = (Tail::default(), Tail::default());
        tracing::warn!("before");
        let attempt = async {
            for number in 0..LINES + 5 {
                tracing::debug!(number, "working");
                tokio::task::yield_now().await;
            }
            let (tail, log) = (Tail::current(), tracing::dispatcher::get_default(Clone::clone));
            let part = move || tail.within(|| tracing::info!("in another thread"));
            let part = move || tracing::dispatcher::with_default(&log, part);
            std::thread::spawn(part).join().expect("a thread");
        };
        let neighbour = other.clone().around(async { tracing::warn!("a neighbour's") });
        tokio::join!(one.clone().around(attempt), neighbour);
        let lines = one.lines();
        assert_eq!(lines.len(), LINES);
        assert!(lines[0].ends_with("DEBUG working number=6"), "{}", lines[0]);
        assert!(lines[LINES - 1].ends_with("INFO in another thread"), "{lines:?}");
        assert_eq!(other.lines().len(), 1);
    }

    #[test]
    fn a_line_is_short_and_shows_no_secret() {
        let line = safe("WARN reading amqp://me:hunter2@host/x\n and https://b/k?X-Amz-Signature=abc ok");
        assert_eq!(line, "WARN reading amqp://me:***@host/x and https://b/k ok");
        assert_eq!(safe(&"x".repeat(5000)).len(), LINE);
    }
}
