//! The command line: parse, connect, run, exit code. Two programs are made of it, [`main`] is one and
//! `swath-worker` the other.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
pub mod say;

pub mod args;
mod commands;
pub mod config;
pub mod exit;
mod fleet;
#[cfg(feature = "worker")]
mod imagery;
mod line;
pub mod logging;
#[cfg(feature = "worker")]
mod made;
#[cfg(feature = "engine")]
pub mod measure;
mod page;
#[cfg(feature = "worker")]
mod pool;
pub mod profile;
pub mod progress;
#[cfg(all(test, feature = "worker"))]
mod reference;
mod served;
pub mod signals;
mod table;
mod text;
#[cfg(feature = "engine")]
mod worker_program;

use crate::exit::Exit;

pub fn main() -> ! {
    finish(args::typed().and_then(commands::run))
}

/// The end of a program: an error is explained, and decides the code.
pub fn finish(ended: anyhow::Result<Exit>) -> ! {
    std::process::exit(ended.unwrap_or_else(|error| exit::explain(&error)) as i32)
}
