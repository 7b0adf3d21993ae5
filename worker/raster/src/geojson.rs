//! Reads a GeoJSON collection feature by feature: what is in memory at a time is the text and one
//! feature, not a tree of all of them.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    crs: Value,
    features: Option<IgnoredAny>,
}

/// The coordinate system that the file names, if it names one.
pub(crate) fn crs_name(text: &[u8]) -> Result<Option<String>, String> {
    let head: Head = serde_json::from_slice(text).map_err(|error| format!("it is no GeoJSON: {error}"))?;
    head.features.ok_or("it has no list of features")?;
    Ok(head.crs["properties"]["name"].as_str().map(str::to_owned))
}

/// Calls `take` with each feature and its number.
pub(crate) fn each_feature(
    text: &[u8],
    take: impl FnMut(usize, &Value) -> Result<(), String>,
) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Collection(take).deserialize(&mut reader).map_err(|error| error.to_string())
}

struct Collection<F>(F);
struct Features<F>(F);

impl<'de, F: FnMut(usize, &Value) -> Result<(), String>> DeserializeSeed<'de> for Collection<F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de, F: FnMut(usize, &Value) -> Result<(), String>> Visitor<'de> for Collection<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a collection of features")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "features" {
                map.next_value_seed(Features(&mut self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'de, F: FnMut(usize, &Value) -> Result<(), String>> DeserializeSeed<'de> for Features<F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(usize, &Value) -> Result<(), String>> Visitor<'de> for Features<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut number = 0;
        loop {
            let feature = seq.next_element::<Value>();
            let feature = feature.map_err(|error| A::Error::custom(format!("feature {number}: {error}")))?;
            let Some(feature) = feature else { break };
            (self.0)(number, &feature).map_err(A::Error::custom)?;
            number += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_come_one_by_one_wherever_the_system_is_named() {
        let text = br#"{"type":"FeatureCollection","features":[{"id":1},{"id":2}],
            "crs":{"type":"name","properties":{"name":"EPSG:3857"}}}"#;
        assert_eq!(crs_name(text).unwrap().as_deref(), Some("EPSG:3857"));
        let mut ids = Vec::new();
        each_feature(text, |number, feature| {
            ids.push((number, feature["id"].as_u64()));
            Ok(())
        })
        .unwrap();
        assert_eq!(ids, [(0, Some(1)), (1, Some(2))]);
    }

    #[test]
    fn what_is_no_collection_is_refused_and_a_bad_feature_is_named() {
        for text in ["", "[]", "{}", "{\"features\":3}", "{\"features\":["] {
            assert!(
                crs_name(text.as_bytes()).and(each_feature(text.as_bytes(), |_, _| Ok(()))).is_err(),
                "{text}"
            );
        }
        let bad = each_feature(br#"{"features":[{},{}]}"#, |number, _| match number {
            1 => Err("feature 1: broken".into()),
            _ => Ok(()),
        });
        assert!(bad.unwrap_err().contains("feature 1: broken"));
    }
}
