//! What the coordinator knows of a run's items, in memory: one bit an item, the few that are out
//! with workers, and what may be published next. A pure state: events go in, items to publish come
//! out, time is an argument. Applying an event twice changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use swath_backends::ledger::{Event, Snapshot};
use swath_proto::{
    ids::{Digest, RunId},
    item::{Item, Place, Stage},
    outcome::{Failure, FailureClass},
    run::RunRecord,
    scene::SurveyedScene,
    steps::{StepInput, StepPlan},
};

use crate::{
    bits::{Bits, ones},
    plan::{self, Lot},
    steps::{self, Need},
    vein::Vein,
};

const TRAIN: Place = Place::new(Stage::Train, 0, 0);
const BUNDLE: Place = Place::new(Stage::Bundle, 0, 0);

pub struct Board {
    pub record: RunRecord,
    lots: BTreeMap<u32, Lot>,
    done: HashMap<(Stage, u32), Bits>,
    buried: BTreeMap<Place, Grave>,
    /// Predict items that a scene still lacks, by lot and ordinal.
    missing: HashMap<(u32, u32), u32>,
    /// Published, and neither finished nor given up: when.
    out: HashMap<Place, Instant>,
    /// Dependents whose inputs are all there. They go first, so that scenes get finished.
    ready: BTreeSet<Place>,
    /// Given up or lost: to be published again, when their time has come.
    later: BTreeSet<(Instant, Place)>,
    /// Stretches of items that were never published.
    veins: VecDeque<Vein>,
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
}

impl Board {
    pub fn new(record: RunRecord) -> Self {
        let mut board = Self {
            record,
            lots: BTreeMap::new(),
            done: HashMap::new(),
            buried: BTreeMap::new(),
            missing: HashMap::new(),
            out: HashMap::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            veins: VecDeque::new(),
            counts: BTreeMap::new(),
            surveyed: BTreeSet::new(),
            probe_is_news: false,
            weights_are_news: false,
            evaluated: None,
            fatal: None,
            pixels_done: 0,
            pixels: 0,
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
        for stage in [Stage::Train, Stage::Bundle] {
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
        self.dig(n, place);
    }

    /// These exist, though their time may not have come.
    fn count(&mut self, stage: Stage, n: u32) {
        if n > 0 {
            self.counts.entry(stage).or_default().items += u64::from(n);
        }
    }

    fn dig(&mut self, n: u32, place: impl Fn(u32) -> Place + Send + Sync + 'static) {
        if n > 0 {
            self.veins.push_back(Vein::new(n, place, self.record.shuffle));
        }
    }

    /// The items of a lot that take scaled pixels.
    fn dig_lot(&mut self, number: u32, n_chip: u32, n_predict: u32) {
        self.dig(n_chip, move |index| Place::new(Stage::Chip, number, index));
        self.dig(n_predict, move |index| Place::new(Stage::Predict, number, index));
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
            let done: Vec<Place> =
                scene.predict_places(lot.lot).filter(|place| self.is_done(*place)).collect();
            let predict = if self.record.has(Stage::Predict) { scene.grid.len() } else { 0 };
            self.missing.insert((lot.lot, scene.ordinal), predict.saturating_sub(done.len() as u32));
            self.pixels += scene.header.size.pixels();
            self.pixels_done += done.into_iter().map(|place| scene.pixels_of(place)).sum::<u64>();
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
        for place in dependents {
            self.make_ready(place);
        }
        self.make_run_steps_ready();
        self.make_ready(TRAIN);
        self.make_ready(BUNDLE);
    }

    /// The record has changed: what the run waited for is pinned.
    pub fn pin(&mut self, record: RunRecord) {
        let before = std::mem::replace(&mut self.record, record);
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

    /// Every scene that is to be measured has been, so far as it can be.
    pub fn wants_statistics(&self) -> bool {
        !self.record.has_scaling() && self.all_settled(Stage::Analyze)
    }

    /// Every scene that is to be evaluated has been, so far as it can be.
    pub fn wants_evaluation(&self) -> bool {
        let is_input = |plan: &StepPlan| plan.inputs.contains(&StepInput::Eval);
        (self.record.has(Stage::Bundle) || self.record.steps.iter().any(is_input))
            && self.evaluated.is_none()
            && self.all_settled(Stage::Eval)
    }

    pub fn apply(&mut self, event: Event, now: Instant) {
        match event {
            Event::Finished { place, .. } => self.finish(place),
            Event::Lost { place } => self.again(place, now),
            Event::Released { place, failures, failure } => {
                if let Some(failure) = failure {
                    if failure.class == FailureClass::Config {
                        self.fatal.get_or_insert(failure);
                    }
                    self.again(place, now + pause(failures));
                } else {
                    self.again(place, now);
                }
            }
            Event::Buried { place, attempts, failure } => self.bury(place, attempts, failure),
            Event::Reset { place } => self.reset(place, now),
        }
    }

    fn finish(&mut self, place: Place) {
        self.out.remove(&place);
        self.ready.remove(&place);
        self.buried.remove(&place);
        if !self.done.entry((place.stage, place.lot)).or_default().set(place.index) {
            return;
        }
        self.counts.entry(place.stage).or_default().done += 1;
        match place.stage {
            Stage::Probe => self.probe_is_news = true,
            Stage::Survey => {
                self.surveyed.insert(place.lot);
            }
            Stage::Predict => self.predicted(place),
            Stage::Chip => self.make_ready(TRAIN),
            Stage::Train => self.weights_are_news = true,
            Stage::Assemble => {
                self.make_ready(Place::new(Stage::Eval, place.lot, place.index));
                self.make_ready(Place::new(Stage::Vectorize, place.lot, place.index));
            }
            Stage::Eval => self.make_ready(BUNDLE),
            Stage::Analyze | Stage::Vectorize | Stage::Bundle | Stage::Step | Stage::Noop => {}
        }
        self.make_steps_ready(place);
    }

    /// Steps that may have waited for an item.
    fn make_steps_ready(&mut self, place: Place) {
        if self.record.steps.is_empty() {
            return;
        }
        let ordinal = match place.stage {
            Stage::Assemble | Stage::Vectorize => Some(place.index),
            Stage::Step => steps::scene_of(&self.record, &self.lots, place),
            _ => None,
        };
        let is_near = |step: &Place| match ordinal {
            Some(_) => steps::scene_of(&self.record, &self.lots, *step) == ordinal,
            None => true,
        };
        // What all scenes may have waited for, or one.
        let wakes_all = matches!(place.stage, Stage::Train | Stage::Bundle)
            || (place.stage == Stage::Step && ordinal.is_none());
        let lots = self.lots.values().filter(|lot| wakes_all || (ordinal.is_some() && lot.lot == place.lot));
        let near: Vec<Place> =
            lots.flat_map(|lot| steps::places_of_lot(&self.record, lot)).filter(is_near).collect();
        near.into_iter().for_each(|place| self.make_ready(place));
        self.make_run_steps_ready();
    }

    fn make_run_steps_ready(&mut self) {
        for place in steps::places_of_run(&self.record) {
            self.make_ready(place);
        }
    }

    fn predicted(&mut self, place: Place) {
        let Some((ordinal, pixels)) = self.scene_and_pixels(place) else { return };
        self.pixels_done += pixels;
        if let Some(missing) = self.missing.get_mut(&(place.lot, ordinal)) {
            *missing = missing.saturating_sub(1);
        }
        self.make_ready(Place::new(Stage::Assemble, place.lot, ordinal));
    }

    fn scene_and_pixels(&self, predict: Place) -> Option<(u32, u64)> {
        let scene = self.lots.get(&predict.lot)?.scene_of_predict(predict.index)?;
        Some((scene.ordinal, scene.pixels_of(predict)))
    }

    fn make_ready(&mut self, place: Place) {
        if self.is_wanted(place) && !self.out.contains_key(&place) {
            self.ready.insert(place);
        }
    }

    /// Its worker has given it up.
    fn again(&mut self, place: Place, due: Instant) {
        self.out.remove(&place);
        if self.is_wanted(place) {
            self.later.insert((due, place));
        }
    }

    fn bury(&mut self, place: Place, attempts: u32, failure: Failure) {
        if !self.is_done(place) {
            self.out.remove(&place);
            self.ready.remove(&place);
            self.buried.insert(place, Grave { attempts, failure });
            match place.stage {
                Stage::Chip => self.make_ready(TRAIN),
                Stage::Eval => self.make_ready(BUNDLE),
                _ => {}
            }
            self.make_run_steps_ready();
        }
    }

    fn reset(&mut self, place: Place, now: Instant) {
        self.buried.remove(&place);
        let was_done = self.done.entry((place.stage, place.lot)).or_default().clear(place.index);
        if was_done {
            let count = self.counts.entry(place.stage).or_default();
            count.done = count.done.saturating_sub(1);
            if place.stage == Stage::Predict
                && let Some((ordinal, pixels)) = self.scene_and_pixels(place)
            {
                self.pixels_done = self.pixels_done.saturating_sub(pixels);
                *self.missing.entry((place.lot, ordinal)).or_default() += 1;
                self.ready.remove(&Place::new(Stage::Assemble, place.lot, ordinal));
            }
            if place.stage == Stage::Survey {
                self.surveyed.remove(&place.lot);
            }
            if place.stage == Stage::Assemble {
                self.ready.remove(&Place::new(Stage::Eval, place.lot, place.index));
                self.ready.remove(&Place::new(Stage::Vectorize, place.lot, place.index));
            }
            if place.stage == Stage::Chip {
                self.ready.remove(&TRAIN);
            }
        }
        self.again(place, now);
    }

    pub fn is_done(&self, place: Place) -> bool {
        self.done.get(&(place.stage, place.lot)).is_some_and(|bits| bits.get(place.index))
    }

    /// To be done, and its inputs are there.
    fn is_wanted(&self, place: Place) -> bool {
        let scene_has = |stage: Stage| {
            let scene = self.lots.get(&place.lot).and_then(|lot| lot.scene(place.index));
            scene.is_some_and(|scene| stage != Stage::Eval || scene.files.labels.is_some())
        };
        let inputs_are_there = match place.stage {
            Stage::Survey | Stage::Noop => true,
            Stage::Probe => self.record.has_weights(),
            Stage::Analyze => self.lots.contains_key(&place.lot),
            Stage::Chip | Stage::Predict => self.lots.contains_key(&place.lot) && self.record.has_scaling(),
            Stage::Train => self.all_settled(Stage::Chip) && self.done_of(Stage::Chip) > 0,
            Stage::Bundle => self.record.has_weights() && self.evaluated.is_some(),
            Stage::Step => steps::needs(&self.record, &self.lots, place)
                .is_some_and(|needs| needs.iter().all(|need| self.is_met(need))),
            Stage::Assemble => {
                scene_has(place.stage) && self.missing.get(&(place.lot, place.index)) == Some(&0)
            }
            Stage::Eval | Stage::Vectorize => {
                scene_has(place.stage) && self.is_done(Place::new(Stage::Assemble, place.lot, place.index))
            }
        };
        let planned =
            matches!(place.stage, Stage::Probe | Stage::Step | Stage::Noop) || self.record.has(place.stage);
        planned && inputs_are_there && !self.is_done(place) && !self.buried.contains_key(&place)
    }

    fn is_met(&self, need: &Need) -> bool {
        match need {
            Need::Done(place) => self.is_done(*place),
            Need::All(stage) => self.all_settled(*stage),
            Need::AllOfStep(number) => {
                let stuck = self.stuck();
                let is_settled = |place: Place| {
                    let scene = steps::scene_of(&self.record, &self.lots, place);
                    self.is_done(place)
                        || self.buried.contains_key(&place)
                        || scene.is_some_and(|ordinal| stuck.contains(&(place.lot, ordinal)))
                };
                let places = self.lots.values().flat_map(|lot| steps::places_of_lot(&self.record, lot));
                let mut of_step = places.filter(|place| steps::number(&self.record, *place) == Some(*number));
                self.lots.len() as u32 == self.record.lots() && of_step.all(is_settled)
            }
            Need::Weights => self.record.has_weights(),
            Need::Evaluation => self.evaluated.is_some(),
        }
    }

    /// Scenes (lot and ordinal) of which an item is buried: what comes behind it won't come by itself.
    fn stuck(&self) -> BTreeSet<(u32, u32)> {
        let ordinal = |place: &Place| match place.stage {
            Stage::Predict => self.scene_and_pixels(*place).map(|(ordinal, _)| ordinal),
            Stage::Assemble | Stage::Eval | Stage::Vectorize => Some(place.index),
            Stage::Step => steps::scene_of(&self.record, &self.lots, *place),
            _ => None,
        };
        self.buried.keys().filter_map(|place| Some((place.lot, ordinal(place)?))).collect()
    }

    /// Every lot that has items of this stage is open, and each of them is done, buried, or stuck behind a
    /// grave of its scene.
    fn all_settled(&self, stage: Stage) -> bool {
        let learns = self.record.learn_lots() > 0;
        let lots = if stage == Stage::Chip || (stage == Stage::Analyze && learns) {
            0..self.record.learn_lots()
        } else {
            self.record.learn_lots()..self.record.lots()
        };
        let buried = self.buried.keys().filter(|place| place.stage == stage).count() as u64;
        let count = self.counts.get(&stage).copied().unwrap_or_default();
        let behind = |&(lot, ordinal): &(u32, u32)| {
            let place = Place::new(stage, lot, ordinal);
            let exists =
                || self.lots.get(&lot).is_some_and(|of| of.dependents(&self.record, stage).contains(&place));
            !self.is_done(place) && !self.buried.contains_key(&place) && exists()
        };
        let is_of_scenes = matches!(stage, Stage::Assemble | Stage::Eval | Stage::Vectorize);
        let stuck =
            if is_of_scenes { self.stuck().iter().filter(|scene| behind(scene)).count() as u64 } else { 0 };
        lots.clone().all(|lot| self.lots.contains_key(&lot)) && count.done + buried + stuck == count.items
    }

    fn done_of(&self, stage: Stage) -> u64 {
        self.counts.get(&stage).map_or(0, |count| count.done)
    }

    /// Takes up to `n` items to publish; they count as out from `now` on.
    pub fn take(&mut self, n: usize, now: Instant) -> Vec<Publish> {
        let mut taken = Vec::new();
        while taken.len() < n {
            let Some(place) = self.next(now) else { break };
            if self.out.contains_key(&place) || !self.is_wanted(place) {
                continue;
            }
            if let Some(publish) = self.item(place) {
                self.out.insert(place, now);
                taken.push(publish);
            }
        }
        taken
    }

    fn next(&mut self, now: Instant) -> Option<Place> {
        if let Some(place) = self.ready.pop_first() {
            return Some(place);
        }
        if self.later.first().is_some_and(|(due, _)| *due <= now) {
            return self.later.pop_first().map(|(_, place)| place);
        }
        while let Some(vein) = self.veins.front_mut() {
            if let Some(place) = vein.next() {
                return Some(place);
            }
            self.veins.pop_front();
        }
        None
    }

    /// The item at a place, made anew.
    pub fn item(&self, place: Place) -> Option<Publish> {
        let record = &self.record;
        let lot = self.lots.get(&place.lot);
        let plain = |item: Item| Publish { item, inputs: None };
        match place.stage {
            Stage::Probe => Some(plain(plan::probe(record))),
            Stage::Survey => Some(plain(plan::survey(record, place.lot))),
            Stage::Noop => Some(plain(plan::noop(record, place.index))),
            Stage::Chip => plan::chip(record, lot?, place.index).map(plain),
            Stage::Predict => plan::predict(record, lot?, place.index).map(plain),
            Stage::Eval => plan::eval(record, lot?, place.index).map(plain),
            Stage::Vectorize => plan::vectorize(record, lot?, place.index).map(plain),
            Stage::Bundle => Some(plain(plan::bundle(record, self.evaluated.flatten()))),
            Stage::Analyze => plan::analyze(record, lot?, place.index).map(plain),
            Stage::Step => {
                let (item, inputs) = steps::item(record, &self.lots, place, |place| self.is_done(place))?;
                Some(Publish { item, inputs: Some((Digest::of(&inputs), inputs)) })
            }
            Stage::Train => {
                let (item, inputs) = plan::train(record, self.lots.values(), |place| self.is_done(place))?;
                Some(Publish { item, inputs: Some((Digest::of(&inputs), inputs)) })
            }
            Stage::Assemble => {
                let (item, inputs) = plan::assemble(record, lot?, place.index)?;
                Some(Publish { item, inputs: Some((Digest::of(&inputs), inputs)) })
            }
        }
    }

    /// These were taken but could not be published.
    pub fn give_back(&mut self, places: impl IntoIterator<Item = Place>, due: Instant) {
        for place in places {
            self.again(place, due);
        }
    }

    /// Out for longer than `age`, oldest first.
    pub fn out_for(&self, age: Duration, now: Instant) -> Vec<Place> {
        let old = self.out.iter().filter(|(_, since)| now.duration_since(**since) >= age);
        let mut old: Vec<_> = old.map(|(place, since)| (*since, *place)).collect();
        old.sort();
        old.into_iter().map(|(_, place)| place).collect()
    }

    /// Stages that have items out.
    pub fn stages_out(&self) -> BTreeSet<Stage> {
        self.out.keys().map(|place| place.stage).collect()
    }

    pub fn n_out(&self) -> usize {
        self.out.len()
    }

    /// Nothing is out, and nothing will become ready by itself.
    pub fn is_at_rest(&self) -> bool {
        self.out.is_empty()
            && self.ready.is_empty()
            && self.later.is_empty()
            && self.veins.iter().all(Vein::is_empty)
            && self.surveyed.is_empty()
            && !self.wants_statistics()
    }

    /// Lots whose findings are to be loaded.
    pub fn to_open(&self) -> Vec<u32> {
        // Items to predict are planned for one numeric class.
        let planned = !self.record.has(Stage::Predict) || self.record.predict.class.is_some();
        self.surveyed.iter().copied().filter(|lot| planned || *lot < self.record.learn_lots()).collect()
    }

    /// True once after the training has finished.
    pub fn take_weights_news(&mut self) -> bool {
        // The training is named by its chips, and those by their lots.
        let is_known = (0..self.record.learn_lots()).all(|lot| self.lots.contains_key(&lot));
        is_known && std::mem::take(&mut self.weights_are_news)
    }

    /// Why the run can't go on, though nothing is out.
    pub fn dead_end(&self) -> Option<String> {
        let grave =
            |stage| self.buried.iter().find(|(place, _)| place.stage == stage).map(|(_, grave)| grave);
        // Without a numeric class, or without weights, there is nothing to begin with.
        if let Some(grave) = grave(Stage::Probe).or(grave(Stage::Train)) {
            return Some(grave.failure.message.clone());
        }
        if !self.record.has_scaling()
            && self.done_of(Stage::Analyze) == 0
            && let Some(grave) = grave(Stage::Analyze).filter(|_| self.all_settled(Stage::Analyze))
        {
            return Some(grave.failure.message.clone());
        }
        let no_chips = self.record.has(Stage::Train)
            && !self.is_done(TRAIN)
            && self.all_settled(Stage::Chip)
            && self.done_of(Stage::Chip) == 0;
        no_chips.then(|| {
            "there is no chip to train on: no training scene could be read, or none has windows".into()
        })
    }

    /// True once after the probe has finished.
    pub fn take_probe_news(&mut self) -> bool {
        std::mem::take(&mut self.probe_is_news)
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

/// How long a failed item rests: 1, 2, 4, ... seconds, a minute at most.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
