//! What C++ says when it fails: catching.hpp is its other half.

use std::ffi::c_char;

/// Why it has failed, in the engine's own words.
pub(crate) fn said(ask: impl FnOnce(*mut c_char, usize) -> usize) -> Result<(), String> {
    let mut why = vec![0_u8; 1024];
    let length = ask(why.as_mut_ptr().cast(), why.len());
    if length == 0 {
        return Ok(());
    }
    why.truncate(length);
    Err(String::from_utf8_lossy(&why).into_owned())
}
