//! What a run finds out on its way, and the items that exist from then on.

use swath_proto::{
    item::{Place, Stage},
    run::RunRecord,
    scene::SurveyedScene,
};

use super::{BUNDLE, Board, PROBE, TRAIN};
use crate::{ground, plan::Lot, steps};

impl Board {
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

    /// The items of a lot that take scaled pixels.
    fn dig_lot(&mut self, number: u32, n_chip: u32, n_predict: u32) {
        self.dig(Stage::Chip, n_chip, move |index| Place::new(Stage::Chip, number, index));
        self.dig(Stage::Predict, n_predict, move |index| Place::new(Stage::Predict, number, index));
    }
}
