//! Chips by their numbers: from the cache, or from the store, where each is a range of its shard's tar.

use std::ops::Range;

use swath_shard::{Chip, Entry, read_chip};

use crate::{
    data::Chips,
    error::{Result, TrainError},
    store::Store,
};

impl Chips<'_> {
    /// `None` for those that can't be read and may be left out.
    pub(crate) fn fetch(&self, store: &Store, numbers: &[usize]) -> Result<Vec<Option<Chip>>> {
        let kept = |number: usize| {
            let (key, entry) = self.chips[number];
            self.cache.as_ref()?.get(key, entry)
        };
        let mut chips: Vec<_> = numbers.iter().map(|&number| kept(number)).collect();
        let missing: Vec<usize> = (0..chips.len()).filter(|&at| chips[at].is_none()).collect();
        let ranges: Vec<_> = missing.iter().map(|&at| self.range(numbers[at])).collect();
        for (at, bytes) in missing.into_iter().zip(self.read(store, &ranges)?) {
            let (key, entry) = self.chips[numbers[at]];
            match bytes.and_then(|bytes| decode(key, entry, &bytes)) {
                Ok(chip) => {
                    if let Some(cache) = &self.cache {
                        cache.put(key, entry, &chip);
                    }
                    chips[at] = Some(chip);
                }
                Err(error) => self.unread.leave_out(key, entry.image().at, error)?,
            }
        }
        Ok(chips)
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
    read_chip(bytes, entry).map_err(|error| TrainError::data(format!("{key}: {error}: {}", error.source)))
}
