//! Which engine computes, and with which instructions: both can move bits. Asked of the library that
//! was loaded, which need not be the one that the program was built with.

use std::ffi::c_char;

/// As it is pinned in a run's numeric class.
pub(crate) fn engine() -> String {
    let config = said(swath_engine_config);
    let version = config.split("TORCH_VERSION=").nth(1).and_then(|rest| rest.split([',', ' ', '\n']).next());
    format!("libtorch {}", version.unwrap_or("of unknown version"))
}

/// What the engine's own kernels chose here, and what holds its convolutions back.
pub(crate) fn instruction_set() -> String {
    let mut text = said(swath_engine_cpu_capability);
    for variable in ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"] {
        if let Ok(value) = std::env::var(variable) {
            text += &format!(" {variable}={value}");
        }
    }
    text
}

type Say = unsafe extern "C" fn(*mut c_char, usize) -> usize;

unsafe extern "C" {
    fn swath_engine_config(out: *mut c_char, room: usize) -> usize;
    fn swath_engine_cpu_capability(out: *mut c_char, room: usize) -> usize;
}

fn said(say: Say) -> String {
    let mut text = vec![0_u8; 16 * 1024];
    // SAFETY: the other side writes at most the room that it is given, and throws nothing.
    let length = unsafe { say(text.as_mut_ptr().cast(), text.len()) };
    text.truncate(length);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_library_says_its_version_and_its_instructions() {
        assert_eq!(engine(), concat!("libtorch ", env!("SWATH_LIBTORCH_VERSION")));
        // "NO AVX" and "DEFAULT" are answers too.
        assert!(!instruction_set().is_empty());
    }
}
