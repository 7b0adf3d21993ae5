//! Many items: in which order they are published, which are lost, and that they are not listed.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use swath_backends::{
    ledger::{Cursor, Snapshot},
    queue::Lane,
};
use swath_proto::{item::Stage, run::RunRecord};

use super::{place, record, taken};
use crate::{
    board::{Board, Count},
    sweep,
};

#[test]
fn a_shuffled_run_publishes_the_same_items_in_another_order() {
    let order = |shuffle| {
        let mut board = Board::new(RunRecord { noops: 100, stages: Vec::new(), shuffle, ..record() });
        taken(&mut board)
    };
    let (plain, mut shuffled) = (order(None), order(Some(7)));
    assert_ne!(plain, shuffled);
    shuffled.sort_by_key(|text| place(text).index);
    assert_eq!(plain, shuffled);
}

#[test]
fn only_what_is_old_unheld_and_not_waiting_is_lost() {
    let mut board = Board::new(RunRecord { noops: 2, stages: Vec::new(), ..record() });
    let now = Instant::now();
    let [a, b] = ["noop.0.0", "noop.0.1"].map(place);
    assert_eq!(board.take(Lane::Cpu, 100, now).len(), 2);
    let held = HashSet::from([a]);
    let lost = |is_empty, after_s| {
        sweep::lost(&board, Lane::Cpu, &held, is_empty, now + Duration::from_secs(after_s))
    };
    assert_eq!(lost(true, 2), [], "it may be on its way");
    assert_eq!(lost(true, 4), [b]);
    assert_eq!(lost(false, 4), [], "it waits");
    assert_eq!(lost(false, 3600), [b]);
    assert_eq!(sweep::lost(&board, Lane::Steps, &held, true, now + Duration::from_secs(4)), []);
}

#[test]
fn a_run_of_ten_million_items_is_not_listed() {
    for shuffle in [None, Some(3)] {
        let mut board = Board::new(RunRecord { noops: 10_000_000, stages: Vec::new(), shuffle, ..record() });
        assert_eq!(taken(&mut board).len(), 100);
        assert_eq!(board.upcoming(Lane::Cpu, Instant::now()).0, 10_000_000 - 100);
    }
    // One that was done but for its last item: the others are passed over, and not kept.
    let mut bits = vec![0xff; 1_250_000];
    bits[1_249_999] = 0xfe;
    let mut board = Board::new(RunRecord { noops: 10_000_000, stages: Vec::new(), ..record() });
    let cursor = Cursor(String::new());
    let done = [((Stage::Noop, 0), bits)].into();
    board.load(&Snapshot { known: true, done, buried: Vec::new(), cursor });
    assert_eq!(board.counts()[&Stage::Noop], Count { items: 10_000_000, done: 9_999_999 });
    assert_eq!(taken(&mut board), ["noop.0.9999999"]);
}
