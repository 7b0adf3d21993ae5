//! The checkpoints of a training that lie in the store, each under the name of where it stands: which of them is gone
//! on from, and which go.

use std::fmt;

use swath_proto::ids::Digest;

use crate::{
    checkpoint::{self, Position, Read},
    error::{Kind, Result, TrainError},
    store::Store,
};

/// Under the training's output.
pub const CHECKPOINTS: &str = "checkpoints/";

/// Epochs that are done, and steps of the next one. In the order of age, as text too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    epoch: u32,
    step: u64,
}

const ENDING: &str = ".safetensors";

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}-{:09}{ENDING}", self.epoch, self.step)
    }
}

impl Name {
    /// `None` for what somebody else has put there.
    fn parse(text: &str) -> Option<Self> {
        let (epoch, step) = text.strip_suffix(ENDING)?.split_once('-')?;
        let name = Self { epoch: epoch.parse().ok()?, step: step.parse().ok()? };
        (name.to_string() == text).then_some(name)
    }
}

pub(crate) struct Shelf {
    folder: String,
    /// The last is the newest.
    names: Vec<Name>,
    /// Newer than those, and of no use.
    damaged: Vec<Name>,
}

impl Shelf {
    /// What is left in the folder.
    pub(crate) fn look(store: &Store, output: &str) -> Result<Self> {
        let folder = format!("{output}{CHECKPOINTS}");
        let keys = store.list(&folder)?;
        let mut names: Vec<Name> =
            keys.iter().filter_map(|key| Name::parse(key.strip_prefix(&folder)?)).collect();
        names.sort_unstable();
        Ok(Self { folder, names, damaged: Vec::new() })
    }

    /// For whoever only knows where the first rank stands.
    pub(crate) fn at(output: &str, position: &Position) -> Self {
        let begun = Some(name(position)).filter(|name| *name != Name { epoch: 0, step: 0 });
        let names = begun.into_iter().collect();
        Self { folder: format!("{output}{CHECKPOINTS}"), names, damaged: Vec::new() }
    }

    /// The newest that is whole: those that are not are stepped over, and told. `None` where there is none at all.
    pub(crate) fn newest_whole(&mut self, store: &Store, training: Digest) -> Result<Option<Read>> {
        let mut why = Vec::new();
        while let Some(name) = self.names.pop() {
            let key = self.key(name);
            let gone =
                || TrainError::new(Kind::Transient, format!("{key} is gone, which was there a moment ago"));
            match checkpoint::read(&key, store.get(&key)?.ok_or_else(gone)?.into()) {
                Ok(read) => {
                    let read = read.of(training)?;
                    self.names.push(name);
                    for damaged in why {
                        tracing::warn!(
                            "{damaged}; the training goes on from {key}, which was written before it"
                        );
                    }
                    return Ok(Some(read));
                }
                Err(what) => {
                    self.damaged.push(name);
                    why.push(format!("{key} is damaged: {what}"));
                }
            }
        }
        match why.first() {
            None => Ok(None),
            Some(newest) => {
                let others = if why.len() > 1 { ", as are all before it" } else { "" };
                let folder = &self.folder;
                Err(TrainError::data(format!("{newest}{others}; delete {folder} to begin from the start")))
            }
        }
    }

    pub(crate) fn newest(&self) -> Option<String> {
        self.names.last().map(|name| self.key(*name))
    }

    /// Takes a new one up: its key, and those that are to go once it is wholly there. `None` where it is the newest
    /// already.
    pub(crate) fn add(&mut self, position: &Position, keep: u32) -> Option<(String, Vec<String>)> {
        let new = name(position);
        if self.names.last() == Some(&new) {
            return None;
        }
        self.names.retain(|name| *name < new);
        self.names.push(new);
        let surplus = self.names.len().saturating_sub(keep as usize);
        let mut gone: Vec<Name> = self.names.drain(..surplus).collect();
        gone.append(&mut self.damaged);
        let gone = gone.into_iter().filter(|name| *name != new);
        Some((self.key(new), gone.map(|name| self.key(name)).collect()))
    }

    fn key(&self, name: Name) -> String {
        format!("{}{name}", self.folder)
    }
}

fn name(position: &Position) -> Name {
    Name { epoch: position.epoch, step: position.step }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, step: u64) -> Position {
        let mut position = Position::begin(Digest::of(b""));
        (position.epoch, position.step) = (epoch, step);
        position
    }

    fn key(epoch: u32, step: u64) -> String {
        format!("mine/{CHECKPOINTS}{}", Name { epoch, step })
    }

    #[test]
    fn names_sort_as_they_age_and_read_back() {
        let ages = [(0, 5), (0, 10), (1, 0), (9, 999_999_999), (10, 0), (99_999, 7)];
        let names = ages.map(|(epoch, step)| Name { epoch, step });
        assert!(names.is_sorted() && names.map(|name| name.to_string()).is_sorted());
        assert_eq!(names.map(|name| Name::parse(&name.to_string())), names.map(Some));
        for other in
            ["best.safetensors", "1-2.safetensors", "000001-000000002", "000001-+00000002.safetensors"]
        {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn as_many_stay_as_were_asked_for() {
        for (keep, wanted) in [(1, [0, 1, 1, 1]), (2, [0, 0, 1, 1]), (3, [0, 0, 0, 1]), (9, [0; 4])] {
            let mut shelf = Shelf::at("mine/", &at(0, 0));
            let gone: Vec<_> = (1..=4).map(|step| shelf.add(&at(0, step), keep).unwrap()).collect();
            assert_eq!(gone.iter().map(|(_, gone)| gone.len()).collect::<Vec<_>>(), wanted, "keep = {keep}");
            assert_eq!(gone[3].0, key(0, 4));
            assert!(gone[3].1.first().is_none_or(|gone| *gone == key(0, 4 - u64::from(keep))));
        }
    }

    #[test]
    fn what_is_there_already_is_not_written_again() {
        let mut shelf = Shelf::at("mine/", &at(1, 2));
        assert_eq!(shelf.add(&at(1, 2), 2), None);
        assert_eq!(shelf.newest(), Some(key(1, 2)));
        assert!(shelf.add(&at(1, 3), 2).is_some());
    }

    /// It is newer than what is written next, and must not push that out.
    #[test]
    fn a_damaged_one_goes_once_another_is_there() {
        let mut shelf = Shelf::at("mine/", &at(1, 0));
        shelf.damaged = vec![Name { epoch: 2, step: 0 }, Name { epoch: 1, step: 4 }];
        let (new, gone) = shelf.add(&at(1, 4), 1).unwrap();
        assert_eq!((new, gone), (key(1, 4), vec![key(1, 0), key(2, 0)]));
        assert_eq!(shelf.add(&at(2, 0), 1), Some((key(2, 0), vec![key(1, 4)])));
    }
}
