//! Runs that train, and measure before they do.

use std::time::Instant;

use swath_backends::ledger::Event;
use swath_proto::{
    chips::{ChipEncoding, KeepSpec, SlidingSpec},
    ids::Digest,
    item::{Precision, Stage, Weights},
    learn::{ChipSet, ChipWindows, LearnPlan, LearnScene, TrainInputs},
    outcome::FailureClass,
    pipeline::StepFor,
    run::{RunRecord, ScalePlan, ScaleStatistics},
    scene::SurveyedScene,
    steps::{Given, GivenFiles, StepCommand, StepInput, StepInputs, StepPlan},
    train::Start,
};

use super::{failure, files, finished, header, place, record, taken};
use crate::board::Board;

/// One scene to learn from with five windows in three items, one to validate with, one to predict.
fn learning() -> RunRecord {
    let scene = |id: &str, set| LearnScene { files: files(id, true), set };
    let windows: SlidingSpec = serde_json::from_str(r#"{"size":{"width":200,"height":1000}}"#).unwrap();
    let mut record = record();
    let train = r#"{"architecture":"tiny","classes":2}"#;
    record.learn = Some(LearnPlan {
        scenes: vec![scene("a", ChipSet::Train), scene("b", ChipSet::Validation)],
        windows: ChipWindows::Sliding(windows),
        keep: KeepSpec::default(),
        encoding: ChipEncoding::default(),
        windows_per_shard: 2,
        train: serde_json::from_str(train).unwrap(),
    });
    record.stages = vec![
        Stage::Survey,
        Stage::Chip,
        Stage::Train,
        Stage::Predict,
        Stage::Assemble,
        Stage::Eval,
        Stage::Bundle,
    ];
    record.predict.model.weights = Weights::Trained;
    record.predict.class = None;
    record.scenes.truncate(1);
    record
}

/// Begun again with its weights, before anything was probed.
#[test]
fn a_probe_that_tries_8_bits_waits_for_all_chips_and_stays_the_same_when_it_is_pinned() {
    let mut record = learning();
    record.predict.model.weights = Weights::Seed(1);
    record.predict.wants_int8 = true;
    let mut board = Board::new(record);
    board.found([place("train.0.0")]);
    assert_eq!(taken(&mut board), ["survey.0.0", "survey.1.0", "survey.2.0"], "no probe without chips");
    for text in ["survey.0.0", "survey.1.0", "survey.2.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("a", 1000)]);
    board.open(1, vec![header("b", 200)]);
    assert_eq!(taken(&mut board), ["chip.0.0", "chip.0.1", "chip.0.2", "chip.1.0"]);
    for text in ["chip.0.0", "chip.0.1", "chip.0.2"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), [""; 0], "one chip item is out");
    finished(&mut board, "chip.1.0");
    assert_eq!(taken(&mut board), ["probe.0.0"]);
    let probe = board.item(place("probe.0.0")).unwrap();
    let inputs: TrainInputs = serde_json::from_slice(&probe.inputs.unwrap().1).unwrap();
    assert_eq!((inputs.train.len(), inputs.validation.len()), (3, 1));
    finished(&mut board, "probe.0.0");
    assert!(board.probe_is_news());
    let mut record = board.record.clone();
    record.predict.class = super::record().predict.class;
    record.predict.model.precision = Precision::Int8(Digest::of(b"ranges"));
    board.pin(record);
    assert!(!board.probe_is_news());
    assert_eq!(board.item(place("probe.0.0")).unwrap().item.id, probe.item.id);
}

#[test]
fn a_run_that_trains_predicts_with_what_it_has_learnt() {
    let mut board = Board::new(learning());
    assert_eq!(taken(&mut board), ["survey.0.0", "survey.1.0", "survey.2.0"], "no probe without weights");
    for text in ["survey.0.0", "survey.1.0", "survey.2.0"] {
        finished(&mut board, text);
    }
    assert_eq!(board.to_open(), [0, 1], "what is predicted waits for the class");
    board.open(0, vec![header("a", 1000)]);
    assert_eq!(taken(&mut board), ["chip.0.0", "chip.0.1", "chip.0.2"]);
    for text in ["chip.0.0", "chip.0.1", "chip.0.2"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), [""; 0], "the validation scene is not cut yet");
    board.open(1, vec![header("b", 200)]);
    assert_eq!(taken(&mut board), ["chip.1.0"]);
    let failure = failure(FailureClass::Data);
    board.apply(Event::Buried { place: place("chip.1.0"), attempts: 1, failure }, Instant::now());
    assert_eq!(taken(&mut board), ["train.0.0"], "a chip item that fails does not stop the training");
    finished(&mut board, "train.0.0");
    assert!(board.weights_are_news() && !board.is_at_rest());
    let mut record = board.record.clone();
    record.predict.model.weights = Weights::Seed(1);
    board.pin(record);
    assert_eq!(taken(&mut board), ["probe.0.0"]);
    finished(&mut board, "probe.0.0");
    assert!(board.probe_is_news() && board.to_open().is_empty());
    let class = super::record().predict.class;
    let mut record = board.record.clone();
    record.predict.class = class;
    board.pin(record);
    assert_eq!(board.to_open(), [2]);
    board.open(2, vec![header("large", 300)]);
    for text in ["predict.2.0", "assemble.2.0", "eval.2.0"] {
        assert_eq!(taken(&mut board), [text]);
        assert!(!board.wants_evaluation());
        finished(&mut board, text);
    }
    assert!(board.wants_evaluation());
    assert_eq!(taken(&mut board), [""; 0], "the bundle waits for the evaluation");
    board.evaluated(Some(Digest::of(b"eval")));
    assert_eq!(taken(&mut board), ["bundle.0.0"]);
    finished(&mut board, "bundle.0.0");
    assert!(board.is_at_rest());
}

#[test]
fn a_training_that_begins_with_its_first_chips_is_told_of_all_that_may_come() {
    let mut record = learning();
    // Whatever else is shuffled, chips come in their order.
    record.shuffle = Some(3);
    record.learn.as_mut().unwrap().train.start = Start::WithChips;
    let mut board = Board::new(record);
    taken(&mut board);
    for text in ["survey.0.0", "survey.1.0", "survey.2.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("a", 1000)]);
    assert_eq!(taken(&mut board), ["chip.0.0", "chip.0.1", "chip.0.2"]);
    finished(&mut board, "chip.0.0");
    assert_eq!(taken(&mut board), [""; 0], "what the validation scene will give is not planned yet");
    board.open(1, vec![header("b", 200)]);
    assert_eq!(taken(&mut board), ["train.0.0", "chip.1.0"]);
    let told = |board: &Board| {
        let train = board.item(place("train.0.0")).unwrap();
        let inputs: TrainInputs = serde_json::from_slice(&train.inputs.unwrap().1).unwrap();
        (train.item.id, inputs.train.len(), inputs.validation.len())
    };
    let first = told(&board);
    assert_eq!((first.1, first.2), (3, 1));
    finished(&mut board, "chip.0.1");
    assert_eq!(told(&board), first, "it is the same training whenever it begins");
    let (now, train) = (Instant::now(), place("train.0.0"));
    board.apply(Event::Released { place: train, failures: 0, failure: None }, now);
    finished(&mut board, "chip.0.2");
    assert_eq!(taken(&mut board), [""; 0], "who has come back leaves room to those who cut chips");
    let failure = failure(FailureClass::Data);
    board.apply(Event::Buried { place: place("chip.1.0"), attempts: 1, failure }, now);
    assert_eq!(taken(&mut board), ["train.0.0"], "nothing more will come");
    let last = told(&board);
    assert_eq!((last.1, last.2), (3, 0));
    assert_ne!(last.0, first.0, "without what is set aside it is another training");
}

#[test]
fn a_training_does_not_wait_for_a_lot_that_can_not_be_surveyed() {
    for start in [Start::AfterChips, Start::WithChips] {
        let mut record = learning();
        record.learn.as_mut().unwrap().train.start = start;
        let mut board = Board::new(record);
        taken(&mut board);
        finished(&mut board, "survey.0.0");
        board.open(0, vec![header("a", 1000)]);
        assert_eq!(taken(&mut board), ["chip.0.0", "chip.0.1", "chip.0.2"]);
        for text in ["chip.0.0", "chip.0.1", "chip.0.2"] {
            finished(&mut board, text);
        }
        assert_eq!(taken(&mut board), [""; 0], "another lot may have chips");
        let failure = failure(FailureClass::Data);
        board.apply(Event::Buried { place: place("survey.1.0"), attempts: 1, failure }, Instant::now());
        assert_eq!(taken(&mut board), ["train.0.0"], "it has none");
    }
}

#[test]
fn a_step_for_the_run_is_given_the_chips_once_they_are_cut_so_far_as_they_can_be() {
    let mut record = learning();
    record.stages = vec![Stage::Survey, Stage::Chip];
    let command =
        StepCommand { command: vec!["true".into()], outputs: vec!["out".into()], files: Vec::new() };
    let inputs = vec![StepInput::Chips];
    record.steps = vec![StepPlan { name: "teach".into(), each: StepFor::Run, inputs, command }];
    let mut board = Board::new(record);
    assert_eq!(taken(&mut board), ["survey.0.0", "survey.1.0", "survey.2.0"]);
    for text in ["survey.0.0", "survey.1.0", "survey.2.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("a", 1000)]);
    board.open(1, vec![header("b", 200)]);
    assert_eq!(taken(&mut board), ["chip.0.0", "chip.0.1", "chip.0.2", "chip.1.0"]);
    for text in ["chip.0.0", "chip.0.1", "chip.1.0"] {
        finished(&mut board, text);
    }
    assert_eq!(taken(&mut board), [""; 0], "one chip item is out");
    let failure = failure(FailureClass::Data);
    board.apply(Event::Buried { place: place("chip.0.2"), attempts: 1, failure }, Instant::now());
    assert_eq!(taken(&mut board), ["step.3.0"]);
    let step = board.item(place("step.3.0")).unwrap();
    let inputs: StepInputs = serde_json::from_slice(&step.inputs.unwrap().1).unwrap();
    let [Given { name, what: GivenFiles::Chips(chips) }] = inputs.given.as_slice() else {
        panic!("{:?}", inputs.given)
    };
    assert_eq!((name.as_str(), chips.train.len(), chips.validation.len()), ("chips", 2, 1));
}

#[test]
fn nothing_is_scaled_before_all_that_is_trained_on_is_measured() {
    let mut learning = learning();
    learning.stages.push(Stage::Analyze);
    learning.scale = ScalePlan::Statistics;
    let mut board = Board::new(learning);
    taken(&mut board);
    for text in ["survey.0.0", "survey.1.0", "survey.2.0"] {
        finished(&mut board, text);
    }
    board.open(0, vec![header("a", 9000)]);
    assert!(!board.wants_statistics());
    board.open(1, vec![header("b", 200)]);
    assert_eq!(taken(&mut board), ["analyze.0.0", "analyze.0.1", "analyze.0.2", "analyze.0.3"]);
    for text in ["analyze.0.0", "analyze.0.1", "analyze.0.2", "analyze.0.3"] {
        assert!(!board.wants_statistics() && !board.is_at_rest());
        finished(&mut board, text);
    }
    assert!(board.wants_statistics() && !board.is_at_rest());
    assert_eq!(board.measured().len(), 4);
    let mut record = board.record.clone();
    record.statistics = Some(ScaleStatistics { means: vec![1.0; 3], stds: vec![2.0; 3] });
    board.pin(record);
    assert!(!board.wants_statistics());
    let taken = taken(&mut board);
    assert_eq!(taken.first().unwrap(), "chip.0.0");
    let chip = board.item(place("chip.1.0")).unwrap();
    assert!(serde_json::to_string(&chip.item.work).unwrap().contains(r#""by":"stats""#));
}

#[test]
fn a_run_without_a_chip_comes_to_a_dead_end_and_says_so() {
    let mut board = Board::new(learning());
    taken(&mut board);
    for text in ["survey.0.0", "survey.1.0", "survey.2.0"] {
        finished(&mut board, text);
    }
    assert_eq!(board.dead_end(), None);
    for lot in [0, 1] {
        let unreadable = SurveyedScene::Unreadable { id: "a".parse().unwrap(), message: "torn".into() };
        board.open(lot, vec![unreadable]);
    }
    assert!(board.dead_end().is_some_and(|why| why.contains("no chip")));
}
