//! A message on the queue: an item in a version-tagged envelope. Every version that was ever
//! written is read. An item is written in the oldest version that can say it, so that older workers do
//! what they know and hand back the rest. `samples/` holds one frozen message of each.

use serde::{Deserialize, Serialize};

use crate::{
    access::Access,
    item::{Item, Work},
};

/// Larger than any message we write: what is longer was not written by us.
pub const MAX_BYTES: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BadEnvelope {
    #[error("message of {0} bytes is longer than the {MAX_BYTES} that an item may take")]
    TooLong(usize),
    #[error(
        "message is of version {0}, which this program does not know: it is older than the coordinator's"
    )]
    Newer(u32),
    #[error("item says wrongly how buckets are reached: {0}")]
    Access(String),
    #[error("message is not an item: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error(
        "item {place} says id {said}, but its work hashes to {is}: somebody has made it up, or the coordinator's program \
         is of another version, which makes something else of it"
    )]
    Forged { place: String, said: String, is: String },
}

const NEWEST: u32 = 3;

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum Envelope {
    #[serde(rename = "1")]
    V1 { item: Item },
    /// The item says how buckets are reached, or works on several small scenes. Written only where it does: a
    /// program that does not know of it would ask as somebody else, or do nothing, and so leaves it to newer ones.
    #[serde(rename = "2")]
    V2 { item: Item },
    /// The item works on a scene as a whole or a part of it, as programs since know how to. No release has written it
    /// so far: until one does, fields may still join it.
    #[serde(rename = "3")]
    V3 { item: Item },
}

/// The oldest version that can say it.
fn version(item: &Item) -> u32 {
    let is_newest = match &item.work {
        // What is made of them has changed, or they say what only newer programs know.
        Work::Predict(_) | Work::PredictScenes(_) | Work::Assemble(_) | Work::Merge(_) => true,
        Work::Probe(work) => work.int8.is_some() || !work.model.is_plain(),
        Work::Bundle(work) => work.int8.is_some() || !work.model.is_plain(),
        Work::Eval(work) => work.nodata.is_some(),
        Work::EvalScenes(work) => work.nodata.is_some(),
        Work::Vectorize(work) => work.plan.square_px > 0.0,
        Work::VectorizeScenes(work) => work.plan.square_px > 0.0,
        _ => false,
    };
    let is_scenes = matches!(item.work, Work::EvalScenes(_) | Work::VectorizeScenes(_));
    match (is_newest, item.access.is_empty() && !is_scenes) {
        (true, _) => 3,
        (false, false) => 2,
        (false, true) => 1,
    }
}

pub fn encode(item: &Item) -> Result<Vec<u8>, BadEnvelope> {
    let (version, item) = (version(item), item.clone());
    let envelope = match version {
        1 => Envelope::V1 { item },
        2 => Envelope::V2 { item },
        _ => Envelope::V3 { item },
    };
    let bytes = serde_json::to_vec(&envelope)?;
    if bytes.len() > MAX_BYTES {
        return Err(BadEnvelope::TooLong(bytes.len()));
    }
    Ok(bytes)
}

pub fn decode(bytes: &[u8]) -> Result<Item, BadEnvelope> {
    if bytes.len() > MAX_BYTES {
        return Err(BadEnvelope::TooLong(bytes.len()));
    }
    let item = match serde_json::from_slice(bytes) {
        Ok(Envelope::V1 { item } | Envelope::V2 { item } | Envelope::V3 { item }) => item,
        Err(error) => return Err(newer(bytes).map_or(BadEnvelope::Malformed(error), BadEnvelope::Newer)),
    };
    let is = item.work.id();
    if is != item.id || item.work.stage() != item.place.stage {
        return Err(BadEnvelope::Forged {
            place: item.place.to_string(),
            said: item.id.to_string(),
            is: is.to_string(),
        });
    }
    if let Some((key, why)) = item.access.iter().find_map(Access::problem) {
        return Err(BadEnvelope::Access(format!("{key} {why}")));
    }
    Ok(item)
}

fn newer(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Tag {
        version: String,
    }
    let Tag { version } = serde_json::from_slice(bytes).ok()?;
    version.parse().ok().filter(|version| *version > NEWEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{Noop, Place, Stage, Work};

    fn noop() -> Item {
        let place = Place::new(Stage::Noop, 0, 7);
        Item::new("bench-1".parse().unwrap(), place, 5, Work::Noop(Noop { nonce: 7 }))
    }

    #[test]
    fn every_frozen_message_still_reads_and_is_still_written() {
        for sample in [
            include_str!("../samples/envelope-v1-analyze.json"),
            include_str!("../samples/envelope-v2-analyze.json"),
            include_str!("../samples/envelope-v2-eval.json"),
            include_str!("../samples/envelope-v3.json"),
            include_str!("../samples/envelope-v3-assemble.json"),
            include_str!("../samples/envelope-v3-merge.json"),
            include_str!("../samples/envelope-v3-merge-nodata.json"),
            include_str!("../samples/envelope-v3-probe-cuda.json"),
            include_str!("../samples/envelope-v3-probe-ensemble.json"),
        ] {
            let item: Item = decode(sample.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(encode(&item).unwrap()).unwrap(), sample.trim_end());
        }
    }

    #[test]
    fn an_item_of_which_something_else_is_made_since_is_refused() {
        for sample in [
            include_str!("../samples/envelope-v1.json"),
            include_str!("../samples/envelope-v2.json"),
            include_str!("../samples/envelope-v2-scenes.json"),
        ] {
            let error = decode(sample.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("of another version, which makes something else of it"), "{error}");
        }
    }

    #[test]
    fn how_a_bucket_is_reached_does_not_name_the_item() {
        let plain = noop();
        let access = Access { prefix: "s3://b".into(), requester_pays: true, ..Access::default() };
        let item = plain.clone().with_access(&[access]);
        assert_eq!(item.id, plain.id);
        assert_eq!(decode(&encode(&item).unwrap()).unwrap(), item);
        let wrong = item.with_access(&[Access { prefix: "b".into(), ..Access::default() }]);
        assert!(matches!(decode(&encode(&wrong).unwrap()), Err(BadEnvelope::Access(_))));
    }

    #[test]
    fn an_item_whose_id_does_not_match_its_work_is_refused() {
        let mut item = noop();
        item.work = Work::Noop(Noop { nonce: 8 });
        assert!(matches!(decode(&encode(&item).unwrap()), Err(BadEnvelope::Forged { .. })));
    }

    #[test]
    fn unknown_versions_and_fields_are_refused() {
        let good = String::from_utf8(encode(&noop()).unwrap()).unwrap();
        assert!(decode(good.as_bytes()).is_ok());
        let newer = good.replace("\"1\"", "\"99\"");
        assert!(matches!(decode(newer.as_bytes()), Err(BadEnvelope::Newer(99))));
        assert!(decode(good.replace("\"nonce\"", "\"nonse\"").as_bytes()).is_err());
        assert!(decode(&vec![b' '; MAX_BYTES + 1]).is_err());
    }
}
