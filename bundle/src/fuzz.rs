//! The entry for fuzzers.

use crate::read::Bundle;

/// Opens whatever can be opened, and says whether it is a bundle. It must not panic, nor take more memory
/// than some multiple of the bytes. For libFuzzer: `fuzz_target!(|bytes: &[u8]| { swath_bundle::fuzz(bytes); })`.
pub fn fuzz(bytes: &[u8]) -> bool {
    match Bundle::from_bytes("fuzz", bytes.to_vec()) {
        Ok(bundle) => {
            let weights = bundle.weights_file();
            let weights = weights.unwrap_or_else(|error| panic!("what was checked can be read: {error}"));
            assert_eq!(swath_proto::ids::Digest::of(&weights), bundle.weights_sha256());
            bundle.weights().is_ok_and(|tensors| tensors.names().all(|name| tensors.info(name).is_some()))
        }
        Err(error) => {
            drop(error.to_string());
            false
        }
    }
}
