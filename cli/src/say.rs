//! What goes to standard output and standard error. A reader that is gone is nobody's mistake; a disk that is
//! full is told in a line and a code, and not by a panic.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Write as _},
};

use crate::exit::Exit;

/// A line of what was asked for.
macro_rules! say {
    ($($words:tt)*) => { $crate::say::line(format_args!($($words)*)) };
}

/// A line beside it, for whoever sits there.
macro_rules! note {
    ($($words:tt)*) => { $crate::say::aside(format_args!($($words)*)) };
}

pub fn line(words: Arguments<'_>) {
    bytes(format!("{words}\n").as_bytes());
}

pub fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            aside(format_args!("swath: writing to standard output: {error}"));
            std::process::exit(Exit::Failed as i32);
        }
        _ => {}
    }
}

/// In one piece, and in silence where nobody can be told.
pub fn aside(words: Arguments<'_>) {
    let _ = std::io::stderr().lock().write_all(format!("{words}\n").as_bytes());
}
