//! Text of files that were named by a person.

use std::{io::Read as _, path::Path};

pub use swath_proto::text::text as of;

/// The error is in words, without the path.
pub fn read(path: &Path, wanted: &str) -> Result<String, String> {
    of(std::fs::read(path).map_err(|error| error.to_string())?, wanted)
}

pub fn read_stdin(wanted: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    of(bytes, wanted)
}
