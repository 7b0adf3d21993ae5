//! Workers that run out of memory.

use std::{os::unix::process::CommandExt as _, process::Command};

use super::{Exposed, LEASE};
use crate::site::{Kind, Site};

/// What a worker may have of its own, in MiB: enough to begin with, too little for a batch of this network.
const LITTLE: u64 = 700;
const LARGE: [&str; 6] = [
    "--set",
    "model.architecture=unet-resnet18",
    "--set",
    "predict.batch=16",
    "--set",
    "predict.margin_px=16",
];

fn with_little(mut command: Command) -> Command {
    let limit = libc::rlimit { rlim_cur: LITTLE << 20, rlim_max: LITTLE << 20 };
    // SAFETY: setrlimit is async-signal-safe, and reads what was copied here.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_DATA, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    command
}
