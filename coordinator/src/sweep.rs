//! Which published items the queue must have lost. Workers claim what they receive at once, so an
//! item that is old, not held, and not waiting in the queue is nowhere.

use std::{collections::HashSet, time::Duration};

use swath_proto::item::Place;

/// Between receiving and claiming lies one round trip; this is far more.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(3);
/// After this an item is published again even if the queue claims to be busy: a duplicate costs
/// one claim.
pub const LOST_AFTER: Duration = Duration::from_secs(15 * 60);

/// `old` are items that have been out for longer than [`SETTLES_WITHIN`] (`very_old`:
/// [`LOST_AFTER`]); `queue_is_empty`: the broker has said so twice.
pub fn lost(
    old: Vec<Place>,
    very_old: Vec<Place>,
    held: &HashSet<Place>,
    queue_is_empty: bool,
) -> Vec<Place> {
    let candidates = if queue_is_empty { old } else { very_old };
    candidates.into_iter().filter(|place| !held.contains(place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::item::Stage;

    #[test]
    fn only_what_is_old_unheld_and_not_waiting_is_lost() {
        let [a, b] = [0, 1].map(|index| Place::new(Stage::Predict, 0, index));
        let held = HashSet::from([a]);
        assert_eq!(lost(vec![a, b], vec![], &held, true), [b]);
        assert_eq!(lost(vec![a, b], vec![], &held, false), []);
        assert_eq!(lost(vec![a, b], vec![a, b], &held, false), [b]);
    }
}
