//! The entry for fuzzers.

use crate::file::TensorFile;

/// Reads whatever can be read of a file of these bytes, and says whether it is a file of weights. It must
/// not panic, nor take more memory than some multiple of the bytes. For libFuzzer:
/// `fuzz_target!(|bytes: &[u8]| { swath_weights::fuzz(bytes); })`.
pub fn fuzz(bytes: &[u8]) -> bool {
    match TensorFile::from_bytes("fuzz", bytes.to_vec()) {
        Ok(file) => {
            for name in file.names() {
                let _ = file.raw(name).map_err(|error| error.to_string());
                let _ = file.f32(name).map_err(|error| error.to_string());
            }
            true
        }
        Err(error) => {
            drop(error.to_string());
            false
        }
    }
}
