//! Small scenes that share their items. No item stands at the own place of such a scene (a stage, its lot, its
//! ordinal): the scene lies there where it failed, and the item goes on without it.

use std::collections::BTreeSet;

use swath_backends::ledger::Event;
use swath_proto::{
    item::{Item, Place, Stage},
    outcome::FailureClass,
};

use super::{Board, Grave};
use crate::plan::{Group, PlannedScene};

impl Board {
    /// The group that an item works on, where it is one of several small scenes.
    pub(super) fn group(&self, place: Place) -> Option<Group<'_>> {
        let lot = self.lots.get(&place.lot)?;
        match place.stage {
            Stage::Predict => lot.group(lot.scenes_of_predict(place.index).first()?.group?),
            Stage::Eval | Stage::Vectorize => lot.group_at(place.index),
            _ => None,
        }
    }

    /// The group of a scene, where the place is the scene's own and no item stands there.
    pub(super) fn group_around(&self, own: Place) -> Option<Group<'_>> {
        let is_of_scene = matches!(own.stage, Stage::Assemble | Stage::Eval | Stage::Vectorize);
        self.lots.get(&own.lot).filter(|_| is_of_scene)?.group_of(own.index)
    }

    /// An item of several scenes does without this one.
    pub fn has_failed(&self, own: Place) -> bool {
        self.buried.contains_key(&own) && self.group_around(own).is_some()
    }

    /// What stands at a place is there: done as an item, or come out well among others of one.
    pub fn is_made(&self, place: Place) -> bool {
        let Some(group) = self.group_around(place) else { return self.is_done(place) };
        let is_well = |stage| !self.buried.contains_key(&Place { stage, ..place });
        match place.stage {
            Stage::Assemble => self.is_done(group.predict) && is_well(Stage::Assemble),
            Stage::Eval => self.is_done(group.eval) && is_well(Stage::Assemble) && is_well(Stage::Eval),
            _ => self.is_done(group.vectorize) && is_well(Stage::Assemble) && is_well(Stage::Vectorize),
        }
    }

    /// Items that do without a scene while it is buried at its own place.
    pub(super) fn items_around(&self, own: Place) -> Vec<Place> {
        match (self.group_around(own), own.stage) {
            (None, _) => Vec::new(),
            (Some(group), Stage::Assemble) => vec![group.predict, group.eval, group.vectorize],
            (Some(group), Stage::Eval) => vec![group.eval],
            (Some(group), _) => vec![group.vectorize],
        }
    }

    /// Items that were done without the scenes that are buried here, and have to be done again with them.
    pub fn done_without(&self, graves: &[Place]) -> Vec<Item> {
        let items = graves.iter().flat_map(|grave| self.items_around(*grave));
        let places: BTreeSet<Place> = items.filter(|place| self.is_done(*place)).collect();
        places.into_iter().filter_map(|place| Some(self.item(place)?.item)).collect()
    }

    /// Items that were at work when a scene came back, and were done without knowing of it.
    pub fn outdated(&self) -> Vec<Item> {
        let done = self.unaware.iter().filter(|place| self.is_done(**place));
        done.filter_map(|place| Some(self.item(*place)?.item)).collect()
    }

    /// What an event says of an item. A scene that failed among others says nothing of those that did not; an item
    /// that was seen through has failed all the same where none of its scenes came out well.
    pub fn told_of_item(&self, event: &Event) -> Option<Event> {
        match event {
            Event::Buried { place, .. } if self.group_around(*place).is_some() => None,
            Event::Finished { place, .. } => Some(match self.came_to_nothing(*place) {
                Some(Grave { attempts, failure }) => {
                    Event::Buried { place: *place, attempts: *attempts, failure: failure.clone() }
                }
                None => event.clone(),
            }),
            _ => Some(event.clone()),
        }
    }

    /// What the first scene of an item failed of, where each of them did.
    fn came_to_nothing(&self, item: Place) -> Option<&Grave> {
        let group = self.group(item)?;
        let stage = if item.stage == Stage::Predict { Stage::Assemble } else { item.stage };
        let scenes = group.scenes.iter().filter(|scene| self.takes(item, scene));
        let graves: Option<Vec<&Grave>> =
            scenes.map(|scene| self.buried.get(&Place::new(stage, item.lot, scene.ordinal))).collect();
        graves?.into_iter().find(|grave| grave.failure.class != FailureClass::Dropped)
    }

    /// The item of a group works on this scene of it.
    fn takes(&self, item: Place, scene: &PlannedScene) -> bool {
        let has_map = || !self.buried.contains_key(&Place::new(Stage::Assemble, item.lot, scene.ordinal));
        match item.stage {
            Stage::Predict => true,
            Stage::Eval => scene.files.labels.is_some() && has_map(),
            _ => has_map(),
        }
    }

    /// Pixels of a scene that its item has passed over, where there is such an item and it is done.
    pub(super) fn passed_over(&self, own: Place) -> u64 {
        let group = self.group_around(own).filter(|group| self.is_done(group.predict));
        let Some(group) = group.filter(|_| own.stage == Stage::Assemble) else { return 0 };
        let scene = group.scenes.iter().find(|scene| scene.ordinal == own.index);
        scene.map_or(0, |scene| scene.pixels_of(group.predict))
    }

    /// A scene of the group has come so far that the item has something to do.
    pub(super) fn has_work(&self, place: Place, group: Group<'_>) -> bool {
        group.scenes.iter().any(|scene| self.takes(place, scene))
    }

    /// The item of a group waits for something that is buried, or all that it would work on is.
    pub(super) fn is_group_stuck(&self, place: Place, group: Group<'_>) -> bool {
        self.buried.contains_key(&group.predict) || !self.has_work(place, group)
    }
}

#[cfg(test)]
mod tests;
