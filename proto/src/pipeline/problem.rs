//! What is wrong with a pipeline file: where, what, and the nearest right thing.

use std::{fmt, sync::Arc};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A place in a file; lines and columns count from 1, columns in characters.
    File { name: Arc<str>, line: usize, column: usize },
    /// Outside of files: `--set predict.batch=4`, which sets the key `path`.
    Override { text: Arc<str>, path: Path, raw: Arc<str> },
}

/// `scenes[0].image`. Steps are keys, and indices in decimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub(super) Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(super) fn key(&self, key: impl Into<String>) -> Self {
        self.with(Step::Key(key.into()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub(super) fn begins_with(&self, start: &Path) -> bool {
        self.0.starts_with(&start.0)
    }

    /// `a.b.0.c` and `a.b[0].c`. `None` where a step is empty.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.replace('[', ".").replace(']', "");
        let step = |step: &str| match step.parse() {
            _ if step.is_empty() => None,
            Ok(index) => Some(Step::Index(index)),
            Err(_) => Some(Step::Key(step.to_owned())),
        };
        text.split('.').map(|part| step(part.trim())).collect::<Option<_>>().map(Self)
    }
}

impl From<&str> for Path {
    /// For paths that are spelt in this program.
    fn from(text: &str) -> Self {
        Self::parse(text).unwrap_or_default()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if at == 0 => f.write_str(&word(key))?,
                Step::Key(key) => write!(f, ".{}", word(key))?,
            }
        }
        Ok(())
    }
}

/// A key as TOML would have it written: bare where it can be.
fn word(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { short(&format!("{key:?}")) }
}

/// At most as much of a value as a line has room for.
pub(super) fn short(text: &str) -> String {
    const ROOM: usize = 60;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= ROOM {
        return line;
    }
    line.chars().take(ROOM).chain(['\u{2026}']).collect()
}

/// One thing that is wrong, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// Empty where the text is no TOML.
    pub path: Path,
    /// As it was written, where there is one.
    pub value: Option<String>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { name, line, column } => write!(f, "{name}:{line}:{column}: ")?,
            Origin::Override { text, path, .. } => {
                write!(f, "{}: ", short(text))?;
                if *path == self.path {
                    return f.write_str(&self.message);
                }
            }
        }
        match (&self.value, self.path.0.is_empty()) {
            (_, true) => {}
            (Some(value), _) => write!(f, "{} = {}: ", self.path, short(value))?,
            (None, _) => write!(f, "{}: ", self.path)?,
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a pipeline file, one line each, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct BadPipeline {
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

impl From<Problem> for BadPipeline {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// The word that was probably meant.
pub(crate) fn nearest<'w>(wrong: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', ' '], "_");
    let wrong = plain(&wrong.chars().take(100).collect::<String>());
    let distance = |word: &'w str| {
        let right = plain(word);
        // A word that was cut short or drawn out is nearer than its length tells.
        let starts = wrong.len() >= 3 && (right.starts_with(&wrong) || wrong.starts_with(&right));
        let part = wrong.len() >= 3 && (right.contains(&wrong) || wrong.contains(&right));
        let edits = strsim::osa_distance(&wrong, &right);
        let far = edits > 1 + wrong.chars().count() / 4;
        let rank = if starts {
            edits.min(1)
        } else if part {
            edits.min(2)
        } else {
            edits
        };
        (part || !far).then_some((rank, edits, word))
    };
    words.into_iter().filter_map(distance).min().map(|(_, _, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_what_was_probably_meant() {
        let keys = ["core_px", "margin_px", "batch", "block_px", "item_px", "scores"];
        for (wrong, right) in [
            ("core", "core_px"),
            ("bacth", "batch"),
            ("Batch", "batch"),
            ("score", "scores"),
            ("core-px", "core_px"),
        ] {
            assert_eq!(nearest(wrong, keys), Some(right), "{wrong}");
        }
        for wrong in ["", "x", "learning_rate", "gpu"] {
            assert_eq!(nearest(wrong, keys), None, "{wrong}");
        }
    }

    #[test]
    fn a_path_reads_back_what_it_prints() {
        for text in ["name", "scenes[0].image", "labels.buffer_px.road", "predict.core_px"] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Path::parse("scenes.0.image"), Path::parse("scenes[0].image"));
        assert_eq!(Path::parse("a..b"), None);
    }
}
