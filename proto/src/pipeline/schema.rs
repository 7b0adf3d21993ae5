//! The JSON Schema of the pipeline file, made from its types: what editors complete and check by,
//! and what [`super::shape`] holds a file against.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Pipeline;

/// Draft 2020-12.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Pipeline>().to_value();
    without_null(&mut schema);
    schema["title"] = json!("Swath pipeline");
    schema
}

/// TOML has no null: an option is a key that may be left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(without_null),
        Value::Object(object) => {
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|one| one != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".into(), one);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                let n = choices.len();
                choices.retain(|choice| choice["type"] != "null");
                if choices.len() < n
                    && let [Value::Object(only)] = choices.as_slice()
                {
                    let only = only.clone();
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            // Defaults are written as TOML would have them: options that are not there are left out.
            if let Some(Value::Object(default)) = object.get_mut("default") {
                default.retain(|_, value| !value.is_null());
            }
            object.values_mut().for_each(without_null);
        }
        _ => {}
    }
}
