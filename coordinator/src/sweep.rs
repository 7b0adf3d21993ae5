//! Which published items the queue must have lost. Workers claim what they receive at once, so an
//! item that is old, not held, and not waiting in the queue is nowhere.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use swath_backends::queue::Lane;
use swath_proto::item::Place;

use crate::board::Board;

/// Between receiving and claiming lies one round trip; this is far more.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(3);
/// After this an item is published again even if the queue claims to be busy: a duplicate costs
/// one claim.
const LOST_AFTER: Duration = Duration::from_secs(15 * 60);

/// `held`: or let go of a moment ago. `queue_is_empty`: the broker has said so twice of this lane. Looks at what is out, and at nothing else.
pub fn lost(
    board: &Board,
    lane: Lane,
    held: &HashSet<Place>,
    queue_is_empty: bool,
    now: Instant,
) -> Vec<Place> {
    let age = if queue_is_empty { SETTLES_WITHIN } else { LOST_AFTER };
    let old = board.out_for(lane, age, now);
    old.into_iter().filter(|place| !held.contains(place)).collect()
}
