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
use swath_proto::item::Item;
use tracing::{
    Event, Instrument as _, Level, Span, Subscriber,
    field::{Empty, Field, display},
};
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
    /// Names run, item and attempt in every line of the log that belongs to it.
    span: Span,
    lines: Mutex<VecDeque<String>>,
}

impl Default for Tail {
    fn default() -> Self {
        Self::within_span(Span::none())
    }
}

impl Tail {
    fn within_span(span: Span) -> Self {
        Self(Arc::new(Lines { begun: Instant::now(), span, lines: Mutex::default() }))
    }

    /// Of an attempt at an item that is not known yet. An error, so that whatever is logged at all is named.
    pub fn of_attempt() -> Self {
        Self::within_span(tracing::error_span!("attempt", run = Empty, item = Empty, attempt = Empty))
    }

    /// At which item.
    pub fn is_at(&self, item: &Item) {
        self.0.span.record("run", display(&item.run)).record("item", display(item.place));
    }

    /// Which one it is, of those at the item.
    pub fn is_attempt(&self, attempt: u32) {
        self.0.span.record("attempt", attempt);
    }

    /// Of the attempt that this is a part of. Outside of attempts, one that nobody reads.
    pub fn current() -> Self {
        TAIL.try_with(Tail::clone).unwrap_or_default()
    }

    /// What is logged within `attempt` lands here.
    pub async fn around<F: Future>(self, attempt: F) -> F::Output {
        let span = self.0.span.clone();
        TAIL.scope(self, attempt).instrument(span).await
    }

    /// For a part of an attempt that goes on in another thread.
    pub fn within<T>(self, part: impl FnOnce() -> T) -> T {
        let span = self.0.span.clone();
        span.in_scope(|| TAIL.sync_scope(self, part))
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
    use std::io;

    use swath_proto::item::{Noop, Place, Stage, Work};
    use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn whatever_an_attempt_logs_names_run_item_and_attempt_in_a_line_of_json() {
        let written = Written::default();
        let to = written.clone();
        let log =
            tracing_subscriber::fmt::layer().json().with_span_list(false).with_writer(move || to.clone());
        // An attempt is named though little is logged.
        let log = tracing_subscriber::registry().with(log.with_filter(LevelFilter::WARN));
        let _log = tracing::subscriber::set_default(log);
        let place = Place::new(Stage::Noop, 0, 3);
        let item = Item::new("a-1".parse().expect("a name"), place, 5, Work::Noop(Noop { nonce: 1 }));
        let attempt = async {
            let tail = Tail::current();
            tail.is_at(&item);
            tracing::warn!("received");
            tail.is_attempt(2);
            let log = tracing::dispatcher::get_default(Clone::clone);
            let part = move || tail.within(|| tracing::warn!(error = "torn", "in another thread"));
            let part = move || tracing::dispatcher::with_default(&log, part);
            std::thread::spawn(part).join().expect("a thread");
        };
        Tail::of_attempt().around(attempt).await;
        tracing::warn!("afterwards");
        let text = String::from_utf8(written.0.lock().expect("nobody panicked").clone()).expect("UTF-8");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let [received, within, afterwards] = lines.as_slice() else { panic!("{text}") };
        assert_eq!(
            (&received["span"]["run"], &received["span"]["item"]),
            (&"a-1".into(), &"noop.0.3".into())
        );
        assert!(received["span"].get("attempt").is_none(), "{received}");
        assert_eq!((&within["span"]["attempt"], &within["fields"]["error"]), (&2.into(), &"torn".into()));
        assert!(afterwards.get("span").is_none(), "{afterwards}");
    }

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
