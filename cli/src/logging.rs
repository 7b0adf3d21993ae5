//! Logs go to stderr, one line an event; `RUST_LOG` chooses what is shown.

use std::sync::OnceLock;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::FilterFn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{args::LogFormat, progress::AboveBar};

/// What clients of servers tell of their tries. Errors come back to the caller, who tells what matters.
const CLIENTS: [&str; 9] = [
    "aws_config",
    "aws_runtime",
    "aws_sdk_s3",
    "aws_sdk_sqs",
    "aws_sdk_sts",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "hyper_util",
];

/// What shows passwords to whoever wants to see everything: the URI that is connected to, and the login itself.
fn shows_no_password(event: &Metadata<'_>) -> bool {
    let of = |name: &str| event.target().split("::").next() == Some(name);
    !(of("amq_protocol_tcp") || of("lapin") && *event.level() == Level::TRACE)
}

/// Workers that this process starts write as it does.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// As `--log-format` has it.
#[cfg(feature = "worker")]
pub fn format() -> &'static str {
    match FORMAT.get() {
        Some(LogFormat::Json) => "json",
        Some(LogFormat::Text) | None => "text",
    }
}

pub fn start(format: LogFormat, default: &str) {
    start_beside(format, default, tracing_subscriber::layer::Identity::new());
}

/// The log, and what else listens to it by rules of its own.
pub fn start_beside(format: LogFormat, default: &str, other: impl Layer<Registry> + Send + Sync + 'static) {
    let _ = FORMAT.set(format);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter(default)));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(|| AboveBar)
        .with_target(false)
        // It would panic where standard error is gone.
        .log_internal_errors(false);
    let both = tracing_subscriber::registry().with(other.with_filter(FilterFn::new(shows_no_password)));
    let shown = FilterFn::new(shows_no_password);
    match format {
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            both.with(log.with_ansi(ansi).with_filter(filter).with_filter(shown)).init();
        }
        LogFormat::Json => {
            // What an event is a part of is told once: the span within all others.
            let log = log.json().with_span_list(false);
            both.with(log.with_filter(filter).with_filter(shown)).init();
        }
    }
}

fn filter(default: &str) -> String {
    CLIENTS.iter().fold(default.to_owned(), |filter, client| format!("{filter},{client}=off"))
}
