//! Reads a GeoJSON collection feature by feature: what is in memory at a time is one feature, neither the text
//! nor a tree of all of them.

use std::{fmt, io};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

#[derive(Debug)]
pub(crate) enum Unread {
    /// The file could not be read to its end.
    Io(io::Error),
    /// It holds what it must not.
    Bad(String),
}

/// Remembers why it could not be read on: on its way through the parser an error becomes one of the text.
struct Noting<R> {
    text: R,
    torn: Option<io::Error>,
}

impl<R: io::Read> io::Read for Noting<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.text.read(to).map_err(|error| {
            let kind = error.kind();
            self.torn = Some(error);
            kind.into()
        })
    }
}

/// Parses a text that may break off.
fn parsed<R: io::Read, T>(
    text: R,
    parse: impl FnOnce(&mut Noting<R>) -> serde_json::Result<T>,
) -> Result<T, Unread> {
    let mut text = Noting { text, torn: None };
    let parsed = parse(&mut text);
    parsed.map_err(|error| match text.torn {
        Some(torn) => Unread::Io(torn),
        None => Unread::Bad(error.to_string()),
    })
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    crs: Value,
    features: Option<IgnoredAny>,
}

/// The coordinate system that the file names, if it names one.
pub(crate) fn crs_name(text: impl io::Read) -> Result<Option<String>, Unread> {
    let head: Head = parsed(text, |text| serde_json::from_reader(text)).map_err(|error| match error {
        Unread::Bad(why) => Unread::Bad(format!("it is no GeoJSON: {why}")),
        torn => torn,
    })?;
    head.features.ok_or_else(|| Unread::Bad("it has no list of features".into()))?;
    Ok(head.crs["properties"]["name"].as_str().map(str::to_owned))
}

/// Calls `take` with each feature and its number.
pub(crate) fn each_feature(
    text: impl io::Read,
    take: impl FnMut(usize, &Value) -> Result<(), String>,
) -> Result<(), Unread> {
    parsed(text, |text| Collection(take).deserialize(&mut serde_json::Deserializer::from_reader(text)))
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
            "crs":{"type":"name","properties":{"name":"EPSG:3857"}}}"#
            .as_slice();
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
        let bad = each_feature(br#"{"features":[{},{}]}"#.as_slice(), |number, _| match number {
            1 => Err("feature 1: broken".into()),
            _ => Ok(()),
        });
        assert!(matches!(bad, Err(Unread::Bad(why)) if why.contains("feature 1: broken")));
    }

    /// A disk that fails in the middle of a file.
    struct Failing<'a>(&'a [u8]);

    impl io::Read for Failing<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::Error::other("the disk is gone")) } else { self.0.read(to) }
        }
    }

    #[test]
    fn a_file_that_can_not_be_read_is_not_called_bad() {
        let text = br#"{"features":[{"id":1},{"i"#;
        assert!(matches!(crs_name(Failing(text)), Err(Unread::Io(_))));
        assert!(matches!(each_feature(Failing(text), |_, _| Ok(())), Err(Unread::Io(_))));
    }
}
