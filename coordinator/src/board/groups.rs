//! Small scenes that share their items. No item stands at the own place of such a scene (a stage, its lot, its
//! ordinal): the scene lies there where it failed, and the item goes on without it.

use std::collections::BTreeSet;

use swath_proto::item::{Item, Place, Stage};

use super::Board;
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

    /// The place is a scene's own, within an item of several.
    pub fn is_within(&self, own: Place) -> bool {
        self.group_around(own).is_some()
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

    /// Items that were done without the scenes that are buried here, and have to be done again with them.
    pub fn done_without(&self, graves: &[Place]) -> Vec<Item> {
        let items = graves.iter().filter_map(|grave| {
            let group = self.group_around(*grave)?;
            Some(match grave.stage {
                Stage::Assemble => vec![group.predict, group.eval, group.vectorize],
                Stage::Eval => vec![group.eval],
                _ => vec![group.vectorize],
            })
        });
        let places: BTreeSet<Place> = items.flatten().filter(|place| self.is_done(*place)).collect();
        places.into_iter().filter_map(|place| Some(self.item(place)?.item)).collect()
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
        let is_left = |scene: &PlannedScene| {
            let own = Place::new(Stage::Assemble, place.lot, scene.ordinal);
            !self.buried.contains_key(&own) && (place.stage != Stage::Eval || scene.files.labels.is_some())
        };
        group.scenes.iter().any(is_left)
    }

    /// The item of a group waits for something that is buried, or all that it would work on is.
    pub(super) fn is_group_stuck(&self, place: Place, group: Group<'_>) -> bool {
        self.buried.contains_key(&group.predict) || !self.has_work(place, group)
    }
}

#[cfg(test)]
mod tests;
