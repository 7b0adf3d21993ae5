//! In which state the parts of a run's scenes are: a byte each while they are compared, two bits each on their way to
//! the page. Pure.

use std::collections::HashSet;

use swath_backends::ledger::Snapshot;
use swath_proto::item::{Place, Stage};

use super::layout::{Layout, Set, Shown};

pub(super) const WAITING: u8 = 0;
pub(super) const HELD: u8 = 1;
pub(super) const DONE: u8 = 2;
pub(super) const FAILED: u8 = 3;

/// Changes that are told one by one; where there are more, all are read again.
const MOST_CHANGES: usize = 2000;

/// What the ledger says of a run, as the page looks at it.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) held: HashSet<Place>,
    pub(super) buried: HashSet<Place>,
    snapshot: Option<Snapshot>,
    /// The ledger has forgotten the run, whose items are all done or buried.
    all_done: bool,
}

impl Marks {
    /// `is_done`: the run has come to a good end. `graves`: as they lie under the root, which outlives the ledger.
    pub(super) fn new(snapshot: Snapshot, held: HashSet<Place>, is_done: bool, graves: Vec<Place>) -> Self {
        let buried = snapshot.buried.iter().map(|(place, ..)| *place).chain(graves).collect();
        Self { held, buried, all_done: !snapshot.known && is_done, snapshot: Some(snapshot) }
    }

    pub(super) fn is_done(&self, place: Place) -> bool {
        if self.all_done {
            return !self.buried.contains(&place);
        }
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_done(place))
    }

    fn bits(&self, stage: Stage, lot: u32) -> &[u8] {
        let bits = self.snapshot.as_ref().and_then(|snapshot| snapshot.done.get(&(stage, lot)));
        bits.map_or(&[], Vec::as_slice)
    }
}

/// The state of every part, in the order of the layout.
pub(super) fn paint(layout: &Layout, marks: &Marks) -> Vec<u8> {
    let mut cells = Vec::with_capacity(layout.n_parts);
    for shown in &layout.scenes {
        let stage = if shown.set == Set::Predict { Stage::Predict } else { Stage::Chip };
        let bits = marks.bits(stage, shown.lot);
        let has_failed = shown.n > 0 && has_failed(layout, shown, marks);
        let is_done = |place: Place| {
            let byte = bits.get(place.index as usize / 8);
            marks.all_done || byte.is_some_and(|byte| byte & (0x80 >> (place.index % 8)) != 0)
        };
        cells.extend(layout.places(shown).map(|place| match place {
            place if has_failed || marks.buried.contains(&place) => FAILED,
            place if is_done(place) => DONE,
            place if marks.held.contains(&place) => HELD,
            _ => WAITING,
        }));
        cells.resize(shown.first + shown.n, WAITING);
    }
    cells
}

/// A small scene that failed among others lies at a place of its own.
fn has_failed(layout: &Layout, shown: &Shown, marks: &Marks) -> bool {
    let own = layout.own(shown, Stage::Assemble);
    own.is_some_and(|(own, maker)| own != maker && marks.buried.contains(&own))
}

/// Four parts a byte, the first in its lowest bits.
pub(super) fn pack(cells: &[u8]) -> Vec<u8> {
    let byte =
        |four: &[u8]| four.iter().zip([0, 2, 4, 6]).fold(0, |byte, (cell, shift)| byte | (cell & 3) << shift);
    cells.chunks(4).map(byte).collect()
}

/// What is other than before: numbers of parts and their new states. None where that is too much to tell.
pub(super) fn changes(before: &[u8], after: &[u8]) -> Option<Vec<(usize, u8)>> {
    if before.len() != after.len() {
        return None;
    }
    let other = before.iter().zip(after).enumerate().filter(|(_, (before, after))| before != after);
    let found: Vec<_> = other.map(|(at, (_, after))| (at, *after)).take(MOST_CHANGES + 1).collect();
    (found.len() <= MOST_CHANGES).then_some(found)
}

/// How many of a scene's parts are in each state.
pub(super) fn count(cells: &[u8]) -> [usize; 4] {
    let mut counts = [0; 4];
    for cell in cells {
        counts[usize::from(cell & 3)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use swath_backends::ledger::Cursor;

    use super::*;

    #[test]
    fn of_a_run_that_the_ledger_has_forgotten_the_root_says_what_failed() {
        let place = |index| Place::new(Stage::Predict, 0, index);
        let forgotten = || Snapshot {
            known: false,
            done: BTreeMap::new(),
            buried: Vec::new(),
            cursor: Cursor(String::new()),
        };
        let over = Marks::new(forgotten(), HashSet::new(), true, vec![place(1)]);
        assert_eq!([0, 1].map(|index| over.is_done(place(index))), [true, false]);
        assert!(over.buried.contains(&place(1)));
        let cancelled = Marks::new(forgotten(), HashSet::new(), false, Vec::new());
        assert!(!cancelled.is_done(place(0)), "it was never done");
    }

    #[test]
    fn four_parts_are_a_byte() {
        assert_eq!(pack(&[WAITING, HELD, DONE, FAILED, DONE]), [0b11_10_01_00, 0b10]);
        assert!(pack(&[]).is_empty());
    }

    #[test]
    fn what_changes_is_told_until_it_is_too_much() {
        assert_eq!(changes(&[0, 0, 1], &[0, 2, 1]), Some(vec![(1, 2)]));
        assert_eq!(changes(&[0], &[0]), Some(vec![]));
        assert_eq!(changes(&[0], &[0, 0]), None, "another layout");
        let many = MOST_CHANGES + 1;
        assert_eq!(changes(&vec![0; many], &vec![1; many]), None);
        assert_eq!(count(&[0, 2, 2, 3]), [1, 0, 2, 1]);
    }
}
