//! `swath`: parse, connect, run, exit code.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod say;

mod args;
mod commands;
mod config;
mod exit;
mod line;
mod logging;
#[cfg(feature = "worker")]
mod made;
#[cfg(feature = "worker")]
mod picture;
#[cfg(feature = "worker")]
mod pool;
mod progress;
mod served;
mod table;

use crate::{args::Args, exit::Exit};

fn main() {
    let (args, unsaid) = match Args::read() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, everything else is wrong usage.
            let code = if error.use_stderr() { Exit::WrongUsage } else { Exit::Done };
            let _ = error.print();
            std::process::exit(code as i32);
        }
    };
    let exit =
        config::fill_in(args, &unsaid).and_then(commands::run).unwrap_or_else(|error| exit::explain(&error));
    std::process::exit(exit as i32);
}
