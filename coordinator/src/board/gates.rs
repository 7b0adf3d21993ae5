//! What an item waits for, and when a stage, or the run, has nothing more to wait for. Nothing here changes
//! the board.

use std::{collections::BTreeSet, ops::Range};

use swath_proto::{
    item::{Place, Stage},
    steps::{StepInput, StepPlan},
};

use super::{Board, TRAIN};
use crate::{
    board::line::Line,
    steps::{self, Need},
};

impl Board {
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

    /// To be done, and its inputs are there.
    pub(super) fn is_wanted(&self, place: Place) -> bool {
        // Of a scene that shares its items, none stands at its own place.
        let scene_has = |stage: Stage| {
            let scene = self.lots.get(&place.lot).and_then(|lot| lot.scene(place.index));
            scene.is_some_and(|scene| {
                scene.group.is_none() && (stage != Stage::Eval || scene.files.labels.is_some())
            })
        };
        let inputs_are_there = match place.stage {
            Stage::Survey | Stage::Noop => true,
            Stage::Probe => {
                self.record.has_weights()
                    && (!self.record.predict.wants_int8 || self.all_settled(Stage::Chip))
            }
            Stage::Analyze => self.lots.contains_key(&place.lot),
            Stage::Chip | Stage::Predict => self.lots.contains_key(&place.lot) && self.record.has_scaling(),
            Stage::Train => {
                let are_planned =
                    || self.record.trains_with_chips() && self.are_open(0..self.record.learn_lots());
                self.done_of(Stage::Chip) > 0 && (self.all_settled(Stage::Chip) || are_planned())
            }
            Stage::Merge => self.is_met(&Need::All(Stage::Assemble)),
            Stage::Bundle => self.record.has_weights() && self.evaluated.is_some(),
            Stage::Step => self.needs(place).is_some_and(|needs| needs.iter().all(|need| self.is_met(need))),
            Stage::Assemble => {
                scene_has(place.stage) && self.missing.get(&(place.lot, place.index)) == Some(&0)
            }
            Stage::Eval | Stage::Vectorize => match self.group(place) {
                Some(group) => self.is_done(group.predict) && self.has_work(place, group),
                None => {
                    scene_has(place.stage)
                        && self.is_done(Place::new(Stage::Assemble, place.lot, place.index))
                }
            },
        };
        let planned =
            matches!(place.stage, Stage::Probe | Stage::Step | Stage::Noop) || self.record.has(place.stage);
        planned && inputs_are_there && !self.is_done(place) && !self.buried.contains_key(&place)
    }

    /// Whether the training is told of this chip item: of those that are done, or of all that may still come where it
    /// begins with the first of them. Its inputs are to be the same whenever it begins.
    pub(super) fn is_learnt_from(&self, chip: Place) -> bool {
        match self.record.trains_with_chips() {
            true => !self.buried.contains_key(&chip),
            false => self.is_done(chip),
        }
    }

    /// Its chips are not all cut yet.
    pub(super) fn is_early(&self, place: Place) -> bool {
        place == TRAIN && !self.all_settled(Stage::Chip)
    }

    /// What a step waits for.
    pub(crate) fn needs(&self, step: Place) -> Option<Vec<Need>> {
        steps::needs(&self.record, &self.lots, step)
    }

    pub(super) fn is_met(&self, need: &Need) -> bool {
        match need {
            Need::Done(place) => self.is_made(*place),
            // Maps of small scenes are made without being assembled.
            Need::All(Stage::Assemble) => {
                self.all_settled(Stage::Assemble) && self.all_settled(Stage::Predict)
            }
            Need::All(stage) => self.all_settled(*stage),
            Need::AllOfStep(number) => {
                self.are_open(self.record.learn_lots()..self.record.lots())
                    && self.unsettled.get(number) == Some(&None)
            }
            Need::Weights => self.record.has_weights(),
            Need::Evaluation => self.evaluated.is_some(),
        }
    }

    /// The first place of a step, from this one on, that is neither done nor buried nor stuck.
    pub(super) fn first_unsettled(&self, number: u32, from: Option<Place>) -> Option<Place> {
        let is_settled =
            |place: &Place| self.is_done(*place) || self.buried.contains_key(place) || self.is_stuck(*place);
        steps::places_of_step(&self.record, &self.lots, number, from).find(|place| !is_settled(place))
    }

    /// It waits for something that is buried, so that it won't come by itself.
    fn is_stuck(&self, place: Place) -> bool {
        let waits_in_vain = |input: Place| self.buried.contains_key(&input) || self.is_stuck(input);
        if let Some(group) = self.group_around(place) {
            return match place.stage {
                Stage::Assemble => self.buried.contains_key(&group.predict),
                stage => {
                    let item = if stage == Stage::Eval { group.eval } else { group.vectorize };
                    waits_in_vain(Place { stage: Stage::Assemble, ..place })
                        || self.buried.contains_key(&item)
                }
            };
        }
        match place.stage {
            Stage::Assemble => self.graves(Stage::Predict).any(|grave| {
                grave.lot == place.lot
                    && self.scenes_and_pixels(grave).iter().any(|(ordinal, _)| *ordinal == place.index)
            }),
            Stage::Eval | Stage::Vectorize => match self.group(place) {
                Some(group) => self.is_group_stuck(place, group),
                None => waits_in_vain(Place::new(Stage::Assemble, place.lot, place.index)),
            },
            Stage::Step => self.needs(place).unwrap_or_default().iter().any(|need| match need {
                Need::Done(input) => waits_in_vain(*input),
                _ => false,
            }),
            _ => false,
        }
    }

    /// Their surveys are known, or can't be made.
    pub(super) fn are_open(&self, mut lots: Range<u32>) -> bool {
        lots.all(|lot| {
            self.lots.contains_key(&lot) || self.buried.contains_key(&Place::new(Stage::Survey, lot, 0))
        })
    }

    /// Every lot that has items of this stage is open, and each of them is done, buried, or stuck behind a
    /// grave of its scene.
    pub(super) fn all_settled(&self, stage: Stage) -> bool {
        let learns = self.record.learn_lots() > 0;
        let lots = if stage == Stage::Chip || (stage == Stage::Analyze && learns) {
            0..self.record.learn_lots()
        } else {
            self.record.learn_lots()..self.record.lots()
        };
        // No item stands where a scene failed among others.
        let graves = self.graves(stage).filter(|grave| !self.has_failed(*grave));
        let settled = self.done_of(stage) + graves.count() as u64;
        let items = self.counts.get(&stage).map_or(0, |count| count.items);
        // What is seldom so is looked at first.
        (settled == items || settled + self.n_stuck(stage) == items) && self.are_open(lots)
    }

    /// Items of a stage of scenes that wait in vain: by the graves, of which there are few, and not by the
    /// scenes.
    fn n_stuck(&self, stage: Stage) -> u64 {
        let before: &[Stage] = match stage {
            Stage::Assemble => &[Stage::Predict],
            Stage::Eval | Stage::Vectorize => &[Stage::Predict, Stage::Assemble],
            _ => return 0,
        };
        let graves = before.iter().flat_map(|stage| self.graves(*stage));
        let behind: BTreeSet<Place> = graves.filter_map(|grave| self.behind(stage, grave)).collect();
        let left =
            behind.into_iter().filter(|place| !self.is_done(*place) && !self.buried.contains_key(place));
        // Where one scene failed among others, the item goes on.
        let is_stuck =
            |place: &Place| self.group(*place).is_none_or(|group| self.is_group_stuck(*place, group));
        left.filter(is_stuck).count() as u64
    }

    /// The item of a stage of scenes, where there is one, that takes what is buried in a stage before.
    fn behind(&self, stage: Stage, grave: Place) -> Option<Place> {
        let lot = self.lots.get(&grave.lot)?;
        let scene = match grave.stage {
            Stage::Predict => lot.scenes_of_predict(grave.index).first()?,
            _ => lot.scene(grave.index)?,
        };
        let group = scene.group.and_then(|number| lot.group(number));
        let scenes = group.map_or(std::slice::from_ref(scene), |group| group.scenes);
        let has_item = match stage {
            Stage::Assemble => group.is_none(),
            Stage::Eval => scenes.iter().any(|scene| scene.files.labels.is_some()),
            _ => true,
        };
        has_item.then(|| lot.maker(stage, scene))
    }

    /// What of a stage is buried.
    pub(crate) fn graves(&self, stage: Stage) -> impl Iterator<Item = Place> {
        let all = Place::new(stage, 0, 0)..=Place::new(stage, u32::MAX, u32::MAX);
        self.buried.range(all).map(|(place, _)| *place)
    }

    pub(super) fn done_of(&self, stage: Stage) -> u64 {
        self.counts.get(&stage).map_or(0, |count| count.done)
    }

    /// Why the run can't go on, though nothing is out.
    pub fn dead_end(&self) -> Option<String> {
        let grave = |stage| self.graves(stage).next().and_then(|place| self.buried.get(&place));
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

    /// What can be done is out with workers: the rest waits for that.
    pub fn has_published_all(&self) -> bool {
        self.lines.values().all(Line::is_empty)
    }

    /// Nothing is out, and nothing will become ready by itself.
    pub fn is_at_rest(&self) -> bool {
        self.out.is_empty()
            && self.has_published_all()
            && self.surveyed.is_empty()
            && self.outdated().is_empty()
            && !self.wants_statistics()
    }
}
