//! A message that stands for a longer one, which lies under the root ([`crate::keys::message`]). Every
//! version that was ever written is read; the newest is written. It names a blob and not a key, so that a
//! message can't make anybody read or remove something else.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

const NEWEST: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum BadReference {
    #[error("reference is of version {0}, which this program does not know: update it")]
    Newer(u32),
    #[error("reference is damaged: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Of the blob.
    pub name: Digest,
    /// Of what lies in it.
    pub sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "reference", deny_unknown_fields)]
enum Document {
    #[serde(rename = "1")]
    V1 { name: Digest, sha256: Digest },
}

pub fn encode(name: Digest, sha256: Digest) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Document::V1 { name, sha256 })
}

/// `None`: the message stands for itself.
pub fn decode(bytes: &[u8]) -> Option<Result<Reference, BadReference>> {
    #[derive(Deserialize)]
    struct Tag {
        reference: String,
    }
    let Tag { reference } = serde_json::from_slice(bytes).ok()?;
    Some(match serde_json::from_slice(bytes) {
        Ok(Document::V1 { name, sha256 }) => Ok(Reference { name, sha256 }),
        Err(error) => match reference.parse() {
            Ok(version) if version > NEWEST => Err(BadReference::Newer(version)),
            _ => Err(BadReference::Malformed(error)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope;

    const SAMPLE: &[u8] = include_bytes!("../samples/reference-v1.json");

    #[test]
    fn every_frozen_reference_still_reads_and_the_newest_is_still_written() {
        let Reference { name, sha256 } = decode(SAMPLE).expect("a reference").expect("a good one");
        assert_eq!(sha256, Digest::of(b"a long message"));
        assert_eq!(encode(name, sha256).expect("written"), SAMPLE.trim_ascii_end());
    }

    #[test]
    fn an_item_is_no_reference_and_a_reference_is_no_item() {
        assert!(decode(include_bytes!("../samples/envelope-v1.json")).is_none());
        assert!(decode(b"no JSON").is_none());
        assert!(matches!(envelope::decode(SAMPLE), Err(envelope::BadEnvelope::Malformed(_))));
    }

    #[test]
    fn newer_and_damaged_ones_are_told_apart() {
        let sample = std::str::from_utf8(SAMPLE).expect("text");
        let newer = sample.replace("\"reference\":\"1\"", "\"reference\":\"2\"");
        assert!(matches!(decode(newer.as_bytes()), Some(Err(BadReference::Newer(2)))));
        for damaged in [sample.replace("sha256", "sha512"), sample.replace("\"1\"", "\"one\"")] {
            assert!(matches!(decode(damaged.as_bytes()), Some(Err(BadReference::Malformed(_)))), "{damaged}");
        }
    }
}
