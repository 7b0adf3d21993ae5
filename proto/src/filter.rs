//! Which features of a label file are meant: a small language of properties.

use serde::{Deserialize, Serialize};

/// What must hold of a feature's properties. One of three forms:
/// `{ property = "building", op = "=", value = "yes" }`, `{ all = [..] }`, `{ any = [..] }`.
///
/// `op` is `=` (where it is left out), `!=`, `<`, `<=`, `>`, `>=`, `in` (`value` is a list) or `has` (no
/// `value`). Of a feature without the property only `!=` holds. `<` and its kin compare two numbers or two
/// texts; between a number and a text they do not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawFilter", into = "RawFilter")]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Property { name: String, test: Test },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Has,
    In(Vec<serde_json::Value>),
    Compare(Comparison, serde_json::Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<Vec<Filter>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<Vec<Filter>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    property: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
}

impl TryFrom<RawFilter> for Filter {
    type Error = String;

    fn try_from(raw: RawFilter) -> Result<Self, String> {
        let (name, op, value) = match raw {
            RawFilter { all: Some(all), any: None, property: None, op: None, value: None } => {
                return Ok(Self::All(all));
            }
            RawFilter { any: Some(any), all: None, property: None, op: None, value: None } => {
                return Ok(Self::Any(any));
            }
            RawFilter { property: Some(name), all: None, any: None, op, value } => (name, op, value),
            _ => {
                return Err(
                    "a filter is either `all`, or `any`, or a `property` with `op` and `value`".into()
                );
            }
        };
        let op = op.as_deref().unwrap_or("=");
        let test = match (Comparison::ALL.iter().find(|(sign, _)| *sign == op), op, value) {
            (None, "has", None) => Test::Has,
            (None, "in", Some(serde_json::Value::Array(values))) => Test::In(values),
            (Some((_, comparison)), _, Some(value)) if !value.is_array() && !value.is_object() => {
                Test::Compare(*comparison, value)
            }
            (None, "has", Some(_)) => return Err(format!("{name}: `has` takes no value")),
            (None, "in", _) => return Err(format!("{name}: `in` takes a list of values")),
            (Some(_), _, _) => {
                return Err(format!("{name}: `{op}` takes one value, a number, text or boolean"));
            }
            _ => return Err(format!("{name}: op '{op}' is none of =, !=, <, <=, >, >=, in, has")),
        };
        Ok(Self::Property { name, test })
    }
}

impl From<Filter> for RawFilter {
    fn from(filter: Filter) -> Self {
        let property = |name, op: &str, value| Self {
            property: Some(name),
            op: Some(op.into()),
            value,
            ..Self::default()
        };
        match filter {
            Filter::All(all) => Self { all: Some(all), ..Self::default() },
            Filter::Any(any) => Self { any: Some(any), ..Self::default() },
            Filter::Property { name, test: Test::Has } => property(name, "has", None),
            Filter::Property { name, test: Test::In(values) } => property(name, "in", Some(values.into())),
            Filter::Property { name, test: Test::Compare(comparison, value) } => {
                property(name, comparison.sign(), Some(value))
            }
        }
    }
}

impl Comparison {
    const ALL: [(&str, Comparison); 6] = [
        ("=", Comparison::Equal),
        ("!=", Comparison::Unequal),
        ("<", Comparison::Less),
        ("<=", Comparison::LessOrEqual),
        (">", Comparison::Greater),
        (">=", Comparison::GreaterOrEqual),
    ];

    pub fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, comparison)| *comparison == self).map_or("", |(sign, _)| sign)
    }
}

impl Filter {
    pub fn holds(&self, properties: &serde_json::Value) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.holds(properties)),
            Self::Any(filters) => filters.iter().any(|filter| filter.holds(properties)),
            Self::Property { name, test } => {
                let found = properties.get(name).filter(|value| !value.is_null());
                match (test, found) {
                    (Test::Has, found) => found.is_some(),
                    (Test::Compare(Comparison::Unequal, wanted), found) => {
                        found.is_none_or(|value| !equal(value, wanted))
                    }
                    (_, None) => false,
                    (Test::In(values), Some(value)) => values.iter().any(|wanted| equal(value, wanted)),
                    (Test::Compare(comparison, wanted), Some(value)) => comparison.holds(value, wanted),
                }
            }
        }
    }
}

/// 1 and 1.0 are one number.
fn equal(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

impl Comparison {
    fn holds(self, value: &serde_json::Value, wanted: &serde_json::Value) -> bool {
        use std::cmp::Ordering;
        let order = match (value.as_f64(), wanted.as_f64(), value.as_str(), wanted.as_str()) {
            (Some(a), Some(b), _, _) => a.partial_cmp(&b),
            (_, _, Some(a), Some(b)) => Some(a.cmp(b)),
            _ => None,
        };
        match self {
            Self::Equal => equal(value, wanted),
            Self::Unequal => !equal(value, wanted),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(value: serde_json::Value) -> Result<Filter, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn filters_compare_what_can_be_compared() {
        let properties = json!({"building": "yes", "levels": 3, "name": null});
        for (wanted, holds) in [
            (json!({"property":"building","value":"yes"}), true),
            (json!({"property":"building","op":"!=","value":"yes"}), false),
            (json!({"property":"roof","op":"!=","value":"flat"}), true),
            (json!({"property":"levels","op":">=","value":3.0}), true),
            (json!({"property":"levels","op":"<","value":3}), false),
            (json!({"property":"levels","op":"<","value":"4"}), false),
            (json!({"property":"building","op":"<","value":"zoo"}), true),
            (json!({"property":"levels","op":"in","value":[1,3.0]}), true),
            (json!({"property":"name","op":"has"}), false),
            (json!({"property":"building","op":"has"}), true),
            (json!({"all":[{"property":"levels","value":3},{"property":"roof","op":"has"}]}), false),
            (json!({"any":[{"property":"levels","value":3},{"property":"roof","op":"has"}]}), true),
            (json!({"all":[]}), true),
        ] {
            assert_eq!(filter(wanted.clone()).unwrap().holds(&properties), holds, "{wanted}");
        }
    }

    #[test]
    fn a_filter_that_says_nothing_sensible_is_refused() {
        for (bad, why) in [
            (json!({}), "either"),
            (json!({"all":[],"property":"a"}), "either"),
            (json!({"property":"a","op":"~","value":1}), "'~'"),
            (json!({"property":"a","op":"in","value":1}), "list"),
            (json!({"property":"a","op":"<"}), "one value"),
            (json!({"property":"a","op":"has","value":1}), "no value"),
            (json!({"property":"a","val":1}), "val"),
        ] {
            let error = filter(bad.clone()).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
