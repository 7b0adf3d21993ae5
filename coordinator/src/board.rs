//! What the coordinator knows of a run's items, in memory: one bit an item, the few that are out
//! with workers, and what may be published next. A pure state: events go in, items to publish come
//! out, time is an argument. Applying an event twice changes nothing.

mod events;
mod gates;
mod groups;
mod line;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use swath_backends::{ledger::Snapshot, queue::Lane};
use swath_proto::{
    ids::{Digest, RunId},
    item::{Item, Place, Stage},
    outcome::Failure,
    run::RunRecord,
    scene::SurveyedScene,
};

use self::line::{Line, Next};
use crate::{
    bits::{Bits, ones},
    feed::lane,
    ground,
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

/// An item to publish; an assemble item comes with the document that it names.
pub struct Publish {
    pub item: Item,
    pub inputs: Option<(Digest, Vec<u8>)>,
    /// It was published before, or is to be made again.
    pub is_again: bool,
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
            let vein = Vein::new(n, stage, place, self.record.shuffle);
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

    /// The items of a lot that take scaled pixels.
    fn dig_lot(&mut self, number: u32, n_chip: u32, n_predict: u32) {
        self.dig(Stage::Chip, n_chip, move |index| Place::new(Stage::Chip, number, index));
        self.dig(Stage::Predict, n_predict, move |index| Place::new(Stage::Predict, number, index));
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

    /// A survey's findings: the lot's items exist from now on.
    pub fn open(&mut self, lot: u32, surveyed: Vec<SurveyedScene>) {
        self.surveyed.remove(&lot);
        if self.lots.contains_key(&lot) {
            return;
        }
        let lot = Lot::new(&self.record, lot, surveyed);
        let number = lot.lot;
        self.add(Stage::Analyze, lot.n_analyze(), move |index| Place::new(Stage::Analyze, number, index));
        let (n_chip, n_predict) = (lot.n_chip(), lot.n_predict(&self.record));
        self.count(Stage::Chip, n_chip);
        self.count(Stage::Predict, n_predict);
        if self.record.has_scaling() {
            self.dig_lot(number, n_chip, n_predict);
        }
        for scene in &lot.scenes {
            // Its item may be done without it.
            let has_failed = scene.group.is_some()
                && self.buried.contains_key(&Place::new(Stage::Assemble, lot.lot, scene.ordinal));
            let done = scene.predict_places(lot.lot).filter(|place| !has_failed && self.is_done(*place));
            let (n_done, pixels_done) =
                done.fold((0, 0), |(n, pixels), place| (n + 1, pixels + scene.pixels_of(place)));
            let predict = if self.record.has(Stage::Predict) { scene.grid.len() } else { 0 };
            self.missing.insert((lot.lot, scene.ordinal), predict.saturating_sub(n_done));
            self.pixels += scene.header.size.pixels();
            self.square_km =
                self.square_km.zip(ground::square_km(&scene.header)).map(|(so_far, one)| so_far + one);
            self.pixels_done += pixels_done;
        }
        let dependents: Vec<Place> = [Stage::Assemble, Stage::Eval, Stage::Vectorize]
            .into_iter()
            .flat_map(|stage| lot.dependents(&self.record, stage))
            .collect();
        let dependents = [dependents, steps::places_of_lot(&self.record, &lot)].concat();
        for place in &dependents {
            self.counts.entry(place.stage).or_default().items += 1;
        }
        self.lots.insert(lot.lot, lot);
        self.unsettled.clear();
        for place in dependents {
            self.make_ready(place);
        }
        self.make_run_steps_ready();
        self.make_ready(TRAIN);
        self.make_ready(PROBE);
        self.make_merge_ready();
        self.make_ready(BUNDLE);
    }

    /// The record has changed: what the run waited for is pinned.
    pub fn pin(&mut self, record: RunRecord) {
        let before = std::mem::replace(&mut self.record, record);
        self.probe_is_news &= self.record.predict.class.is_none();
        self.weights_are_news &= !self.record.has_weights();
        if !before.has_scaling() && self.record.has_scaling() {
            let of_lot = |lot: &Lot| (lot.lot, lot.n_chip(), lot.n_predict(&self.record));
            let lots: Vec<_> = self.lots.values().map(of_lot).collect();
            lots.into_iter().for_each(|(lot, n_chip, n_predict)| self.dig_lot(lot, n_chip, n_predict));
        }
        if !before.has_weights() && self.record.has_weights() && self.record.has(Stage::Predict) {
            self.add(Stage::Probe, 1, |index| Place::new(Stage::Probe, 0, index));
        }
        self.make_ready(BUNDLE);
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

    /// Takes up to `n` items of a lane to publish; they count as out from `now` on.
    pub fn take(&mut self, lane: Lane, n: usize, now: Instant) -> Vec<Publish> {
        let mut taken = Vec::new();
        while taken.len() < n {
            let Some(Next { place, is_again }) = self.lines.entry(lane).or_default().next(now) else { break };
            if self.out.contains(&place) || !self.is_wanted(place) {
                continue;
            }
            if let Some(publish) = self.item(place) {
                self.out.insert(place, now);
                taken.push(Publish { is_again, ..publish });
            }
        }
        taken
    }

    /// Items of a lane that could be taken now, and of which stage the first are.
    pub fn upcoming(&self, lane: Lane, now: Instant) -> (u64, Option<Stage>) {
        self.lines.get(&lane).map_or((0, None), |line| (line.n(now), line.upcoming(now)))
    }

    /// Every item that is known of was out at least once.
    pub fn is_dug_out(&self) -> bool {
        self.lines.values().all(Line::is_dug_out)
    }

    /// The item at a place, made anew.
    pub fn item(&self, place: Place) -> Option<Publish> {
        let record = &self.record;
        let lot = self.lots.get(&place.lot);
        let plain = |item: Item| Publish { item, inputs: None, is_again: false };
        let with_inputs = |(item, inputs): (Item, Vec<u8>)| Publish {
            inputs: Some((Digest::of(&inputs), inputs)),
            ..plain(item)
        };
        match place.stage {
            Stage::Probe => {
                Some(match plan::probe(record, self.lots.values(), |place| self.is_done(place)) {
                    (item, Some(inputs)) => with_inputs((item, inputs)),
                    (item, None) => plain(item),
                })
            }
            Stage::Survey => Some(plain(plan::survey(record, place.lot))),
            Stage::Noop => Some(plain(plan::noop(record, place.index))),
            Stage::Chip => plan::chip(record, lot?, place.index).map(plain),
            Stage::Predict => plan::predict(record, lot?, place.index).map(plain),
            Stage::Eval => plan::eval(record, lot?, place.index, |own| !self.has_failed(own)).map(plain),
            Stage::Vectorize => {
                plan::vectorize(record, lot?, place.index, |own| !self.has_failed(own)).map(plain)
            }
            Stage::Merge => plan::merge(record, self.lots.values(), |own| self.is_made(own)).map(with_inputs),
            Stage::Bundle => Some(plain(plan::bundle(record, self.evaluated.flatten()))),
            Stage::Analyze => plan::analyze(record, lot?, place.index).map(plain),
            Stage::Step => {
                steps::item(record, &self.lots, place, |place| self.is_made(place)).map(with_inputs)
            }
            Stage::Train => {
                plan::train(record, self.lots.values(), |place| self.is_done(place)).map(with_inputs)
            }
            Stage::Assemble => plan::assemble(record, lot?, place.index).map(with_inputs),
        }
    }

    /// These were taken but could not be published.
    pub fn give_back(&mut self, places: impl IntoIterator<Item = Place>, due: Instant) {
        for place in places {
            self.again(place, due);
        }
    }

    /// Of a lane, out for longer than `age`, oldest first.
    pub fn out_for(&self, lane: Lane, age: Duration, now: Instant) -> Vec<Place> {
        self.out.older_than(lane, age, now)
    }

    /// Stages that have items out, in the order of work.
    pub fn stages_out(&self) -> impl Iterator<Item = Stage> {
        self.out.stages()
    }

    pub fn n_out(&self, lane: Lane) -> usize {
        self.out.n(lane)
    }

    pub fn n_out_of(&self, stage: Stage) -> usize {
        self.out.n_of(stage)
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
