//! A pipeline file in the order in which a person would write it, with nothing in it that is so anyway.

use serde::Serialize;
use toml::{Table, Value};

#[derive(Debug, Default, Serialize)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) stages: Vec<String>,
    pub(crate) scenes: Vec<Table>,
    pub(crate) classes: Vec<Table>,
    pub(crate) model: Table,
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub(crate) data: Table,
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub(crate) labels: Table,
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub(crate) chips: Table,
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub(crate) train: Table,
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub(crate) predict: Table,
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub(crate) vectorize: Table,
}

/// Sets a key.
pub(crate) fn set(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key.to_owned(), value.into());
}

/// Sets a key where there is something to be said.
pub(crate) fn set_some(table: &mut Table, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        set(table, key, value);
    }
}

/// Whole numbers, as TOML has them.
pub(crate) fn wholes(numbers: impl IntoIterator<Item = u32>) -> Value {
    Value::Array(numbers.into_iter().map(|n| Value::Integer(n.into())).collect())
}

pub(crate) fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Value {
    Value::Array(texts.into_iter().map(|text| Value::String(text.into())).collect())
}

/// A value of JSON where TOML has one like it.
pub(crate) fn of_json(value: &serde_json::Value) -> Option<Value> {
    match value {
        serde_json::Value::String(text) => Some(Value::String(text.clone())),
        serde_json::Value::Bool(truth) => Some(Value::Boolean(*truth)),
        serde_json::Value::Number(number) => number.as_f64().map(Value::Float),
        _ => None,
    }
}
