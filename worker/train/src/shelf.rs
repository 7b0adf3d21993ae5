//! The checkpoints of a training that lie in the store, each under the name of where it stands, and the best epochs
//! that they name: which checkpoint is gone on from, and which of all these go.

use std::fmt;

use swath_proto::ids::Digest;

use crate::{
    checkpoint::{self, Best, Position, Read},
    error::{Kind, Result, TrainError},
    store::Store,
};

/// Under the training's output.
pub(crate) const CHECKPOINTS: &str = "checkpoints/";
/// What the states of best epochs begin with, beside that folder.
pub(crate) const BEST: &str = "best-";
const ENDING: &str = ".safetensors";

/// Epochs that are done, and steps of the next one. In the order of age, as text too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) epoch: u32,
    pub(crate) step: u64,
}

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

/// Of the state of an epoch that was the best until then: its number tells it from that of an attempt that is dead.
pub(crate) fn best_key(output: &str, epoch: u32) -> String {
    format!("{output}{BEST}{epoch:06}{ENDING}")
}

fn parse_best(output: &str, key: &str) -> Option<u32> {
    let epoch: u32 = key.strip_prefix(output)?.strip_prefix(BEST)?.strip_suffix(ENDING)?.parse().ok()?;
    (best_key(output, epoch) == key).then_some(epoch)
}

#[derive(Clone)]
pub(crate) struct Shelf {
    output: String,
    /// The last is the newest.
    names: Vec<Name>,
    /// Epochs, each better than those before it.
    bests: Vec<u32>,
    /// Keys of what nobody goes on from: damaged, or of an attempt that is dead.
    useless: Vec<String>,
}

impl Shelf {
    pub(crate) fn empty(output: &str) -> Self {
        Self { output: output.into(), names: Vec::new(), bests: Vec::new(), useless: Vec::new() }
    }

    /// What is left in the store.
    pub(crate) fn look(store: &Store, output: &str) -> Result<Self> {
        let folder = format!("{output}{CHECKPOINTS}");
        let [keys, best_keys] = [store.list(&folder)?, store.list(&format!("{output}{BEST}"))?];
        let mut names: Vec<Name> =
            keys.iter().filter_map(|key| Name::parse(key.strip_prefix(&folder)?)).collect();
        let mut bests: Vec<u32> = best_keys.iter().filter_map(|key| parse_best(output, key)).collect();
        names.sort_unstable();
        bests.sort_unstable();
        Ok(Self { names, bests, ..Self::empty(output) })
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
                    self.go_on_after(read.position.best);
                    for damaged in why {
                        tracing::warn!(
                            "{damaged}; the training goes on from {key}, which was written before it"
                        );
                    }
                    return Ok(Some(read));
                }
                Err(what) => {
                    self.useless.push(key.clone());
                    why.push(format!("{key} is damaged: {what}"));
                }
            }
        }
        match why.first() {
            None => {
                self.go_on_after(None);
                Ok(None)
            }
            Some(newest) => {
                let others = if why.len() > 1 { ", as are all before it" } else { "" };
                let folder = format!("{}{CHECKPOINTS}", self.output);
                Err(TrainError::data(format!("{newest}{others}; delete {folder} to begin from the start")))
            }
        }
    }

    /// Later best epochs are of an attempt that is dead: done again, they may not be that.
    fn go_on_after(&mut self, best: Option<Best>) {
        let last = best.map_or(0, |best| best.epoch);
        let n = self.bests.partition_point(|epoch| *epoch <= last);
        self.useless.extend(self.bests.drain(n..).map(|epoch| best_key(&self.output, epoch)));
    }

    pub(crate) fn newest(&self) -> Option<Name> {
        self.names.last().copied()
    }

    /// Takes up the state of an epoch that is the best so far: its key.
    pub(crate) fn add_best(&mut self, epoch: u32) -> String {
        let key = best_key(&self.output, epoch);
        self.bests.push(epoch);
        self.useless.retain(|useless| *useless != key);
        key
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
        let surplus: Vec<Name> = self.names.drain(..surplus).collect();
        // The oldest that stays names the last best epoch up to it, and the others that one or later ones.
        let oldest = self.names.first().map_or(0, |name| name.epoch);
        let n = self.bests.partition_point(|epoch| *epoch <= oldest).saturating_sub(1);
        let bests: Vec<u32> = self.bests.drain(..n).collect();
        let (new, useless) = (self.key(new), std::mem::take(&mut self.useless));
        let gone = surplus.into_iter().map(|name| self.key(name));
        let gone = gone.chain(bests.into_iter().map(|epoch| best_key(&self.output, epoch)));
        let gone = gone.chain(useless).filter(|key| *key != new).collect();
        Some((new, gone))
    }

    pub(crate) fn key(&self, name: Name) -> String {
        format!("{}{CHECKPOINTS}{name}", self.output)
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

    fn shelf(epoch: u32, step: u64) -> Shelf {
        Shelf { names: vec![Name { epoch, step }], ..Shelf::empty("mine/") }
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
            let mut shelf = Shelf::empty("mine/");
            let gone: Vec<_> = (1..=4).map(|step| shelf.add(&at(0, step), keep).unwrap()).collect();
            assert_eq!(gone.iter().map(|(_, gone)| gone.len()).collect::<Vec<_>>(), wanted, "keep = {keep}");
            assert_eq!(gone[3].0, key(0, 4));
            assert!(gone[3].1.first().is_none_or(|gone| *gone == key(0, 4 - u64::from(keep))));
        }
    }

    #[test]
    fn what_is_there_already_is_not_written_again() {
        let mut shelf = shelf(1, 2);
        assert_eq!(shelf.add(&at(1, 2), 2), None);
        assert_eq!(shelf.newest(), Some(Name { epoch: 1, step: 2 }));
        assert!(shelf.add(&at(1, 3), 2).is_some());
    }

    /// It is newer than what is written next, and must not push that out.
    #[test]
    fn a_damaged_one_goes_once_another_is_there() {
        let mut shelf = shelf(1, 0);
        shelf.useless = vec![key(2, 0), key(1, 4)];
        let (new, gone) = shelf.add(&at(1, 4), 1).unwrap();
        assert_eq!((new, gone), (key(1, 4), vec![key(1, 0), key(2, 0)]));
        assert_eq!(shelf.add(&at(2, 0), 1), Some((key(2, 0), vec![key(1, 4)])));
    }

    fn best(epoch: u32) -> String {
        best_key("mine/", epoch)
    }

    #[test]
    fn best_epochs_stay_as_long_as_a_checkpoint_names_them() {
        assert_eq!(parse_best("mine/", &best(7)), Some(7));
        for other in ["mine/best-7.safetensors", "mine/best-000007", "best-000007.safetensors"] {
            assert_eq!(parse_best("mine/", other), None, "{other}");
        }
        let mut shelf = Shelf::empty("mine/");
        let mut go = |at: Position, is_best: bool| {
            if is_best {
                shelf.add_best(at.epoch);
            }
            shelf.add(&at, 2).unwrap().1
        };
        assert_eq!(go(at(1, 0), true), [""; 0]);
        // The checkpoint before still names the first one.
        assert_eq!(go(at(2, 0), true), [""; 0]);
        assert_eq!(go(at(2, 5), false), [key(1, 0), best(1)]);
        assert_eq!(go(at(3, 0), false), [key(2, 0)]);
        assert_eq!(go(at(4, 0), true), [key(2, 5)]);
        assert_eq!(go(at(5, 0), false), [key(3, 0), best(2)]);
    }

    /// Whoever goes on before them does those epochs again.
    #[test]
    fn best_epochs_of_a_dead_attempt_go_unless_they_are_that_again() {
        let mean_iou = 0.5;
        for (found, again, gone) in [
            (Some(Best { epoch: 2, mean_iou }), None, vec![key(3, 0), best(4), best(5)]),
            (Some(Best { epoch: 2, mean_iou }), Some(4), vec![key(3, 0), best(2), best(5)]),
            (None, Some(4), vec![key(3, 0), best(2), best(5)]),
        ] {
            let mut shelf = shelf(3, 0);
            shelf.bests = vec![2, 4, 5];
            shelf.go_on_after(found);
            if let Some(epoch) = again {
                shelf.add_best(epoch);
            }
            let told = shelf.add(&at(4, 0), 1).unwrap().1;
            assert_eq!(told, gone, "{found:?} {again:?}");
        }
    }
}
