//! What a pipeline is put together from, the least wanted first: profile, file, `--set`,
//! environment, flags of their own.

use toml::Value;

use super::{
    BadPipeline, Pipeline,
    arguments::Arguments,
    check::Check,
    problem::{Origin, Path, Problem, Step},
    schema::schema,
    shape::Shape,
    tree::{Kind, Node},
    variants,
};

/// Begins the name of an environment variable that changes a key: `SWATH__PREDICT__BATCH`.
pub const ENV_PREFIX: &str = "SWATH__";

/// A text and the name that its problems are told under.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

/// Everything that decides a pipeline.
#[derive(Clone, Debug)]
pub struct Layers<'a> {
    pub file: Named<'a>,
    pub profile: Option<Named<'a>>,
    /// The one of `[variants]` that is wanted.
    pub variant: Option<&'a str>,
    /// Names and values, as given with `-a`.
    pub arguments: &'a [[String; 2]],
    /// `predict.batch=4`, as given with `--set`.
    pub set: &'a [String],
    /// Variables of the environment; those that do not begin with [`ENV_PREFIX`] are not ours.
    pub env: &'a [(String, String)],
    /// Flags that stand for a key: as typed, the key, its value.
    pub flags: Vec<(String, &'static str, Value)>,
}

/// A pipeline that was put together.
#[derive(Clone, Debug)]
pub struct Whole {
    pub pipeline: Pipeline,
    /// The file's own text where nothing else had a say, the whole as TOML otherwise.
    pub text: String,
    /// Where everything is to be, where an argument says so.
    pub root: Option<String>,
    /// What a person might not expect.
    pub notes: Vec<String>,
}

impl<'a> Layers<'a> {
    pub fn of_file(name: &'a str, text: &'a str) -> Self {
        Self {
            file: Named { name, text },
            profile: None,
            variant: None,
            arguments: &[],
            set: &[],
            env: &[],
            flags: Vec::new(),
        }
    }

    /// The names of the file's variants; none of a file that can't be read.
    pub fn variants(&self) -> Vec<String> {
        variants::names(&Node::read(self.file.name, self.file.text, &mut Vec::new()))
    }

    /// Reads and checks. Tells of everything that is wrong at once.
    pub fn read(&self) -> Result<Whole, BadPipeline> {
        let mut problems = Vec::new();
        let mut tree = Node::read(self.file.name, self.file.text, &mut problems);
        if let Some(profile) = self.profile {
            let mut below = Node::read(profile.name, profile.text, &mut problems);
            if let Kind::Table(table) = &mut below.kind {
                DOORS.iter().chain(&SECTIONS).for_each(|key| drop(table.remove(*key)));
            }
            below.overlay(tree);
            tree = below;
        }
        if !problems.is_empty() {
            // What follows from broken TOML is only noise.
            return Err(sorted(problems, self.file.name));
        }
        let mut is_changed = variants::take(&mut tree, self.variant, &mut problems) || self.profile.is_some();
        let arguments = Arguments::take(&mut tree, self.arguments, &mut problems);
        if !problems.is_empty() {
            // Texts that lack a part of them are wrong in many ways.
            return Err(sorted(problems, self.file.name));
        }
        is_changed |= arguments.is_some();
        let mut arguments = arguments.unwrap_or_default();
        let mut changes = std::mem::take(&mut arguments.changes);
        changes.extend(self.changes(&mut problems));
        let is_trial = is_trial(&tree, &changes);
        is_changed |= variants::take_trial(&mut tree, is_trial, &mut problems);
        is_changed |= !changes.is_empty();
        let mut notes = Vec::new();
        for Change { origin, path, node } in changes {
            if ["arguments", "variants", "test.with"]
                .iter()
                .any(|of_file| path.begins_with(&Path::from(*of_file)))
            {
                let message = "is for the file alone to say; -a NAME VALUE gives an argument".to_owned();
                problems.push(Problem { origin, path, value: None, message });
                continue;
            }
            let before = tree.find(&path);
            if let (Node { origin: Origin::Override { text: lost, .. }, .. }, true) = before
                && let Origin::Override { text, .. } = &origin
                && before.0.to_value() != node.to_value()
            {
                notes.push(format!("{text} wins over {lost}"));
            }
            if let Err(message) = put(&mut tree, &path, node) {
                problems.push(Problem { origin, path, value: None, message });
            }
        }
        arguments.fill(&mut tree, &Path::default());
        let root = arguments.root;
        let schema = schema();
        let replaced = Shape::check(&schema, &mut tree, &mut problems);
        match tree.to_value().try_into::<Pipeline>() {
            Ok(pipeline) => {
                let mut check = Check::new(&tree, problems, replaced);
                pipeline.check(&mut check);
                if !check.problems.is_empty() {
                    return Err(sorted(check.problems, self.file.name));
                }
                if !is_changed {
                    return Ok(Whole { pipeline, text: self.file.text.to_owned(), root, notes });
                }
                let text = toml::to_string(&tree.to_value()).map_err(|error| {
                    let (origin, path) = (tree.origin.clone(), Path::default());
                    Problem { origin, path, value: None, message: error.to_string() }
                })?;
                Ok(Whole { pipeline, text, root, notes })
            }
            // The schema says all that the types do, so that this is told only if it does not.
            Err(error) => {
                if problems.is_empty() {
                    let (origin, path) = (tree.origin.clone(), Path::default());
                    let message = error.message().replace('\n', ", ");
                    problems.push(Problem { origin, path, value: None, message });
                }
                Err(sorted(problems, self.file.name))
            }
        }
    }

    fn changes(&self, problems: &mut Vec<Problem>) -> Vec<Change> {
        let mut changes = Vec::new();
        for set in self.set {
            let text = format!("--set {set}");
            match set.split_once('=') {
                Some((path, raw)) => changes.push(Change::read(&text, Path::parse(path), raw)),
                None => {
                    let why = "write it as KEY=VALUE, predict.batch=4 for instance";
                    changes.push(Err(Change::problem(&text, Path::default(), set, why.into())));
                }
            }
        }
        let mut env: Vec<_> = self.env.iter().collect();
        env.sort();
        for (name, raw) in env {
            if let Some(key) = name.strip_prefix(ENV_PREFIX) {
                let path = Path::parse(&key.to_lowercase().replace("__", "."));
                changes.push(Change::read(&format!("{name}={raw}"), path, raw));
            }
        }
        for (text, path, value) in &self.flags {
            let path = Path::from(*path);
            let origin = Change::origin(text, &path, &value.to_string());
            let node = Node::of_value(value, &origin);
            changes.push(Ok(Change { origin, path, node }));
        }
        changes.into_iter().filter_map(|change| change.map_err(|wrong| problems.push(*wrong)).ok()).collect()
    }
}

pub(super) struct Change {
    pub(super) origin: Origin,
    pub(super) path: Path,
    pub(super) node: Node,
}

/// Whether the pipeline is one for a trial, once all changes are made.
fn is_trial(tree: &Node, changes: &[Change]) -> bool {
    let path = Path::from("run.test");
    let last = changes.iter().rev().find(|change| change.path == path);
    let node = last.map_or_else(|| tree.find(&path).0, |change| &change.node);
    matches!(node.kind, Kind::Scalar(Value::Boolean(true)))
}

impl Change {
    /// The value is TOML where it can be read as such, else a string.
    fn read(text: &str, path: Option<Path>, raw: &str) -> Result<Self, Box<Problem>> {
        let Some(path) = path else {
            let why = "the key must be names separated by dots, predict.batch for instance";
            return Err(Self::problem(text, Path::default(), raw, why.into()));
        };
        let parsed = format!("v = {raw}").parse::<toml::Table>().map(|mut table| match table.len() {
            1 => table.remove("v"),
            _ => None,
        });
        let value = match parsed {
            Ok(Some(value)) => value,
            Err(error) if raw.trim_start().starts_with(['[', '{', '"', '\'']) => {
                let why = format!("the value is not valid TOML: {}", error.message().replace('\n', ", "));
                return Err(Self::problem(text, path, raw, why));
            }
            _ => Value::String(raw.to_owned()),
        };
        let origin = Self::origin(text, &path, raw);
        Ok(Self { node: Node::of_value(&value, &origin), origin, path })
    }

    fn origin(text: &str, path: &Path, raw: &str) -> Origin {
        Origin::Override { text: text.into(), path: path.clone(), raw: raw.into() }
    }

    fn problem(text: &str, path: Path, raw: &str, message: String) -> Box<Problem> {
        Box::new(Problem { origin: Self::origin(text, &path, raw), path, value: None, message })
    }
}

/// Puts a value where an override wants it; sections that are not there are made.
fn put(tree: &mut Node, path: &Path, value: Node) -> Result<(), String> {
    let mut node = tree;
    let mut so_far = Path::default();
    for step in &path.0 {
        let empty = || Node::new(Kind::Table(Default::default()), value.origin.clone());
        let place = so_far.to_string();
        node = match (&mut node.kind, step) {
            (Kind::Table(table), Step::Key(key)) => table.entry(key.clone()).or_insert_with(empty),
            (Kind::Table(table), Step::Index(key)) => table.entry(key.to_string()).or_insert_with(empty),
            (Kind::List(list), Step::Index(index)) => {
                let n = list.len();
                if *index == n {
                    list.push(empty());
                }
                let why = || format!("{place} has {n} so far, counted from 0: {n} would add one");
                list.get_mut(*index).ok_or_else(why)?
            }
            (Kind::List(_), Step::Key(key)) => {
                return Err(format!(
                    "{place} is a list: say which of its entries, {place}.0.{key} for instance"
                ));
            }
            (Kind::Scalar(_) | Kind::Huge(_), _) => {
                return Err(format!("{place} is no section, so that nothing lies in it"));
            }
        };
        so_far = match step {
            Step::Key(key) => so_far.key(key.as_str()),
            Step::Index(index) => so_far.index(*index),
        };
    }
    *node = value;
    Ok(())
}

/// Files first and in their order, then what was said outside of them.
fn sorted(mut problems: Vec<Problem>, file: &str) -> BadPipeline {
    let rank = |problem: &Problem| match &problem.origin {
        Origin::File { name, line, column } => (usize::from(**name != *file), *line, *column),
        Origin::Override { .. } => (2, 0, 0),
    };
    problems.sort_by_key(rank);
    problems.dedup();
    BadPipeline { problems }
}

/// The keys of a profile that are no keys of a pipeline: where everything is.
const DOORS: [&str; 3] = ["root", "queue", "ledger"];

/// Keys of a profile that others read: what a fleet is asked for, and where its workers come from.
const SECTIONS: [&str; 3] = ["fleet", "batch", "prices"];

/// Where a profile says that everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileDoors {
    pub root: Option<String>,
    pub queue: Option<String>,
    pub ledger: Option<String>,
}

impl ProfileDoors {
    /// Reads them from a profile. Its keys of a pipeline are checked with a pipeline.
    pub fn read(profile: Named<'_>) -> Result<Self, BadPipeline> {
        let mut problems = Vec::new();
        let tree = Node::read(profile.name, profile.text, &mut problems);
        let known = schema();
        let Kind::Table(table) = &tree.kind else { return Ok(Self::default()) };
        let mut door = |key: &str| match table.get(key) {
            Some(Node { kind: Kind::Scalar(Value::String(text)), .. }) => Some(text.clone()),
            Some(node) => {
                let message = "must be a string".to_owned();
                let (origin, path) = (node.origin.clone(), Path::from(key));
                problems.push(Problem { origin, path, value: None, message });
                None
            }
            None => None,
        };
        let doors = Self { root: door("root"), queue: door("queue"), ledger: door("ledger") };
        let known: Vec<&str> = DOORS.into_iter().chain(SECTIONS).chain(super::shape::keys(&known)).collect();
        for (key, node) in table {
            if !known.contains(&key.as_str()) {
                let near = super::problem::nearest(key, known.iter().copied());
                let hint = near.map_or_else(
                    || "a profile has root, queue, ledger, [fleet], [batch], prices, and the keys of a pipeline".to_owned(),
                    |near| format!("did you mean {near}?"),
                );
                let (origin, path) = (node.key_origin.clone(), Path::default().key(key.as_str()));
                let message = format!("no such key; {hint}");
                problems.push(Problem { origin, path, value: None, message });
            }
        }
        if problems.is_empty() { Ok(doors) } else { Err(sorted(problems, profile.name)) }
    }
}
