//! Words as pipeline files spell them, at the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// One of these words, as pipeline files spell them.
pub fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: serde::de::DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(word.into()))
}
