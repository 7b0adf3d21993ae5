//! The polygons of all scenes together: once, when no scene is still to come.

use std::time::Instant;

use swath_backends::ledger::Event;
use swath_proto::{
    item::{Stage, Work},
    outcome::FailureClass,
    run::RunRecord,
    vectors::{MergeInputs, VectorFormat, VectorPlan},
};

use super::{failure, finished, header, place, record, taken};
use crate::{board::Board, plan};

fn merging() -> RunRecord {
    let mut record = record();
    record.stages.push(Stage::Merge);
    record.vectors = Some(VectorPlan {
        classes: vec![1],
        denoise_px: 0,
        min_area_m2: 0.0,
        tolerance_px: 0.0,
        square_px: 0.0,
        formats: vec![VectorFormat::GeoJson],
    });
    record
}

/// Predicted: the large scene in four items, the small one in one.
fn predicted() -> Board {
    let mut board = Board::new(merging());
    taken(&mut board);
    for text in ["probe.0.0", "survey.0.0", "survey.1.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("large", 1000)]);
    assert!(!taken(&mut board).contains(&"merge.0.0".into()), "a lot is not open yet");
    board.open(1, vec![header("small", 300)]);
    taken(&mut board);
    for text in ["predict.0.0", "predict.0.1", "predict.0.2", "predict.0.3", "predict.1.0"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), ["assemble.0.0", "assemble.1.0"]);
    board
}

fn merged(board: &Board) -> Vec<String> {
    let publish = board.item(place("merge.0.0")).unwrap();
    let (digest, inputs) = publish.inputs.unwrap();
    let Work::Merge(work) = publish.item.work else { panic!("{:?}", publish.item.work) };
    assert_eq!(work.inputs, digest);
    let MergeInputs { scenes } = serde_json::from_slice(&inputs).unwrap();
    scenes.iter().map(|scene| scene.id.to_string()).collect()
}

fn bury(board: &mut Board, text: &str) {
    let failure = failure(FailureClass::Data);
    board.apply(Event::Buried { place: place(text), attempts: 1, failure }, Instant::now());
}

#[test]
fn scenes_are_merged_when_all_are_assembled() {
    let mut board = predicted();
    finished(&mut board, "assemble.1.0");
    assert_eq!(taken(&mut board), [""; 0], "the large scene is to come");
    finished(&mut board, "assemble.0.0");
    assert_eq!(taken(&mut board), ["eval.0.0", "merge.0.0"]);
    assert_eq!(merged(&board), ["large", "small"]);
    finished(&mut board, "eval.0.0");
    assert!(!board.is_at_rest());
    finished(&mut board, "merge.0.0");
    assert!(board.is_at_rest());
}

#[test]
fn a_scene_that_fails_keeps_the_others_from_nothing_and_is_merged_when_it_comes_back() {
    let mut board = predicted();
    finished(&mut board, "assemble.1.0");
    bury(&mut board, "assemble.0.0");
    assert_eq!(taken(&mut board), ["merge.0.0"]);
    assert_eq!(merged(&board), ["small"]);
    let before = board.item(place("merge.0.0")).unwrap().item.id;
    finished(&mut board, "merge.0.0");
    assert!(board.is_at_rest());
    board.apply(Event::Reset { place: place("assemble.0.0") }, Instant::now());
    assert_eq!(taken(&mut board), ["assemble.0.0"]);
    finished(&mut board, "assemble.0.0");
    assert_eq!(merged(&board), ["large", "small"]);
    assert_ne!(board.item(place("merge.0.0")).unwrap().item.id, before, "what it makes has another name");
}

#[test]
fn a_map_that_is_gone_is_made_again_before_scenes_are_merged() {
    let mut board = predicted();
    for text in ["assemble.0.0", "assemble.1.0"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), ["eval.0.0", "merge.0.0"]);
    let now = Instant::now();
    board.apply(Event::Reset { place: place("assemble.1.0") }, now);
    board.apply(Event::Released { place: place("merge.0.0"), failures: 0, failure: None }, now);
    assert_eq!(taken(&mut board), ["assemble.1.0"]);
    finished(&mut board, "assemble.1.0");
    assert_eq!(taken(&mut board), ["merge.0.0"]);
}

#[test]
fn a_run_of_nothing_but_failures_merges_nothing_and_ends() {
    let mut board = predicted();
    for text in ["assemble.0.0", "assemble.1.0"] {
        bury(&mut board, text);
    }
    assert_eq!(taken(&mut board), ["merge.0.0"]);
    assert_eq!(merged(&board), [""; 0]);
    assert!(!board.is_at_rest());
    finished(&mut board, "merge.0.0");
    assert!(board.is_at_rest());
}

#[test]
fn what_stands_for_pixels_that_do_not_count_is_told_and_names_the_item() {
    let item = |nodata| {
        let mut record = merging();
        record.predict.nodata = nodata;
        plan::merge(&record, std::iter::empty(), |_| true).unwrap().0
    };
    let Work::Merge(work) = item(Some(255)).work else { panic!("a merge item") };
    assert_eq!(work.nodata, Some(255));
    assert_ne!(item(Some(255)).id, item(None).id);
}
