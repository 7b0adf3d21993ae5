//! What the coordinator knows of a run's items, in memory: one bit an item, the few that are out
//! with workers, and what may be published next. A pure state: events go in, items to publish come
//! out, time is an argument. Applying an event twice changes nothing.

mod events;
mod gates;
mod groups;
mod line;
mod open;
mod take;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use swath_backends::{ledger::Snapshot, queue::Lane};
use swath_proto::{
    ids::{Digest, RunId},
    item::{Item, Place, Stage},
    outcome::Failure,
    run::RunRecord,
};

use self::line::Line;
pub use self::take::Publish;
use crate::{
    bits::{Bits, ones},
    feed::lane,
    out::Out,
    plan::{self, Lot},
    steps,
    vein::Vein,
};

const PROBE: Place = Place::new(Stage::Probe, 0, 0);
const TRAIN: Place = Place::new(Stage::Train, 0, 0);
const BUNDLE: Place = Place::new(Stage::Bundle, 0, 0);
pub(crate) const MERGE: Place = Place::new(Stage::Merge, 0, 0);

pub struct Board {
    pub record: RunRecord,
    lots: BTreeMap<u32, Lot>,
    done: HashMap<(Stage, u32), Bits>,
    buried: BTreeMap<Place, Grave>,
    /// Items of groups that were out, or just done, when a scene came back that they may do without.
    unaware: BTreeSet<Place>,
    /// Predict items that a scene still lacks, by lot and ordinal.
    missing: HashMap<(u32, u32), u32>,
    out: Out,
    lines: BTreeMap<Lane, Line>,
    /// Of steps that a step for the run gathers: the first place that is not settled, so far as was looked; none
    /// where all are. All before it are, so that nobody walks over them again.
    unsettled: BTreeMap<u32, Option<Place>>,
    counts: BTreeMap<Stage, Count>,
    /// Survey items that are done but whose findings are not loaded yet.
    surveyed: BTreeSet<u32>,
    probe_is_news: bool,
    weights_are_news: bool,
    /// Content of the run's evaluation (none where there is nothing to evaluate), once it is known.
    evaluated: Option<Option<Digest>>,
    fatal: Option<Failure>,
    pub pixels_done: u64,
    pub pixels: u64,
    /// Of all scenes so far; none once one of them does not say where it lies.
    pub square_km: Option<f64>,
}

#[derive(Clone, Debug)]
pub struct Grave {
    pub attempts: u32,
    pub failure: Failure,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub items: u64,
    pub done: u64,
}

impl Board {
    pub fn new(record: RunRecord) -> Self {
        let mut board = Self {
            out: Out::new(record.predict.model.device),
            record,
            lots: BTreeMap::new(),
            done: HashMap::new(),
            buried: BTreeMap::new(),
            unaware: BTreeSet::new(),
            missing: HashMap::new(),
            lines: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            counts: BTreeMap::new(),
            surveyed: BTreeSet::new(),
            probe_is_news: false,
            weights_are_news: false,
            evaluated: None,
            fatal: None,
            pixels_done: 0,
            pixels: 0,
            square_km: Some(0.0),
        };
        let record = &board.record;
        let n_probes = u32::from(record.has(Stage::Predict) && record.has_weights());
        // A survey item is a lot of its own, so its index is always 0.
        let n_surveys = if record.has(Stage::Survey) { record.lots() } else { 0 };
        let n_noops = record.noops;
        board.add(Stage::Probe, n_probes, |index| Place::new(Stage::Probe, 0, index));
        board.add(Stage::Survey, n_surveys, |lot| Place::new(Stage::Survey, lot, 0));
        board.add(Stage::Noop, n_noops, |index| Place::new(Stage::Noop, 0, index));
        let of_run = steps::places_of_run(&board.record);
        board.count(Stage::Step, of_run.len() as u32);
        for stage in [Stage::Train, Stage::Merge, Stage::Bundle] {
            if board.record.has(stage) {
                board.counts.entry(stage).or_default().items = 1;
            }
        }
        board
    }

    pub fn run(&self) -> &RunId {
        &self.record.run
    }

    fn add(&mut self, stage: Stage, n: u32, place: impl Fn(u32) -> Place + Send + Sync + 'static) {
        self.count(stage, n);
        self.dig(stage, n, place);
    }

    /// These exist, though their time may not have come.
    fn count(&mut self, stage: Stage, n: u32) {
        if n > 0 {
            self.counts.entry(stage).or_default().items += u64::from(n);
        }
    }

    fn dig(&mut self, stage: Stage, n: u32, place: impl Fn(u32) -> Place + Send + Sync + 'static) {
        if n > 0 {
            // A training that begins with the first chips takes them in their order.
            let in_order = stage == Stage::Chip && self.record.trains_with_chips();
            let vein = Vein::new(n, stage, place, self.record.shuffle.filter(|_| !in_order));
            self.line(stage).dig(vein);
        }
    }

    fn line(&mut self, stage: Stage) -> &mut Line {
        let lane = self.lane(stage);
        self.lines.entry(lane).or_default()
    }

    /// The queue that items of a stage are published in.
    pub fn lane(&self, stage: Stage) -> Lane {
        lane(stage, self.record.predict.model.device)
    }

    /// These are done already: their outputs were found under the root.
    pub fn found(&mut self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            self.finish(place);
        }
    }

    /// Takes over what the ledger knows: called once, before anything is published.
    pub fn load(&mut self, snapshot: &Snapshot) {
        for (&(stage, lot), bytes) in &snapshot.done {
            // Of these there may be ten million, and nothing follows from one before its lot is open.
            if matches!(stage, Stage::Analyze | Stage::Chip | Stage::Predict | Stage::Noop) {
                let bits = Bits::of_ledger(bytes);
                self.counts.entry(stage).or_default().done += bits.count();
                self.done.insert((stage, lot), bits);
                continue;
            }
            for index in ones(bytes) {
                self.finish(Place::new(stage, lot, index));
            }
        }
        for (place, attempts, failure) in &snapshot.buried {
            self.bury(*place, *attempts, failure.clone());
        }
    }

    /// The analyze items that are done, in the order of their places.
    pub fn measured(&self) -> Vec<Item> {
        let of_lot = |lot: &Lot| {
            let items = (0..lot.n_analyze()).filter_map(|index| plan::analyze(&self.record, lot, index));
            items.filter(|item| self.is_done(item.place)).collect::<Vec<_>>()
        };
        self.lots.values().flat_map(of_lot).collect()
    }

    /// The evaluation is written, or there is none; bundles hold it.
    pub fn evaluated(&mut self, content: Option<Digest>) {
        self.evaluated = Some(content);
        self.make_ready(BUNDLE);
        // As if it were an item of its own that all have waited for.
        self.make_steps_ready(TRAIN);
    }

    /// The scenes of a predict item, by their ordinals, each with its pixels in it.
    fn scenes_and_pixels(&self, predict: Place) -> Vec<(u32, u64)> {
        let scenes = self.lots.get(&predict.lot).map_or(&[][..], |lot| lot.scenes_of_predict(predict.index));
        scenes.iter().map(|scene| (scene.ordinal, scene.pixels_of(predict))).collect()
    }

    fn make_ready(&mut self, place: Place) {
        if self.is_wanted(place) && !self.out.contains(&place) {
            self.line(place.stage).make_ready(place);
        }
    }

    pub fn is_done(&self, place: Place) -> bool {
        self.done.get(&(place.stage, place.lot)).is_some_and(|bits| bits.get(place.index))
    }

    /// Lots whose findings are to be loaded.
    pub fn to_open(&self) -> Vec<u32> {
        // Items to predict are planned for one numeric class.
        let planned = !self.record.has(Stage::Predict) || self.record.predict.class.is_some();
        self.surveyed.iter().copied().filter(|lot| planned || *lot < self.record.learn_lots()).collect()
    }

    /// The training has finished, and its weights are not pinned yet.
    pub fn weights_are_news(&self) -> bool {
        // The training is named by its chips, and those by their lots.
        self.weights_are_news && self.are_chips_known()
    }

    /// The probe has finished, and what it has found is not pinned yet.
    pub fn probe_is_news(&self) -> bool {
        // Like the training, it may be named by chips.
        self.probe_is_news && (!self.record.predict.wants_int8 || self.are_chips_known())
    }

    fn are_chips_known(&self) -> bool {
        self.are_open(0..self.record.learn_lots())
    }

    /// A failure that every item would meet.
    pub fn fatal(&self) -> Option<&Failure> {
        self.fatal.as_ref()
    }

    pub fn lots(&self) -> impl Iterator<Item = &Lot> {
        self.lots.values()
    }

    pub fn buried(&self) -> &BTreeMap<Place, Grave> {
        &self.buried
    }

    pub fn counts(&self) -> &BTreeMap<Stage, Count> {
        &self.counts
    }
}

#[cfg(test)]
pub(crate) mod tests;
