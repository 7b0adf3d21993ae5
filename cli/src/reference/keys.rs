//! Every key of a pipeline file, by its JSON Schema.

use serde_json::Value;

use super::cell;

const BEGIN: &str = "# Keys of the pipeline file

Every key that a pipeline file may have, as `swath schema` describes it: the program holds files against the same. How keys go together is told in
[The pipeline file](../pipeline.md). This page is written by the program (`UPDATE_TOLD=1 cargo test -p swath reference::`).
";

pub(super) fn page() -> String {
    let schema = swath_proto::pipeline::schema();
    let mut page = BEGIN.to_owned();
    Keys { root: &schema }.tell(
        &Section { heading: "Top of the file".into(), path: String::new() },
        &schema,
        &mut page,
    );
    page
}

struct Section {
    heading: String,
    /// Empty at the top.
    path: String,
}

/// How a value holds a table.
#[derive(Clone, Copy)]
enum Held {
    Alone,
    InList,
    ByName,
}

struct Keys<'s> {
    root: &'s Value,
}

impl<'s> Keys<'s> {
    /// A table's keys, and then those of the tables in it.
    fn tell(&self, section: &Section, table: &'s Value, page: &mut String) {
        *page += &format!("\n## {}\n\n", section.heading);
        if let Some(about) = table["description"].as_str().filter(|_| !section.path.is_empty()) {
            *page += &format!("{}\n\n", cell(about));
        }
        *page += "| key | type | default | what it is |\n| --- | --- | --- | --- |\n";
        let mut inner = Vec::new();
        for key in keys(table) {
            let value = &table["properties"][key];
            let default = match is_needed(table, key) {
                true => "needed".to_owned(),
                false => default(value),
            };
            *page += &format!(
                "| `{key}` | {} | {default} | {} |\n",
                cell(&self.kind(value)),
                cell(&self.meaning(value))
            );
            inner.extend(self.tables(value).into_iter().map(|(held, table)| (key, held, table)));
        }
        for (key, held, table) in inner {
            self.tell(&section.of(key, held), table, page);
        }
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let name = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
        name.and_then(|name| self.root.pointer(name)).unwrap_or(schema)
    }

    /// What a value may be; one where there is no choice.
    fn branches(&self, schema: &'s Value) -> Vec<&'s Value> {
        let schema = self.resolve(schema);
        match schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            Some(list) => list.iter().flat_map(|branch| self.branches(branch)).collect(),
            None => vec![schema],
        }
    }

    /// Tables with keys of their own that a value may be, or hold.
    fn tables(&self, schema: &'s Value) -> Vec<(Held, &'s Value)> {
        let mut tables = Vec::new();
        for branch in self.branches(schema) {
            if branch["properties"].is_object() {
                tables.push((Held::Alone, branch));
            }
            for (within, held) in [("items", Held::InList), ("additionalProperties", Held::ByName)] {
                if branch[within].is_object() {
                    tables.extend(self.tables(&branch[within]).into_iter().map(|(_, table)| (held, table)));
                }
            }
        }
        tables
    }

    fn kind(&self, schema: &'s Value) -> String {
        let kinds: Vec<String> =
            self.branches(schema).into_iter().flat_map(|branch| self.kinds(branch)).collect();
        kinds.join(", ")
    }

    /// Of one branch: its words, or what it is.
    fn kinds(&self, branch: &'s Value) -> Vec<String> {
        let words = words(branch);
        if !words.is_empty() {
            return words.iter().map(|word| format!("`\"{word}\"`")).collect();
        }
        let others = &branch["additionalProperties"];
        vec![match branch["type"].as_str() {
            Some("string") => "string".into(),
            Some("integer") => format!("whole number{}", limits(branch)),
            Some("number") => format!("number{}", limits(branch)),
            Some("boolean") => "true or false".into(),
            Some("array") => {
                let (least, most) = (branch["minItems"].as_u64(), branch["maxItems"].as_u64());
                let length = least.filter(|_| least == most).map(|n| format!(" of {n}")).unwrap_or_default();
                format!("list{length}: {}", self.kind(&branch["items"]))
            }
            Some("object") if branch["properties"].is_object() => "table".into(),
            Some("object") if self.resolve(others)["type"] == "object" => "tables by name".into(),
            Some("object") if others.is_object() => format!("table: {}", self.kind(others)),
            Some("object") => "table of keys".into(),
            other => panic!("a key of type {other:?}: say how such a one is told"),
        }]
    }

    /// What the schema says of a key, and of the words that it takes, alone or in a list.
    fn meaning(&self, schema: &'s Value) -> String {
        let about = schema["description"].as_str().or_else(|| self.resolve(schema)["description"].as_str());
        let mut told: Vec<String> = about.into_iter().map(str::to_owned).collect();
        let branches = self.branches(schema);
        let listed = branches.iter().filter(|branch| branch["items"].is_object());
        let listed: Vec<&Value> = listed.flat_map(|branch| self.branches(&branch["items"])).collect();
        for branch in branches.into_iter().chain(listed) {
            if let (Some(word), Some(about)) = (branch["const"].as_str(), branch["description"].as_str()) {
                told.push(format!("`{word}`: {about}"));
            }
        }
        told.join(" ")
    }
}

impl Section {
    fn of(&self, key: &str, held: Held) -> Self {
        if !self.path.is_empty() {
            let path = format!("{}.{key}", self.path);
            return Self { heading: path.clone(), path };
        }
        let heading = match held {
            Held::Alone => format!("[{key}]"),
            Held::InList => format!("[[{key}]]"),
            Held::ByName => format!("[{key}.NAME]"),
        };
        Self { heading, path: key.to_owned() }
    }
}

/// In the order of the alphabet, whichever map JSON is kept in.
fn keys(table: &Value) -> Vec<&str> {
    let keys = table["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let mut keys: Vec<&str> = keys.collect();
    keys.sort_unstable();
    keys
}

fn is_needed(table: &Value, key: &str) -> bool {
    table["required"].as_array().is_some_and(|needed| needed.iter().any(|needed| needed == key))
}

fn words(branch: &Value) -> Vec<&str> {
    let one = branch["const"].as_str().into_iter();
    one.chain(branch["enum"].as_array().into_iter().flatten().filter_map(Value::as_str)).collect()
}

/// As TOML has it. Tables have their defaults key by key, in their own sections.
fn default(value: &Value) -> String {
    match value.get("default") {
        None | Some(Value::Object(_)) => String::new(),
        Some(Value::Array(list)) => {
            let list: Vec<String> = list.iter().map(Value::to_string).collect();
            format!("`[{}]`", list.join(", "))
        }
        Some(one) => format!("`{one}`"),
    }
}

fn limits(branch: &Value) -> String {
    let of = |key: &str| branch.get(key).map(Value::to_string);
    match (of("minimum"), of("maximum"), of("exclusiveMinimum")) {
        (Some(least), Some(most), _) => format!(" {least} to {most}"),
        (None, Some(most), Some(above)) => format!(" above {above}, {most} at most"),
        (None, Some(most), None) => format!(" at most {most}"),
        (_, None, Some(above)) => format!(" above {above}"),
        (Some(least), None, None) if least != "0" => format!(" at least {least}"),
        (_, None, None) => String::new(),
    }
}
