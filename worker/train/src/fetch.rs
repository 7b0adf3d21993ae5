//! Chips by their numbers: from the cache, or from the store, where each is a range of its shard's tar.

use std::{collections::BTreeSet, ops::Range};

use swath_shard::{Chip, Entry, read_chip};

use crate::{
    data::Chips,
    error::{Result, TrainError},
    store::Store,
};

/// What is read of a tar at once where it can be kept: a request takes longer than the bytes of some chips, and more
/// of the processor.
const WINDOW: u64 = 2 << 20;

impl Chips<'_> {
    /// `None` for those that can't be read and may be left out.
    pub(crate) fn fetch(&self, store: &Store, numbers: &[usize]) -> Result<Vec<Option<Chip>>> {
        let kept = |number: usize| {
            let (key, entry) = self.chips[number];
            self.cache.as_ref()?.get(key, entry)
        };
        let mut chips: Vec<_> = numbers.iter().map(|&number| kept(number)).collect();
        let missing: Vec<usize> = (0..chips.len()).filter(|&at| chips[at].is_none()).collect();
        let wanted: BTreeSet<usize> = missing.iter().flat_map(|&at| self.around(numbers[at])).collect();
        let ranges: Vec<_> = wanted.iter().map(|&number| self.range(number)).collect();
        for (number, bytes) in wanted.into_iter().zip(self.read(store, &ranges)?) {
            let (key, entry) = self.chips[number];
            let mut places = missing.iter().copied().filter(|&at| numbers[at] == number);
            let first = places.next();
            match bytes.and_then(|bytes| decode(key, entry, &bytes)) {
                Ok(chip) => {
                    if let Some(cache) = &self.cache {
                        cache.put(key, entry, &chip);
                    }
                    places.for_each(|at| chips[at] = Some(chip.clone()));
                    // The chip itself, where most go to one place.
                    if let Some(at) = first {
                        chips[at] = Some(chip);
                    }
                }
                Err(_) if first.is_none() => {}
                Err(error) => self.unread.leave_out(key, number, error)?,
            }
        }
        Ok(chips)
    }

    /// A chip, and those beside it where all have a place in the cache: their turn comes in this epoch too.
    fn around(&self, number: usize) -> Range<usize> {
        let (key, entry) = self.chips[number];
        let keeps =
            |key: &str, entry: &Entry| self.cache.as_ref().is_some_and(|cache| cache.keeps(key, entry));
        let window = |entry: &Entry| entry.range().start / WINDOW;
        let is_near = |other: &usize| {
            let (of, other) = self.chips[*other];
            of == key && window(other) == window(entry) && keeps(of, other)
        };
        if !keeps(key, entry) {
            return number..number + 1;
        }
        let from = (0..number).rev().take_while(is_near).last().unwrap_or(number);
        let last = (number + 1..self.chips.len()).take_while(is_near).last().unwrap_or(number);
        from..last + 1
    }

    fn range(&self, number: usize) -> (&str, Range<u64>) {
        let (key, entry) = self.chips[number];
        (key, entry.range())
    }

    /// All at once; each by itself where that fails, to find those that are at fault.
    fn read(&self, store: &Store, ranges: &[(&str, Range<u64>)]) -> Result<Vec<Result<bytes::Bytes>>> {
        match store.read_all(ranges) {
            Ok(all) => Ok(all.into_iter().map(Ok).collect()),
            Err(error) if self.unread.may_be(&error) => Ok(ranges
                .iter()
                .map(|range| store.read_all(std::slice::from_ref(range)).map(|mut one| one.swap_remove(0)))
                .collect()),
            Err(error) => Err(error),
        }
    }
}

fn decode(key: &str, entry: &Entry, bytes: &[u8]) -> Result<Chip> {
    let what_to_do = "make the shard again, or let bad_chips say which share of the chips may be left out";
    read_chip(bytes, entry).map_err(|error| TrainError::data(format!("{key}: {error}; {what_to_do}")))
}
