//! Scenes on their way through a run: each goes on when its own items are done, and fails by itself.

use std::time::{Duration, Instant};

use swath_backends::ledger::{Cursor, Event, Snapshot};
use swath_proto::{item::Stage, outcome::FailureClass, scene::SurveyedScene};

use super::{failure, finished, header, place, record, taken, taken_at};
use crate::board::{Board, Count};

/// A board whose lots are open and whose predict items are out.
fn opened() -> Board {
    let mut board = Board::new(record());
    assert_eq!(taken(&mut board), ["probe.0.0", "survey.0.0", "survey.1.0"]);
    for text in ["probe.0.0", "survey.0.0", "survey.1.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("large", 1000)]);
    board.open(1, vec![header("small", 300)]);
    assert_eq!(
        taken(&mut board),
        ["predict.0.0", "predict.0.1", "predict.0.2", "predict.0.3", "predict.1.0"]
    );
    board
}

#[test]
fn a_scene_flows_on_when_its_last_part_is_done_and_waits_for_no_other_scene() {
    let mut board = opened();
    for text in ["predict.0.0", "predict.0.1", "predict.0.2"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), [""; 0]);
    finished(&mut board, "predict.0.3");
    assert_eq!(taken(&mut board), ["assemble.0.0"]);
    finished(&mut board, "assemble.0.0");
    assert_eq!(taken(&mut board), ["eval.0.0"]);
    finished(&mut board, "eval.0.0");
    assert!(!board.is_at_rest());
    finished(&mut board, "predict.1.0");
    assert_eq!(taken(&mut board), ["assemble.1.0"]);
    finished(&mut board, "assemble.1.0");
    assert_eq!(taken(&mut board), [""; 0], "a scene without labels has nothing to evaluate");
    assert!(board.is_at_rest());
    let counts = board.counts();
    assert_eq!(counts[&Stage::Predict], Count { items: 5, done: 5 });
    assert_eq!(counts[&Stage::Eval], Count { items: 1, done: 1 });
    assert_eq!((board.pixels_done, board.pixels), (1_090_000, 1_090_000));
}

#[test]
fn an_event_that_comes_twice_counts_once() {
    let mut board = opened();
    for _ in 0..2 {
        finished(&mut board, "predict.0.0");
    }
    assert_eq!(board.counts()[&Stage::Predict].done, 1);
    for _ in 0..2 {
        board.apply(Event::Lost { place: place("predict.0.1") }, Instant::now());
    }
    assert_eq!(taken(&mut board), ["predict.0.1"]);
}

#[test]
fn a_failed_item_rests_and_a_lost_one_does_not() {
    let mut board = opened();
    let now = Instant::now();
    let failure = failure(FailureClass::Transient);
    board.apply(Event::Released { place: place("predict.0.0"), failures: 2, failure: Some(failure) }, now);
    board.apply(Event::Released { place: place("predict.0.1"), failures: 0, failure: None }, now);
    assert_eq!(taken_at(&mut board, now), ["predict.0.1"]);
    assert_eq!(taken_at(&mut board, now + Duration::from_secs(1)), [""; 0]);
    assert_eq!(taken_at(&mut board, now + Duration::from_secs(2)), ["predict.0.0"]);
}

#[test]
fn what_is_buried_holds_up_its_own_scene_only_and_comes_back_when_replayed() {
    let mut board = opened();
    let failure = failure(FailureClass::Data);
    let grave = Event::Buried { place: place("predict.0.3"), attempts: 1, failure };
    board.apply(grave, Instant::now());
    for text in ["predict.0.0", "predict.0.1", "predict.0.2", "predict.1.0"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), ["assemble.1.0"]);
    finished(&mut board, "assemble.1.0");
    assert!(board.is_at_rest());
    board.apply(Event::Reset { place: place("predict.0.3") }, Instant::now());
    assert_eq!(taken(&mut board), ["predict.0.3"]);
    finished(&mut board, "predict.0.3");
    assert_eq!(taken(&mut board), ["assemble.0.0"]);
}

#[test]
fn a_missing_input_is_made_again_before_its_dependent_is_tried_again() {
    let mut board = opened();
    for index in 0..4 {
        finished(&mut board, &format!("predict.0.{index}"));
    }
    assert_eq!(taken(&mut board), ["assemble.0.0"]);
    let now = Instant::now();
    board.apply(Event::Reset { place: place("predict.0.2") }, now);
    board.apply(Event::Released { place: place("assemble.0.0"), failures: 0, failure: None }, now);
    assert_eq!(taken(&mut board), ["predict.0.2"]);
    finished(&mut board, "predict.0.2");
    assert_eq!(taken(&mut board), ["assemble.0.0"]);
}

#[test]
fn a_coordinator_that_starts_from_a_snapshot_publishes_what_is_left() {
    let mut board = Board::new(record());
    let done = [
        ((Stage::Probe, 0), vec![0x80]),
        ((Stage::Survey, 0), vec![0x80]),
        ((Stage::Survey, 1), vec![0x80]),
        ((Stage::Predict, 0), vec![0b1011_0000]),
    ];
    let cursor = Cursor(String::new());
    board.load(&Snapshot { known: true, done: done.into(), buried: Vec::new(), cursor });
    assert_eq!(board.to_open(), [0, 1]);
    board.open(0, vec![header("large", 1000)]);
    board.open(1, vec![header("small", 300)]);
    assert_eq!(taken(&mut board), ["predict.0.1", "predict.1.0"]);
    assert_eq!(board.counts()[&Stage::Predict], Count { items: 5, done: 3 });
    finished(&mut board, "predict.0.1");
    assert_eq!(taken(&mut board), ["assemble.0.0"]);
}

#[test]
fn an_unreadable_scene_is_listed_and_stops_nobody() {
    let mut board = Board::new(record());
    taken(&mut board);
    for text in ["probe.0.0", "survey.0.0", "survey.1.0"] {
        finished(&mut board, text);
    }
    let unreadable = SurveyedScene::Unreadable { id: "large".parse().unwrap(), message: "torn".into() };
    board.open(0, vec![unreadable]);
    board.open(1, vec![header("small", 300)]);
    assert_eq!(taken(&mut board), ["predict.1.0"]);
    assert_eq!(board.lots().map(|lot| lot.unreadable.len()).sum::<usize>(), 1);
}

#[test]
fn pixels_that_nobody_says_how_to_scale_are_told_of() {
    let mut board = Board::new(record());
    let mut sixteen = header("large", 300);
    if let SurveyedScene::Readable(header) = &mut sixteen {
        header.data_type = "UInt16".into();
    }
    board.open(0, vec![sixteen]);
    let (scene, why) = &board.lots().next().unwrap().unreadable[0];
    assert_eq!(scene, "large");
    assert!(why.contains("UInt16") && why.contains("analyze"), "{why}");
}
