use super::*;
use crate::{feed::LANES, sweep};
use std::collections::HashSet;
use swath_backends::ledger::Event;
use swath_proto::{
    geometry::{SizePx, WindowPx},
    ids::ItemId,
    item::{Architecture, ModelRef, Weights, WindowShape},
    numeric::NumericClass,
    outcome::{FailureClass, Report},
    pipeline::StepFor,
    run::{PredictPlan, ScalePlan, ScaleStatistics},
    scene::{FileRef, SceneFiles, SceneHeader},
    source::{GeoJsonLabels, LabelSpec, SourceSpec},
    steps::{StepCommand, StepInput, StepPlan},
};

pub(super) fn file(uri: &str) -> FileRef {
    FileRef { uri: uri.into(), tag: "t".into() }
}

/// Two scenes in a lot each: 2 x 2 items with labels, and 1 item without.
pub(super) fn files(id: &str, has_labels: bool) -> SceneFiles {
    SceneFiles {
        id: id.parse().unwrap(),
        source: SourceSpec::new(vec![file(id)]),
        labels: has_labels.then(|| LabelSpec::GeoJson(GeoJsonLabels::new(file("labels")))),
        aoi: None,
        crop_px: None,
    }
}

pub(super) fn record() -> RunRecord {
    let model =
        ModelRef { architecture: Architecture::Tiny, weights: Weights::Seed(1), bands: 3, classes: 2 };
    let window = WindowShape { core_px: 256, margin_px: 0 };
    let class = NumericClass {
        engine: "test".into(),
        precision: "fp32".into(),
        instruction_set: "none".into(),
        model: model.clone(),
        window,
        batch: 1,
        threads: 1,
        fingerprint: ItemId::of(b""),
    };
    let scene = |id: &str, has_labels: bool| files(id, has_labels);
    RunRecord {
        run: "r".parse().unwrap(),
        created: String::new(),
        program: String::new(),
        pipeline: Digest::of(b""),
        stages: vec![Stage::Survey, Stage::Predict, Stage::Assemble, Stage::Eval],
        scenes: vec![scene("large", true), scene("small", false)],
        lot_scenes: 1,
        classes: Vec::new(),
        null_class: 0,
        predict: PredictPlan {
            model,
            window,
            batch: 1,
            block_px: 256,
            scores: false,
            item_px: Some(512),
            shared_windows: None,
            class: Some(class),
        },
        scale: ScalePlan::Auto,
        statistics: None,
        learn: None,
        vectors: None,
        steps: Vec::new(),
        access: Vec::new(),
        max_failures: 3,
        noops: 0,
        shuffle: None,
    }
}

pub(super) fn header(id: &str, edge_px: u32) -> SurveyedScene {
    SurveyedScene::Readable(SceneHeader {
        id: id.parse().unwrap(),
        source: SourceSpec::new(vec![file(id)]),
        size: SizePx::new(edge_px, edge_px),
        places: vec![WindowPx::new(0, 0, edge_px, edge_px)],
        bands: 3,
        data_type: "Byte".into(),
        block: SizePx::new(256, 256),
        georeference: None,
        aoi: None,
    })
}

pub(super) fn failure(class: FailureClass) -> Failure {
    Failure { class, message: "x".into(), scene: None, rect: None, worker: "w".parse().unwrap() }
}

pub(super) fn place(text: &str) -> Place {
    text.parse().unwrap()
}

pub(super) fn finished(board: &mut Board, text: &str) {
    let event = Event::Finished { place: place(text), report: Report::default() };
    board.apply(event, Instant::now());
}

pub(super) fn taken(board: &mut Board) -> Vec<String> {
    taken_at(board, Instant::now())
}

pub(super) fn taken_at(board: &mut Board, now: Instant) -> Vec<String> {
    let lanes = LANES.into_iter().flat_map(|lane| board.take(lane, 100, now));
    lanes.map(|publish| publish.item.place.to_string()).collect()
}

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
    let cursor = swath_backends::ledger::Cursor(String::new());
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

/// One scene to learn from with five windows in three items, one to validate with, one to predict.
fn learning() -> RunRecord {
    use swath_proto::{
        chips::{KeepSpec, SlidingSpec},
        learn::{ChipSet, ChipWindows, LearnPlan, LearnScene},
    };
    let scene = |id: &str, set| LearnScene { files: files(id, true), set };
    let windows: SlidingSpec = serde_json::from_str(r#"{"size":{"width":200,"height":1000}}"#).unwrap();
    let mut record = record();
    let train = r#"{"architecture":"tiny","classes":2}"#;
    record.learn = Some(LearnPlan {
        scenes: vec![scene("a", ChipSet::Train), scene("b", ChipSet::Validation)],
        windows: ChipWindows::Sliding(windows),
        keep: KeepSpec::default(),
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
    let class = self::record().predict.class;
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
    let cursor = swath_backends::ledger::Cursor(String::new());
    let done = [((Stage::Noop, 0), bits)].into();
    board.load(&Snapshot { known: true, done, buried: Vec::new(), cursor });
    assert_eq!(board.counts()[&Stage::Noop], Count { items: 10_000_000, done: 9_999_999 });
    assert_eq!(taken(&mut board), ["noop.0.9999999"]);
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
