//! Steps of the user's own: each follows its inputs, and those for the run gather.

use std::time::Instant;

use swath_backends::{ledger::Event, queue::Lane};
use swath_proto::{
    item::{DeviceName, Stage},
    outcome::{FailureClass, Report},
    pipeline::StepFor,
    run::RunRecord,
    steps::{StepCommand, StepInput, StepPlan},
};

use super::{failure, finished, header, place, record, taken};
use crate::board::{Board, Publish};

fn step(name: &str, each: StepFor, inputs: Vec<StepInput>) -> StepPlan {
    let command =
        StepCommand { command: vec!["true".into()], outputs: vec!["out".into()], files: Vec::new() };
    StepPlan { name: name.into(), each, inputs, command }
}

fn output(step: u32) -> StepInput {
    StepInput::Output { step, name: "out".into() }
}

/// A step on each image, one on each rectangle's prediction, one behind that, and one that gathers those.
fn with_steps() -> RunRecord {
    let steps = vec![
        step("look", StepFor::Scene, vec![StepInput::Image]),
        step("count", StepFor::Item, vec![StepInput::Prediction]),
        step("twice", StepFor::Item, vec![output(1)]),
        step("gather", StepFor::Run, vec![output(2)]),
    ];
    RunRecord { steps, ..record() }
}

fn settle(board: &mut Board) {
    taken(board);
    for text in ["probe.0.0", "survey.0.0", "survey.1.0"] {
        finished(board, text);
    }
    board.open(0, vec![header("large", 1000)]);
    board.open(1, vec![header("small", 300)]);
}

#[test]
fn what_waits_for_workers_that_take_steps_holds_up_nothing_else() {
    let mut board = Board::new(with_steps());
    settle(&mut board);
    let now = Instant::now();
    let names = |taken: Vec<Publish>| {
        taken.into_iter().map(|publish| publish.item.place.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(board.upcoming(Lane::Steps, now), (2, Some(Stage::Step)));
    assert_eq!(names(board.take(Lane::Steps, 100, now)), ["step.0.0", "step.1.0"]);
    assert_eq!((board.n_out(Lane::Steps), board.n_out(Lane::Cpu)), (2, 0));
    assert_eq!(board.upcoming(Lane::Cpu, now), (5, Some(Stage::Predict)));
    assert_eq!(names(board.take(Lane::Cpu, 2, now)), ["predict.0.0", "predict.0.1"]);
}

#[test]
fn what_is_computed_on_cards_waits_for_workers_that_have_one_and_holds_up_nothing_else() {
    let mut record = record();
    record.predict.model.device = DeviceName::Cuda;
    let mut board = Board::new(record);
    let now = Instant::now();
    let names = |taken: Vec<Publish>| {
        taken.into_iter().map(|publish| publish.item.place.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(board.take(Lane::Gpu, 100, now)), ["probe.0.0"]);
    assert_eq!(names(board.take(Lane::Cpu, 100, now)), ["survey.0.0", "survey.1.0"]);
    settle(&mut board);
    assert_eq!(names(board.take(Lane::Gpu, 1, now)), ["predict.0.0"]);
    assert_eq!((board.n_out(Lane::Gpu), board.n_out(Lane::Cpu)), (1, 0));
}

#[test]
fn steps_follow_rectangle_by_rectangle_and_are_gathered_once_all_are_there() {
    let mut board = Board::new(with_steps());
    settle(&mut board);
    let predict: Vec<String> =
        (0..4).map(|n| format!("predict.0.{n}")).chain(["predict.1.0".into()]).collect();
    let of = |step: u32, n: u32| format!("step.0.{}", step + 4 * n);
    assert_eq!(taken(&mut board).len(), 5 + 2);
    predict.iter().for_each(|text| finished(&mut board, text));
    assert_eq!(taken(&mut board), ["assemble.0.0", "assemble.1.0"]);
    finished(&mut board, "assemble.0.0");
    let counts: Vec<String> = (0..4).map(|n| of(1, n)).collect();
    assert_eq!(taken(&mut board), [vec!["eval.0.0".to_owned()], counts].concat());
    finished(&mut board, &of(1, 2));
    assert_eq!(taken(&mut board), [of(2, 2)], "what waited for it, and nothing else");
    for n in [0, 1, 3] {
        finished(&mut board, &of(1, n));
    }
    taken(&mut board);
    (0..4).for_each(|n| finished(&mut board, &of(2, n)));
    assert_eq!(taken(&mut board), [""; 0], "the other scene's are missing");
    finished(&mut board, "assemble.1.0");
    assert_eq!(taken(&mut board), ["step.1.1"]);
    finished(&mut board, "step.1.1");
    assert_eq!(taken(&mut board), ["step.1.2"]);
    let failure = failure(FailureClass::Fault);
    board.apply(Event::Buried { place: place("step.1.2"), attempts: 3, failure }, Instant::now());
    assert_eq!(taken(&mut board), ["step.2.3"], "what was set aside is not waited for");
    finished(&mut board, "step.2.3");
    board.apply(Event::Reset { place: place("step.1.2") }, Instant::now());
    board.apply(Event::Reset { place: place("step.2.3") }, Instant::now());
    assert_eq!(taken(&mut board), ["step.1.2"], "what gathers it waits again");
    finished(&mut board, "step.1.2");
    assert_eq!(taken(&mut board), ["step.2.3"]);
}

#[test]
fn tens_of_thousands_of_steps_are_told_of_without_walking_over_all_of_them_each_time() {
    // 50 x 50 items with nine steps each, gathered: a walk an event would be half a billion looks.
    let chain = (0..9).map(|n| match n {
        0 => step("s0", StepFor::Item, vec![StepInput::Prediction]),
        n => step(&format!("s{n}"), StepFor::Item, vec![output(n - 1)]),
    });
    let gather = step("gather", StepFor::Run, (0..9).map(output).collect());
    let steps: Vec<StepPlan> = chain.chain([gather]).collect();
    let mut record = RunRecord { steps, ..record() };
    record.scenes.truncate(1);
    let mut board = Board::new(record);
    taken(&mut board);
    finished(&mut board, "probe.0.0");
    finished(&mut board, "survey.0.0");
    board.open(0, vec![header("large", 25_600)]);
    for index in 0..2500 {
        finished(&mut board, &format!("predict.0.{index}"));
    }
    finished(&mut board, "assemble.0.0");
    let now = Instant::now();
    let mut n_steps = 0;
    loop {
        let batch = board.take(Lane::Steps, 1000, now);
        let Some(last) = batch.last().map(|publish| publish.item.place) else { break };
        n_steps += batch.len();
        // Last ones first: the order in which they end is not the order in which they stand.
        for publish in batch.into_iter().rev() {
            board.apply(Event::Finished { place: publish.item.place, report: Report::default() }, now);
        }
        assert!(last.lot == 0 || n_steps == 22_501, "gathered after {n_steps}");
    }
    assert_eq!(n_steps, 22_501);
}
