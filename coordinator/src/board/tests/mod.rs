//! The board, told of what happens as the ledger would tell it: a small run, and the words to speak of it.

mod learning;
mod many;
mod merging;
mod scenes;
mod steps;

use std::time::Instant;

use swath_backends::ledger::Event;
use swath_proto::{
    geometry::{SizePx, WindowPx},
    ids::{Digest, ItemId},
    item::{
        Architecture, Compression, DeviceName, EngineName, Mixing, ModelRef, Place, Precision, Stage,
        Weights, WindowShape,
    },
    numeric::NumericClass,
    outcome::{Failure, FailureClass, Report},
    run::{PredictPlan, RunRecord, ScalePlan},
    scene::{FileRef, SceneFiles, SceneHeader, SurveyedScene},
    source::{GeoJsonLabels, LabelSpec, SourceSpec},
};

use super::Board;
use crate::feed::LANES;

fn file(uri: &str) -> FileRef {
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
        crop_labels: None,
    }
}

pub(crate) fn record() -> RunRecord {
    let model = ModelRef {
        architecture: Architecture::Tiny,
        weights: Weights::Seed(1),
        bands: 3,
        classes: 2,
        seen_px: None,
        engine: EngineName::Libtorch,
        precision: Precision::Fp32,
        device: DeviceName::Cpu,
        others: Vec::new(),
    };
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
            compression: Compression::default(),
            nodata: None,
            scores: false,
            confidence: false,
            mixing: Mixing::default(),
            item_px: Some(512),
            shared_windows: None,
            class: Some(class),
            wants_int8: false,
            int8: None,
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

fn taken_at(board: &mut Board, now: Instant) -> Vec<String> {
    let lanes = LANES.into_iter().flat_map(|lane| board.take(lane, 100, now));
    lanes.map(|publish| publish.item.place.to_string()).collect()
}
