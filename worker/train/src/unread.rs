//! Chips that can't be read. Up to a share of them is left out, and told of; beyond that the training fails, and
//! says which shards they are in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use swath_model::Gang;

use crate::error::{Kind, Result, TrainError};

/// Shards that an error names.
const NAMED: usize = 20;

/// Of one set of chips.
pub(crate) struct Unread {
    /// Of the chips of an epoch.
    most: f64,
    n_chips: usize,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// Of this epoch, by their numbers.
    in_epoch: BTreeSet<usize>,
    shards: BTreeMap<String, Damage>,
}

struct Damage {
    chips: BTreeSet<usize>,
    /// Of the first of them.
    why: String,
}

impl Unread {
    pub(crate) fn new(most: f64, n_chips: usize) -> Self {
        Self { most, n_chips, found: Mutex::default() }
    }

    /// Whether the error is of a kind that leaving chips out helps against, and any may be.
    pub(crate) fn may_be(&self, error: &TrainError) -> bool {
        self.most > 0.0 && error.kind == Kind::Data
    }

    /// Counts a chip that is left out of its batch; an error where it is one too many.
    pub(crate) fn leave_out(&self, shard: &str, chip: usize, why: TrainError) -> Result<()> {
        if !self.may_be(&why) {
            return Err(why);
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.in_epoch.insert(chip);
        if !found.shards.contains_key(shard) {
            tracing::warn!(shard, "{why}; what of this shard can't be read is left out");
        }
        let damage = found.shards.entry(shard.to_owned());
        let first = || Damage { chips: BTreeSet::new(), why: why.to_string() };
        damage.or_insert_with(first).chips.insert(chip);
        self.check(found.in_epoch.len() as u64, &found)
    }

    /// An epoch is over: what ranks have met counts once, however many of them have met it.
    pub(crate) fn end_epoch(&self, gang: &Gang) -> Result<()> {
        if self.most == 0.0 {
            return Ok(());
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let in_epoch = std::mem::take(&mut found.in_epoch);
        let mut any = [in_epoch.len() as f64];
        gang.sum(&mut any)?;
        if any[0] == 0.0 {
            return Ok(());
        }
        let mut met = vec![0.0; self.n_chips];
        in_epoch.into_iter().for_each(|chip| met[chip] = 1.0);
        gang.sum(&mut met)?;
        self.check(met.iter().filter(|ranks| **ranks > 0.0).count() as u64, &found)
    }

    fn check(&self, n: u64, found: &Found) -> Result<()> {
        let some_are_left = n < self.n_chips as u64;
        if n == 0 || (some_are_left && n as f64 / self.n_chips as f64 <= self.most) {
            return Ok(());
        }
        let mut named: Vec<String> = found
            .shards
            .iter()
            .take(NAMED)
            .map(|(shard, damage)| format!("{shard}: {} chips ({})", damage.chips.len(), damage.why))
            .collect();
        if named.is_empty() {
            named.push("the logs of other ranks name them".into());
        }
        if found.shards.len() > NAMED {
            named.push(format!("and {} more shards", found.shards.len() - NAMED));
        }
        Err(TrainError::data(format!(
            "at least {n} of {} chips can't be read, more than bad_chips = {} lets be left out: {}",
            self.n_chips,
            self.most,
            named.join("; ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torn() -> TrainError {
        TrainError::data("torn")
    }

    #[test]
    fn without_a_bound_the_first_error_is_the_last() {
        let none = Unread::new(0.0, 1000);
        assert_eq!(none.leave_out("a.tar", 3, torn()).unwrap_err().to_string(), "torn");
    }

    #[test]
    fn so_many_of_each_epoch_are_left_out_and_one_more_is_too_many() {
        let some = Unread::new(0.02, 100);
        for _ in 0..3 {
            some.leave_out("a.tar", 3, torn()).unwrap();
            some.leave_out("b.tar", 60, torn()).unwrap();
            some.end_epoch(&Gang::alone()).unwrap();
        }
        some.leave_out("a.tar", 3, torn()).unwrap();
        some.leave_out("a.tar", 4, torn()).unwrap();
        let text = some.leave_out("b.tar", 60, TrainError::data("gone")).unwrap_err().to_string();
        assert_eq!(
            text,
            "at least 3 of 100 chips can't be read, more than bad_chips = 0.02 lets be left out: a.tar: 2 chips (torn); \
             b.tar: 1 chips (torn)"
        );
    }

    #[test]
    fn where_there_are_no_chips_none_is_missed() {
        Unread::new(0.1, 0).end_epoch(&Gang::alone()).unwrap();
    }

    #[test]
    fn a_store_that_does_not_answer_is_no_damage() {
        let some = Unread::new(0.9, 100);
        let error = some.leave_out("a.tar", 3, TrainError::new(Kind::Transient, "busy")).unwrap_err();
        assert_eq!(error.kind, Kind::Transient);
    }

    #[test]
    fn an_error_names_twenty_shards_and_counts_the_rest() {
        let some = Unread::new(0.21, 100);
        let mut left_out = (0..22).map(|n| some.leave_out(&format!("{n:02}.tar"), n, torn()));
        let text = left_out.by_ref().find_map(Result::err).unwrap().to_string();
        assert!(
            text.contains("19.tar") && !text.contains("20.tar") && text.ends_with("and 2 more shards"),
            "{text}"
        );
    }
}
