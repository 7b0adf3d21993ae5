//! Holds a file's tree against the schema: unknown keys, wrong types, words that do not exist,
//! numbers out of range. What is wrong is replaced by something right, so that the rest can be read
//! and checked too.

use serde_json::Value as Json;
use toml::Value;

use super::{
    problem::{Origin, Path, Problem, nearest},
    tree::{Kind, Node},
};

pub(super) struct Shape<'s> {
    root: &'s Json,
    /// Where something right stands for what was wrong or missing.
    replaced: Vec<Path>,
}

impl<'s> Shape<'s> {
    /// Returns the paths of what was replaced.
    pub fn check(root: &'s Json, tree: &mut Node, problems: &mut Vec<Problem>) -> Vec<Path> {
        let mut shape = Self { root, replaced: Vec::new() };
        shape.node(root, tree, &Path::default(), problems);
        shape.replaced
    }

    fn node(&mut self, schema: &'s Json, node: &mut Node, path: &Path, problems: &mut Vec<Problem>) {
        let branches = self.branches(schema);
        self.read_as_word(&branches, node, path);
        let wrong = match best(&branches, &node.kind) {
            None => format!("must be {}, and is {}", self.wanted(&branches), kind_name(&node.kind)),
            Some(branch) => match value_problem(&branches, branch, &node.kind) {
                Some(wrong) => wrong,
                None => return self.inside(branch, node, path, problems),
            },
        };
        problems.push(of(node, path, wrong));
        self.replaced.push(path.clone());
        let right = Node::of_value(&self.placeholder(schema), &node.origin);
        node.kind = right.kind;
    }

    fn inside(&mut self, schema: &'s Json, node: &mut Node, path: &Path, problems: &mut Vec<Problem>) {
        match &mut node.kind {
            Kind::Table(_) => self.table(schema, node, path, problems),
            Kind::List(list) => {
                for (at, one) in list.iter_mut().enumerate() {
                    self.node(&schema["items"], one, &path.index(at), problems);
                }
            }
            Kind::Scalar(_) | Kind::Huge(_) => {}
        }
    }

    fn table(&mut self, schema: &'s Json, node: &mut Node, path: &Path, problems: &mut Vec<Problem>) {
        let Kind::Table(table) = &mut node.kind else { return };
        let known = |key: &str| {
            let any = schema.get("additionalProperties").filter(|schema| schema.is_object());
            schema["properties"].get(key).or(any)
        };
        let mut unknown = Vec::new();
        for (key, child) in table.iter_mut() {
            let path = path.key(key.as_str());
            match known(key) {
                Some(schema) => self.node(schema, child, &path, problems),
                None => {
                    unknown.push(key.clone());
                    let message = self.unknown(schema, key);
                    let origin = child.key_origin.clone();
                    problems.push(Problem { origin, path, value: None, message });
                }
            }
        }
        table.retain(|key, _| !unknown.contains(key));
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if table.contains_key(key) {
                continue;
            }
            let schema = known(key).unwrap_or(&Json::Null);
            // What was misspelt is told of once.
            if !unknown.iter().any(|unknown| nearest(unknown, [key]).is_some()) {
                let about = self.about(schema).map(|about| format!(" ({about})")).unwrap_or_default();
                let (origin, path) = (node.origin.clone(), path.key(key));
                problems.push(Problem { origin, path, value: None, message: format!("is missing{about}") });
            }
            self.replaced.push(path.key(key));
            table.insert(key.to_owned(), Node::of_value(&self.placeholder(schema), &node.origin));
        }
    }

    /// What to do about a key that is not known.
    fn unknown(&self, schema: &Json, key: &str) -> String {
        let known: Vec<&str> = keys(schema).collect();
        if let Some(near) = nearest(key, known.iter().copied()) {
            return format!("no such key; did you mean {near}?");
        }
        // A right key in a wrong place.
        if keys(self.root).any(|known| known == key) {
            return "no such key here; it belongs to the top of the file, before every [section]".into();
        }
        for section in keys(self.root) {
            let inner = self.resolve(&self.root["properties"][section]);
            let (inner, brackets) = match inner.get("items") {
                Some(items) => (self.resolve(items), ("[[", "]]")),
                None => (inner, ("[", "]")),
            };
            if keys(inner).any(|known| known == key) {
                return format!("no such key here; it belongs to {}{section}{}", brackets.0, brackets.1);
            }
        }
        format!("no such key; there are {}", known.join(", "))
    }

    fn about(&self, schema: &'s Json) -> Option<String> {
        let about =
            schema["description"].as_str().or_else(|| self.resolve(schema)["description"].as_str())?;
        let line = about.split(['.', '\n', ':']).next()?;
        let mut letters = line.chars();
        Some(letters.next()?.to_lowercase().chain(letters).collect())
    }

    fn resolve(&self, schema: &'s Json) -> &'s Json {
        let name = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
        name.and_then(|name| self.root.pointer(name)).unwrap_or(schema)
    }

    /// The branches of a schema; itself where it has none.
    fn branches(&self, schema: &'s Json) -> Vec<&'s Json> {
        let schema = self.resolve(schema);
        match schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            Some(list) => list.iter().flat_map(|branch| self.branches(branch)).collect(),
            None => vec![schema],
        }
    }

    /// `--set scenes.0.id=0412` means text: what was typed outside of a file is text where only
    /// text will do.
    fn read_as_word(&self, branches: &[&Json], node: &mut Node, path: &Path) {
        let Origin::Override { path: set, raw, .. } = &node.origin else { return };
        let takes_text = branches.iter().any(|branch| is(branch, "string"));
        let is_scalar = matches!(node.kind, Kind::Scalar(_));
        if set == path && is_scalar && takes_text && !branches.iter().any(|branch| fits(branch, &node.kind)) {
            node.kind = Kind::Scalar(Value::String(raw.to_string()));
        }
    }

    fn wanted(&self, branches: &[&Json]) -> String {
        let mut wanted: Vec<String> = words(branches).map(|word| format!("\"{word}\"")).collect();
        for branch in branches.iter().filter(|branch| one_word(branch).is_none() && branch["enum"].is_null())
        {
            wanted.push(match branch["type"].as_str() {
                Some("string") => "a string".into(),
                Some("integer") => "a whole number".into(),
                Some("number") => "a number".into(),
                Some("boolean") => "true or false".into(),
                Some("array") => {
                    let one = self.wanted(&self.branches(&branch["items"]));
                    format!("a list of {}", plural(&one))
                }
                Some("object") if branch["properties"].is_object() => {
                    format!("a table with {}", keys(branch).collect::<Vec<_>>().join(", "))
                }
                _ => "a table".into(),
            });
        }
        or_list(&wanted)
    }

    /// Something that the schema allows.
    fn placeholder(&self, schema: &'s Json) -> Value {
        let Some(branch) = self.branches(schema).first().copied() else { return Value::Boolean(false) };
        let word = one_word(branch).or_else(|| branch["enum"][0].as_str());
        match branch["type"].as_str() {
            Some("string") => Value::String(word.unwrap_or("placeholder").into()),
            Some("integer") => Value::Integer(branch["minimum"].as_f64().unwrap_or(1.0) as i64),
            Some("number") => Value::Float(branch["minimum"].as_f64().unwrap_or(1.0)),
            Some("array") => {
                let n = branch["minItems"].as_u64().unwrap_or(0);
                Value::Array((0..n).map(|_| self.placeholder(&branch["items"])).collect())
            }
            Some("object") => {
                let required = branch["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
                let entry = |key: &str| (key.to_owned(), self.placeholder(&branch["properties"][key]));
                Value::Table(required.map(entry).collect())
            }
            _ => Value::Boolean(false),
        }
    }
}

fn of(node: &Node, path: &Path, message: String) -> Problem {
    let value = match &node.kind {
        Kind::Table(_) => None,
        Kind::Huge(text) => Some(text.clone()),
        _ => Some(node.to_value().to_string()),
    };
    Problem { origin: node.origin.clone(), path: path.clone(), value, message }
}

pub(super) fn keys(schema: &Json) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str())
}

fn one_word(branch: &Json) -> Option<&str> {
    branch["const"].as_str()
}

/// The words among which a value can be chosen.
fn words<'j>(branches: &[&'j Json]) -> impl Iterator<Item = &'j str> {
    let of = |branch: &'j Json| {
        let list = branch["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
        one_word(branch).into_iter().chain(list)
    };
    branches.iter().copied().flat_map(of)
}

fn is(branch: &Json, kind: &str) -> bool {
    branch["type"] == kind
}

/// The branch of a value's type; of several tables the one that knows most of its keys.
fn best<'b, 's>(branches: &'b [&'s Json], kind: &Kind) -> Option<&'b &'s Json> {
    let known = |branch: &&&Json| match kind {
        Kind::Table(table) => table.keys().filter(|key| keys(branch).any(|known| known == *key)).count(),
        _ => 0,
    };
    // Of equals the first.
    branches.iter().rev().filter(|branch| fits(branch, kind)).max_by_key(known)
}

/// Is the value of a branch's type?
fn fits(branch: &Json, kind: &Kind) -> bool {
    match kind {
        Kind::Table(_) => is(branch, "object"),
        Kind::List(_) => is(branch, "array"),
        Kind::Scalar(Value::String(_)) => is(branch, "string"),
        Kind::Scalar(Value::Integer(_)) => is(branch, "integer") || is(branch, "number"),
        Kind::Scalar(Value::Float(_)) => is(branch, "number"),
        Kind::Scalar(Value::Boolean(_)) => is(branch, "boolean"),
        Kind::Scalar(_) | Kind::Huge(_) => false,
    }
}

/// What is wrong with a value of the right type.
fn value_problem(branches: &[&Json], branch: &Json, kind: &Kind) -> Option<String> {
    match kind {
        Kind::Scalar(Value::String(text)) => {
            let free = |branch: &&Json| is(branch, "string") && words(&[branch]).next().is_none();
            if branches.iter().any(free) || words(branches).any(|word| word == text) {
                return None;
            }
            let near = nearest(text, words(branches)).map(|near| format!("; did you mean \"{near}\"?"));
            let all: Vec<_> = words(branches).map(|word| format!("\"{word}\"")).collect();
            Some(format!("must be {}{}", or_list(&all), near.unwrap_or_default()))
        }
        Kind::Scalar(Value::Integer(number)) => range_problem(branch, *number as f64),
        Kind::Scalar(Value::Float(number)) => range_problem(branch, *number),
        Kind::List(list) => {
            let (least, most) = (branch["minItems"].as_u64(), branch["maxItems"].as_u64());
            let n = list.len() as u64;
            let right = least.is_none_or(|least| n >= least) && most.is_none_or(|most| n <= most);
            let entries = |n| if n == 1 { "entry" } else { "entries" };
            let wanted = match (least, most) {
                (Some(least), Some(most)) if least == most => format!("{least} {}", entries(least)),
                (Some(least), Some(most)) => format!("{least} to {most} entries"),
                (Some(least), None) => format!("at least {least} {}", entries(least)),
                (None, most) => format!("at most {} entries", most.unwrap_or_default()),
            };
            (!right).then(|| format!("must have {wanted}, and has {n}"))
        }
        _ => None,
    }
}

fn range_problem(branch: &Json, number: f64) -> Option<String> {
    let largest = (branch["format"] == "uint32").then_some(f64::from(u32::MAX));
    let (least, most) = (branch["minimum"].as_f64(), branch["maximum"].as_f64().or(largest));
    let above = branch["exclusiveMinimum"].as_f64();
    if least.is_none() && most.is_none() && above.is_none() {
        return None;
    }
    let right = number.is_finite()
        && least.is_none_or(|least| number >= least)
        && most.is_none_or(|most| number <= most)
        && above.is_none_or(|above| number > above);
    if right {
        return None;
    }
    let wanted = match (least, most, above) {
        (Some(least), Some(most), _) if Some(most) == largest => format!("at least {least}, and fit 32 bits"),
        (Some(least), Some(most), _) => format!("{least} to {most}"),
        (Some(least), None, _) => format!("at least {least}"),
        (None, Some(most), Some(above)) => format!("above {above}, {most} at most"),
        (None, Some(most), None) => format!("at most {most}"),
        (None, None, above) => format!("above {}", above.unwrap_or_default()),
    };
    let nearest = match (least, most) {
        (Some(least), _) if number < least => Some(least),
        (_, Some(most)) if number > most && Some(most) != largest => Some(most),
        _ => None,
    };
    let nearest = nearest.map(|nearest| format!("; {nearest} is the nearest")).unwrap_or_default();
    Some(format!("must be {wanted}{nearest}"))
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Table(_) => "a table",
        Kind::List(_) => "a list",
        Kind::Scalar(Value::String(_)) => "a string",
        Kind::Scalar(Value::Integer(_)) => "a whole number",
        Kind::Scalar(Value::Float(_)) => "a number with a fraction",
        Kind::Scalar(Value::Boolean(_)) => "true or false",
        Kind::Scalar(_) => "a date",
        Kind::Huge(_) => "a number that does not fit 64 bits",
    }
}

fn or_list(words: &[String]) -> String {
    match words {
        [] => "something else".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn plural(one: &str) -> String {
    let name = ["a string", "a whole number", "a number"].into_iter().find(|name| *name == one);
    match name.and_then(|name| name.strip_prefix("a ")) {
        Some(name) => format!("{name}s"),
        None if one.starts_with('"') => one.to_owned(),
        None => one.replacen("a table with", "tables with", 1),
    }
}
