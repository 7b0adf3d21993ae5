//! Logs go to stderr, one line an event; `RUST_LOG` chooses what is shown.

use tracing_subscriber::EnvFilter;

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

pub fn start(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter(default)));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| AboveBar)
        .with_target(false)
        // It would panic where standard error is gone.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}

fn filter(default: &str) -> String {
    CLIENTS.iter().fold(default.to_owned(), |filter, client| format!("{filter},{client}=off"))
}
