//! What is published and neither finished nor given up: since when, and how many of each stage.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use swath_backends::queue::Lane;
use swath_proto::item::{DeviceName, Place, Stage};

use crate::feed::lane;

pub(crate) struct Out {
    device: DeviceName,
    since: HashMap<Place, Instant>,
    of_stage: BTreeMap<Stage, usize>,
}

impl Out {
    /// `device`: on which the run's network is computed.
    pub(crate) fn new(device: DeviceName) -> Self {
        Self { device, since: HashMap::new(), of_stage: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, place: Place, now: Instant) {
        if self.since.insert(place, now).is_none() {
            *self.of_stage.entry(place.stage).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, place: &Place) {
        if self.since.remove(place).is_some()
            && let Some(n) = self.of_stage.get_mut(&place.stage)
        {
            *n -= 1;
            if *n == 0 {
                self.of_stage.remove(&place.stage);
            }
        }
    }

    pub(crate) fn contains(&self, place: &Place) -> bool {
        self.since.contains_key(place)
    }

    pub(crate) fn n(&self, of: Lane) -> usize {
        self.of_stage.iter().filter(|(stage, _)| lane(**stage, self.device) == of).map(|(_, n)| n).sum()
    }

    pub(crate) fn n_of(&self, stage: Stage) -> usize {
        self.of_stage.get(&stage).copied().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// Those that have items out, in the order of work.
    pub(crate) fn stages(&self) -> impl Iterator<Item = Stage> {
        self.of_stage.keys().copied()
    }

    /// Of a lane, out for longer than `age`, oldest first.
    pub(crate) fn older_than(&self, of: Lane, age: Duration, now: Instant) -> Vec<Place> {
        let of_lane = self.since.iter().filter(|(place, _)| lane(place.stage, self.device) == of);
        let old = of_lane.filter(|(_, since)| now.duration_since(**since) >= age);
        let mut old: Vec<_> = old.map(|(place, since)| (*since, *place)).collect();
        old.sort();
        old.into_iter().map(|(_, place)| place).collect()
    }
}
