//! Logs go to stderr, one line an event; `RUST_LOG` chooses what is shown.

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::FilterFn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{args::LogFormat, progress::AboveBar};

/// What clients of servers tell of their tries. Errors come back to the caller, who tells what matters.
const CLIENTS: [&str; 7] = [
    "aws_config",
    "aws_runtime",
    "aws_sdk_s3",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "hyper_util",
];

/// What shows passwords to whoever wants to see everything: the URI that is connected to, and the login itself.
fn shows_no_password(event: &Metadata<'_>) -> bool {
    let of = |name: &str| event.target().split("::").next() == Some(name);
    !of("amq_protocol_tcp") && !(of("lapin") && *event.level() == Level::TRACE)
}

pub fn start(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter(default)));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| AboveBar)
        .with_target(false)
        // It would panic where standard error is gone.
        .log_internal_errors(false);
    let safe = FilterFn::new(shows_no_password);
    match format {
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_ansi(is_terminal).finish().with(safe).init()
        }
        LogFormat::Json => log.json().finish().with(safe).init(),
    }
}

fn filter(default: &str) -> String {
    CLIENTS.iter().fold(default.to_owned(), |filter, client| format!("{filter},{client}=off"))
}
