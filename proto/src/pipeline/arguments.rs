//! `[arguments]`: what a command gives with `-a NAME VALUE`, and `{NAME}` stands for in every text of the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::{
    labels::Word,
    layers::Change,
    problem::{Origin, Path, Problem, nearest, short},
    tree::{Kind, Node},
};

/// A value that a command gives: -a NAME VALUE.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArgumentEntry {
    /// What it is for; told where it is missing.
    pub about: String,
    /// What it is where none is given. May name other arguments. Without it, it has to be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Word>,
    /// The key that it is the value of, "run.test" for instance, as --set would have it; or "root", as --root.
    /// Such an argument may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<String>,
}

/// The words that `{}` holds elsewhere in a file: in patterns of scenes and in commands of steps.
const TAKEN: [&str; 9] = ["id", "name", "folder", "scene", "run", "col", "row", "width", "height"];
const KEYS: [&str; 3] = ["about", "default", "sets"];
/// As long as a path may be; what is put into many texts is not to fill the memory.
const MAX_LEN: usize = 4096;

/// What all arguments of a file are worth.
#[derive(Default)]
pub(super) struct Arguments {
    /// As it was written, and what it is.
    values: BTreeMap<String, (String, Node)>,
    /// Keys that arguments set.
    pub(super) changes: Vec<Change>,
    /// Where everything is to be, if an argument says so.
    pub(super) root: Option<String>,
}

impl Arguments {
    /// Takes the section out of a tree, and settles its values.
    pub(super) fn take(tree: &mut Node, given: &[[String; 2]], problems: &mut Vec<Problem>) -> Option<Self> {
        let Kind::Table(top) = &mut tree.kind else { return None };
        let section = top.remove("arguments");
        let mut arguments = Self::default();
        let mut known = Vec::new();
        if let Some(Node { kind: Kind::Table(entries), .. }) = &section {
            for (name, entry) in entries {
                known.push(name.as_str());
                let last = given.iter().rev().find(|[given, _]| given == name);
                if let Err(problem) = arguments.settle(name, entry, last.map(|[_, value]| value)) {
                    problems.push(*problem);
                }
            }
        } else if let Some(section) = &section {
            let (origin, path) = (section.origin.clone(), Path::from("arguments"));
            let message = "must be a table: [arguments.raw_uri] for instance".into();
            problems.push(Problem { origin, path, value: None, message });
        }
        for [name, value] in given.iter().filter(|[name, _]| !known.contains(&name.as_str())) {
            let hint = match (nearest(name, known.iter().copied()), known.is_empty()) {
                (Some(near), _) => format!("did you mean {}?", short(near)),
                (None, true) => "it has none".into(),
                (None, false) => format!("there are {}", short(&known.join(", "))),
            };
            let message = format!("the file has no argument {}; {hint}", short(name));
            let (origin, path) = (typed(name, value, Path::default()), Path::default());
            problems.push(Problem { origin, path, value: None, message });
        }
        arguments.join();
        if let Some((name, (_, node))) = arguments.values.iter().find(|(_, (text, _))| text.len() > MAX_LEN) {
            let (origin, path) = (node.origin.clone(), Path::from("arguments").key(name.as_str()));
            let message = format!("is longer than {MAX_LEN} bytes");
            problems.push(Problem { origin, path, value: None, message });
        }
        section.map(|_| arguments)
    }

    fn settle(&mut self, name: &str, entry: &Node, given: Option<&String>) -> Result<(), Box<Problem>> {
        let place = Path::from("arguments").key(name);
        let wrong = |origin: &Origin, path: &Path, message: String| {
            Box::new(Problem { origin: origin.clone(), path: path.clone(), value: None, message })
        };
        let is_word = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !is_word || TAKEN.contains(&name) {
            let why = match is_word {
                true => format!("{{{name}}} means something else in patterns and steps; take another name"),
                false => "its name must be of the letters a to z, digits and _".into(),
            };
            return Err(wrong(&entry.key_origin, &place, why));
        }
        let Kind::Table(table) = &entry.kind else {
            let why = "must be a table: { about = \"what it is for\", default = \"what it is where none is given\" }";
            return Err(wrong(&entry.origin, &place, why.into()));
        };
        for (key, node) in table {
            let path = place.key(key.as_str());
            let is_text = matches!(node.kind, Kind::Scalar(Value::String(_)));
            match key.as_str() {
                "about" | "sets" if !is_text => {
                    return Err(wrong(&node.origin, &path, "must be a string".into()));
                }
                "default" if !matches!(node.kind, Kind::Scalar(_)) => {
                    let why = "must be a string, a number, or true or false";
                    return Err(wrong(&node.origin, &path, why.into()));
                }
                key if !KEYS.contains(&key) => {
                    let why = format!("no such key; there are {}", KEYS.join(", "));
                    return Err(wrong(&node.key_origin, &path, why));
                }
                _ => {}
            }
        }
        let text = |key: &str| match table.get(key).map(|node| &node.kind) {
            Some(Kind::Scalar(Value::String(text))) => Some(text.as_str()),
            _ => None,
        };
        let sets = text("sets").map(|key| (key, Path::parse(key)));
        let value = match (given, table.get("default")) {
            (Some(raw), _) => {
                let origin = typed(name, raw, Path::default());
                (raw.clone(), Node::of_value(&read(raw), &origin))
            }
            (None, Some(node)) => (written(node), node.clone()),
            (None, None) if sets.is_some() => return Ok(()),
            (None, None) => {
                let about = text("about").map(|about| format!(" ({})", short(about))).unwrap_or_default();
                let why = format!("has no value{about}: give -a {name} VALUE");
                return Err(wrong(&entry.key_origin, &place, why));
            }
        };
        if value.0.len() > MAX_LEN {
            return Err(wrong(&value.1.origin, &place, format!("is longer than {MAX_LEN} bytes")));
        }
        match sets {
            None => {}
            Some(("root", _)) => self.root = Some(value.0.clone()),
            Some((_, Some(path))) => {
                let origin = match given {
                    Some(raw) => typed(name, raw, path.clone()),
                    None => value.1.origin.clone(),
                };
                let node = Node { origin: origin.clone(), ..value.1.clone() };
                self.changes.push(Change { origin, path, node });
            }
            Some((_, None)) => {
                let why = "must be names separated by dots, \"run.test\" for instance";
                return Err(wrong(&entry.origin, &place.key("sets"), why.into()));
            }
        }
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Defaults may name other arguments, whose values then name none.
    fn join(&mut self) {
        let plain = Self { values: self.values.clone(), ..Self::default() };
        for (text, node) in self.values.values_mut() {
            plain.fill(node, &Path::default());
            *text = plain.replaced(text);
        }
        if let Some(root) = &mut self.root {
            *root = plain.replaced(root);
        }
    }

    /// Puts values where they are named: into a text, or as themselves where they are all of it.
    pub(super) fn fill(&self, node: &mut Node, path: &Path) {
        match &mut node.kind {
            Kind::Table(table) => {
                table.iter_mut().for_each(|(key, child)| self.fill(child, &path.key(key.as_str())));
            }
            Kind::List(list) => {
                list.iter_mut().enumerate().for_each(|(at, child)| self.fill(child, &path.index(at)));
            }
            Kind::Scalar(Value::String(text)) => {
                let alone = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                let filled = match alone.and_then(|name| Some((name, self.values.get(name)?))) {
                    Some((name, (raw, value))) => {
                        let text = match &value.origin {
                            Origin::Override { .. } => format!("-a {name} {raw}"),
                            Origin::File { .. } => format!("arguments.{name}.default = {raw}"),
                        };
                        // So that digits are text where only text will do.
                        let (path, raw) = (path.clone(), raw.as_str().into());
                        let origin = Origin::Override { text: text.into(), path, raw };
                        (value.kind.clone(), origin)
                    }
                    None => (Kind::Scalar(Value::String(self.replaced(text))), node.origin.clone()),
                };
                (node.kind, node.origin) = filled;
            }
            Kind::Scalar(_) | Kind::Huge(_) => {}
        }
    }

    fn replaced(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, (raw, _)) in &self.values {
            let word = format!("{{{name}}}");
            if filled.contains(&word) {
                filled = filled.replace(&word, raw);
            }
        }
        filled
    }
}

fn typed(name: &str, raw: &str, path: Path) -> Origin {
    Origin::Override { text: format!("-a {name} {raw}").into(), path, raw: raw.into() }
}

/// Numbers and truths are such; True and False too, as Python spells them.
fn read(raw: &str) -> Value {
    match raw {
        "true" | "True" => Value::Boolean(true),
        "false" | "False" => Value::Boolean(false),
        _ => match (raw.parse::<i64>(), raw.parse::<f64>()) {
            (Ok(number), _) => Value::Integer(number),
            (Err(_), Ok(number)) if raw.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                Value::Float(number)
            }
            _ => Value::String(raw.to_owned()),
        },
    }
}

fn written(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(Value::String(text)) => text.clone(),
        _ => node.to_value().to_string(),
    }
}
