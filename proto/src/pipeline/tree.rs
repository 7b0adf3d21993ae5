//! A pipeline file as a tree in which each value knows where it was written.

use std::{collections::BTreeMap, sync::Arc};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

use super::problem::{Origin, Path, Problem, Step};

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    /// Of the value.
    pub origin: Origin,
    /// Of the key, where it has one.
    pub key_origin: Origin,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Anything but a list or a table.
    Scalar(Value),
    /// A whole number that TOML can't hold, as it was written.
    Huge(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    pub fn new(kind: Kind, origin: Origin) -> Self {
        Self { kind, key_origin: origin.clone(), origin }
    }

    /// Reads a file's text; problems of its syntax are collected, and the rest is read on.
    pub fn read(name: &str, text: &str, problems: &mut Vec<Problem>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let places = Places::new(name, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            let message = error.message().replace('\n', ", ");
            let line = places.line(at);
            let message = match line.trim() {
                "" => message,
                line => format!("{message}: {}", super::problem::short(line)),
            };
            problems.push(Problem { origin: places.at(at), path: Path::default(), value: None, message });
        }
        let origin = places.at(0);
        Self { kind: tables(table.get_ref(), &places), key_origin: origin.clone(), origin }
    }

    /// A value of an override, all of it written at one place.
    pub fn of_value(value: &Value, origin: &Origin) -> Self {
        let kind = match value {
            Value::Array(list) => Kind::List(list.iter().map(|one| Self::of_value(one, origin)).collect()),
            Value::Table(table) => Kind::Table(
                table.iter().map(|(key, one)| (key.clone(), Self::of_value(one, origin))).collect(),
            ),
            scalar => Kind::Scalar(scalar.clone()),
        };
        Self::new(kind, origin.clone())
    }

    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Huge(text) => Value::String(text.clone()),
            Kind::List(list) => Value::Array(list.iter().map(Self::to_value).collect()),
            Kind::Table(table) => {
                Value::Table(table.iter().map(|(key, node)| (key.clone(), node.to_value())).collect())
            }
        }
    }

    /// The node at a path, or else the deepest above it.
    pub fn find(&self, path: &Path) -> (&Node, bool) {
        let mut node = self;
        for step in &path.0 {
            let next = match (&node.kind, step) {
                (Kind::Table(table), Step::Key(key)) => table.get(key),
                (Kind::List(list), Step::Index(index)) => list.get(*index),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// What lies here now is wanted less than what lies in `over`: tables are joined, all else is
    /// replaced.
    pub fn overlay(&mut self, over: Node) {
        match (&mut self.kind, over.kind) {
            (Kind::Table(here), Kind::Table(there)) => {
                for (key, node) in there {
                    match here.get_mut(&key) {
                        Some(below) => below.overlay(node),
                        None => drop(here.insert(key, node)),
                    }
                }
                // Where keys are missing, the file that was read last is to be mended.
                self.origin = over.origin;
            }
            (_, kind) => *self = Node { kind, origin: over.origin, key_origin: over.key_origin },
        }
    }
}

fn tables(table: &DeTable<'_>, places: &Places<'_>) -> Kind {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let mut node = value_node(value, places);
        node.key_origin = places.at(key.span().start);
        // A table that dotted keys make has no place of its own.
        if matches!(node.kind, Kind::Table(_)) && value.span().is_empty() {
            node.origin = node.key_origin.clone();
        }
        (key.get_ref().to_string(), node)
    };
    Kind::Table(table.iter().map(entry).collect())
}

fn value_node(value: &Spanned<DeValue<'_>>, places: &Places<'_>) -> Node {
    let kind = match value.get_ref() {
        DeValue::Table(table) => tables(table, places),
        DeValue::Array(list) => Kind::List(list.iter().map(|one| value_node(one, places)).collect()),
        DeValue::String(text) => Kind::Scalar(Value::String(text.to_string())),
        DeValue::Boolean(truth) => Kind::Scalar(Value::Boolean(*truth)),
        DeValue::Datetime(date) => Kind::Scalar(Value::Datetime(*date)),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Kind::Huge(integer.to_string()), |number| Kind::Scalar(Value::Integer(number))),
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .map_or_else(|_| Kind::Huge(float.to_string()), |number| Kind::Scalar(Value::Float(number))),
    };
    Node::new(kind, places.at(value.span().start))
}

/// Lines and columns of a text.
struct Places<'t> {
    name: Arc<str>,
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(name: &str, text: &'t str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { name: name.into(), text, lines: std::iter::once(0).chain(after_breaks).collect() }
    }

    fn at(&self, byte: usize) -> Origin {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines[line - 1];
        let before = self.text.get(start..byte).unwrap_or_default();
        Origin::File { name: self.name.clone(), line, column: before.chars().count() + 1 }
    }

    fn line(&self, byte: usize) -> &'t str {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        self.text.get(self.lines[line - 1]..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }
}
