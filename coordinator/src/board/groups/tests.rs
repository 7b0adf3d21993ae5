use std::time::Instant;

use swath_backends::ledger::Event;
use swath_proto::{
    ids::Digest,
    item::{Stage, Work},
    outcome::{FailureClass, Report},
    pipeline::StepFor,
    run::RunRecord,
    steps::{StepCommand, StepInput, StepPlan},
};

use crate::board::{
    Board, Count,
    tests::{failure, files, finished, header, place, record, taken},
};

/// A lot of three small scenes of 300 px, the last two with labels, and one of four items.
fn shared() -> RunRecord {
    let mut record = record();
    record.scenes = vec![files("a", false), files("b", true), files("c", true), files("large", true)];
    record.lot_scenes = 4;
    record.predict.shared_windows = Some(12);
    record
}

fn opened(record: RunRecord) -> Board {
    let mut board = Board::new(record);
    taken(&mut board);
    for text in ["probe.0.0", "survey.0.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("a", 300), header("b", 300), header("c", 300), header("large", 1000)]);
    assert_eq!(
        taken(&mut board),
        ["predict.0.0", "predict.0.1", "predict.0.2", "predict.0.3", "predict.0.4"]
    );
    board
}

fn bury(board: &mut Board, text: &str) {
    let failure = failure(FailureClass::Data);
    board.apply(Event::Buried { place: place(text), attempts: 1, failure }, Instant::now());
}

/// The scenes of a group's item.
fn scenes(board: &Board, text: &str) -> Vec<String> {
    match board.item(place(text)).unwrap().item.work {
        Work::PredictScenes(work) => work.scenes.iter().map(|part| part.scene.id.to_string()).collect(),
        Work::EvalScenes(work) => work.scenes.iter().map(|part| part.scene.id.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn small_scenes_share_one_item_a_stage_and_nothing_of_them_is_assembled() {
    let mut board = opened(shared());
    assert_eq!(scenes(&board, "predict.0.0"), ["a", "b", "c"]);
    finished(&mut board, "predict.0.0");
    assert_eq!(board.pixels_done, 270_000);
    assert_eq!(taken(&mut board), ["eval.0.4"]);
    assert_eq!(scenes(&board, "eval.0.4"), ["b", "c"], "what has labels");
    for index in 1..=4 {
        finished(&mut board, &format!("predict.0.{index}"));
    }
    assert_eq!(taken(&mut board), ["assemble.0.3"]);
    for text in ["eval.0.4", "assemble.0.3"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), ["eval.0.3"]);
    finished(&mut board, "eval.0.3");
    assert!(board.is_at_rest());
    assert_eq!(board.counts()[&Stage::Predict], Count { items: 5, done: 5 });
    assert_eq!(board.counts()[&Stage::Assemble], Count { items: 1, done: 1 });
    assert_eq!(board.counts()[&Stage::Eval], Count { items: 2, done: 2 });
    assert_eq!((board.pixels_done, board.pixels), (1_270_000, 1_270_000));
}

#[test]
fn a_scene_that_fails_among_others_is_left_out_and_all_come_back_when_it_is_replayed() {
    let mut board = opened(shared());
    bury(&mut board, "assemble.0.1");
    finished(&mut board, "predict.0.0");
    assert_eq!(board.pixels_done, 180_000, "what failed is not done");
    assert_eq!(taken(&mut board), ["eval.0.4"]);
    assert_eq!(scenes(&board, "eval.0.4"), ["c"]);
    finished(&mut board, "eval.0.4");
    for (own, is_made) in
        [("assemble.0.0", true), ("assemble.0.1", false), ("eval.0.1", false), ("eval.0.2", true)]
    {
        assert_eq!(board.is_made(place(own)), is_made, "{own}");
    }
    let without: Vec<String> =
        board.done_without(&[place("assemble.0.1")]).iter().map(|item| item.place.to_string()).collect();
    assert_eq!(without, ["predict.0.0", "eval.0.4"]);
    for text in ["predict.0.0", "eval.0.4", "assemble.0.1"] {
        board.apply(Event::Reset { place: place(text) }, Instant::now());
    }
    assert_eq!(board.pixels_done, 0);
    assert_eq!(taken(&mut board), ["predict.0.0"]);
    finished(&mut board, "predict.0.0");
    assert_eq!((board.pixels_done, taken(&mut board)), (270_000, vec!["eval.0.4".to_owned()]));
    assert_eq!(scenes(&board, "eval.0.4"), ["b", "c"]);
}

#[test]
fn a_grave_that_comes_late_or_goes_early_is_counted_once() {
    let mut board = opened(shared());
    finished(&mut board, "predict.0.0");
    for _ in 0..2 {
        bury(&mut board, "assemble.0.0");
        assert_eq!(board.pixels_done, 180_000);
    }
    board.apply(Event::Reset { place: place("assemble.0.0") }, Instant::now());
    assert_eq!(board.pixels_done, 270_000);
    // Of a scene with items of its own, a grave says nothing of what was predicted.
    bury(&mut board, "assemble.0.3");
    assert_eq!(board.pixels_done, 270_000);
}

fn reset(board: &mut Board, text: &str) {
    board.apply(Event::Reset { place: place(text) }, Instant::now());
}

fn outdated(board: &Board) -> Vec<String> {
    board.outdated().iter().map(|item| item.place.to_string()).collect()
}

/// Of the record's first three scenes, which share an item that is out.
fn three_at_work(mut record: RunRecord) -> Board {
    record.scenes.truncate(3);
    let mut board = Board::new(record);
    taken(&mut board);
    for text in ["probe.0.0", "survey.0.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("a", 300), header("b", 300), header("c", 300)]);
    assert_eq!(taken(&mut board), ["predict.0.0"]);
    board
}

#[test]
fn what_is_at_work_while_a_scene_comes_back_is_done_again_with_it() {
    let mut board = three_at_work(shared());
    // It was past the scene when that was replayed.
    bury(&mut board, "assemble.0.1");
    reset(&mut board, "assemble.0.1");
    assert_eq!(outdated(&board), [""; 0], "nothing is done yet");
    finished(&mut board, "predict.0.0");
    assert_eq!(outdated(&board), ["predict.0.0"]);
    reset(&mut board, "predict.0.0");
    assert_eq!((outdated(&board), taken(&mut board)), (vec![], vec!["predict.0.0".to_owned()]));
    // This time its worker has seen it, and has handed it back.
    bury(&mut board, "assemble.0.1");
    reset(&mut board, "assemble.0.1");
    let released = Event::Released { place: place("predict.0.0"), failures: 0, failure: None };
    board.apply(released, Instant::now());
    assert_eq!(taken(&mut board), ["predict.0.0"]);
    finished(&mut board, "predict.0.0");
    assert_eq!(outdated(&board), [""; 0]);

    // What was told of fewer scenes is done again too, though all that it was told of is done.
    assert_eq!(taken(&mut board), ["eval.0.3"]);
    bury(&mut board, "assemble.0.2");
    for text in ["predict.0.0", "assemble.0.2"] {
        reset(&mut board, text);
    }
    finished(&mut board, "eval.0.3");
    assert_eq!(outdated(&board), ["eval.0.3"]);
    assert_eq!(scenes(&board, "eval.0.3"), ["b", "c"]);
    assert_eq!(taken(&mut board), ["predict.0.0"]);
    finished(&mut board, "predict.0.0");
    assert!(!board.is_at_rest(), "there is more to be done");
    reset(&mut board, "eval.0.3");
    assert_eq!(taken(&mut board), ["eval.0.3"]);
    finished(&mut board, "eval.0.3");
    assert!(board.is_at_rest());
}

#[test]
fn an_item_has_failed_where_all_of_its_scenes_have_and_one_scene_says_nothing_of_it() {
    let mut board = opened(shared());
    let end = |text: &str| Event::Finished { place: place(text), report: Report::default() };
    let grave =
        |text: &str, class| Event::Buried { place: place(text), attempts: 1, failure: failure(class) };
    let data = |text: &str| grave(text, FailureClass::Data);
    for text in ["assemble.0.0", "assemble.0.1"] {
        assert_eq!(board.told_of_item(&data(text)), None);
        bury(&mut board, text);
        assert_eq!(board.told_of_item(&end("predict.0.0")), Some(end("predict.0.0")));
    }
    bury(&mut board, "assemble.0.2");
    assert_eq!(board.told_of_item(&end("predict.0.0")), Some(data("predict.0.0")));
    for large in ["assemble.0.3", "predict.0.1"] {
        assert_eq!(board.told_of_item(&data(large)), Some(data(large)), "an item of its own");
        assert_eq!(board.told_of_item(&end(large)), Some(end(large)));
    }
    // What people do without has not failed.
    for text in ["assemble.0.0", "assemble.0.1", "assemble.0.2"] {
        board.apply(grave(text, FailureClass::Dropped), Instant::now());
    }
    assert_eq!(board.told_of_item(&end("predict.0.0")), Some(end("predict.0.0")));

    // The first has no labels, and the second no map: what is left is the third.
    let mut board = opened(shared());
    bury(&mut board, "assemble.0.1");
    finished(&mut board, "predict.0.0");
    assert_eq!(board.told_of_item(&end("eval.0.4")), Some(end("eval.0.4")));
    bury(&mut board, "eval.0.2");
    assert_eq!(board.told_of_item(&end("eval.0.4")), Some(data("eval.0.4")));
}

#[test]
fn the_evaluation_does_not_wait_for_scenes_that_failed_among_others() {
    let mut record = shared();
    record.stages.push(Stage::Bundle);
    let mut board = three_at_work(record);
    bury(&mut board, "assemble.0.1");
    finished(&mut board, "predict.0.0");
    assert_eq!(taken(&mut board), ["eval.0.3"]);
    bury(&mut board, "eval.0.2");
    assert!(!board.wants_evaluation(), "its item is out");
    finished(&mut board, "eval.0.3");
    assert!(board.wants_evaluation());

    bury(&mut board, "assemble.0.2");
    board.apply(Event::Reset { place: place("eval.0.3") }, Instant::now());
    assert_eq!(taken(&mut board), [""; 0], "there is nothing left to evaluate");
    assert!(board.wants_evaluation());
}

#[test]
fn a_group_that_is_lost_holds_up_only_its_own_scenes() {
    let mut record = shared();
    record.stages.push(Stage::Bundle);
    let mut board = opened(record);
    bury(&mut board, "predict.0.0");
    for index in 1..=4 {
        finished(&mut board, &format!("predict.0.{index}"));
    }
    for text in ["assemble.0.3", "eval.0.3"] {
        assert_eq!(taken(&mut board), [text]);
        finished(&mut board, text);
    }
    assert!(board.wants_evaluation());
}

#[test]
fn a_lost_group_without_labels_leaves_no_item_that_the_evaluation_could_count() {
    let mut record = shared();
    record.stages.push(Stage::Bundle);
    for scene in &mut record.scenes[..3] {
        scene.labels = None;
    }
    let mut board = opened(record);
    bury(&mut board, "predict.0.0");
    assert!(!board.wants_evaluation(), "the large scene is to be evaluated");
    for index in 1..=4 {
        finished(&mut board, &format!("predict.0.{index}"));
    }
    for text in ["assemble.0.3", "eval.0.3"] {
        assert!(!board.wants_evaluation());
        finished(&mut board, text);
    }
    assert!(board.wants_evaluation());
}

fn step(name: &str, each: StepFor, inputs: Vec<StepInput>) -> StepPlan {
    let command = StepCommand { command: Vec::new(), outputs: Vec::new(), files: Vec::new() };
    StepPlan { name: name.into(), each, inputs, command }
}

#[test]
fn steps_find_the_maps_of_scenes_that_share_an_item() {
    let mut record = shared();
    record.steps = vec![
        step("one", StepFor::Scene, vec![StepInput::Prediction]),
        step("part", StepFor::Item, vec![StepInput::Prediction]),
        step("all", StepFor::Run, vec![StepInput::Prediction]),
    ];
    let mut board = opened(record);
    bury(&mut board, "assemble.0.1");
    finished(&mut board, "predict.0.0");
    // Of scenes a and c; `part` counts rectangles: a, b, c, and four of the large scene.
    let steps = ["eval.0.4", "step.0.0", "step.0.1", "step.0.6", "step.0.7"];
    assert_eq!(taken(&mut board), steps);
    let (item, inputs) = board.item(place("step.0.0")).map(|publish| (publish.item, publish.inputs)).unwrap();
    let (digest, inputs) = inputs.unwrap();
    assert_eq!(digest, Digest::of(&inputs));
    let inputs = String::from_utf8(inputs).unwrap();
    assert!(inputs.contains("predict.0.0"), "what makes it again is the shared item: {inputs}");
    assert_eq!(item.work.scene().unwrap().as_str(), "a");
    for index in 1..=4 {
        finished(&mut board, &format!("predict.0.{index}"));
    }
    finished(&mut board, "assemble.0.3");
    let taken = taken(&mut board);
    assert!(taken.contains(&"step.1.2".to_owned()), "the run's: {taken:?}");
    let inputs = String::from_utf8(board.item(place("step.1.2")).unwrap().inputs.unwrap().1).unwrap();
    assert!(inputs.contains("/a.tif") && inputs.contains("/c.tif") && inputs.contains("/large.tif"));
    assert!(!inputs.contains("/b.tif"), "{inputs}");
}

#[test]
fn a_step_for_the_run_gathers_from_each_rectangle_whichever_item_it_is_in() {
    let mut record = shared();
    let of_part = StepInput::Output { step: 0, name: "x".into() };
    record.steps = vec![
        step("part", StepFor::Item, vec![StepInput::Prediction]),
        step("all", StepFor::Run, vec![of_part]),
    ];
    let mut board = opened(record);
    bury(&mut board, "assemble.0.1");
    finished(&mut board, "predict.0.0");
    assert_eq!(taken(&mut board), ["eval.0.4", "step.0.0", "step.0.4"]);
    for index in 1..=4 {
        finished(&mut board, &format!("predict.0.{index}"));
    }
    assert_eq!(taken(&mut board), ["assemble.0.3"]);
    finished(&mut board, "assemble.0.3");
    assert_eq!(taken(&mut board), ["eval.0.3", "step.0.6", "step.0.8", "step.0.10", "step.0.12"]);
    for index in [0, 4, 6, 8, 10] {
        finished(&mut board, &format!("step.0.{index}"));
    }
    assert_eq!(taken(&mut board), [""; 0], "one is out");
    finished(&mut board, "step.0.12");
    assert_eq!(taken(&mut board), ["step.1.1"], "the scene that failed is not waited for");
}
