use swath_proto::{
    envelope,
    geometry::{SizePx, WindowPx},
    ids::{Digest, ItemId},
    item::{
        Architecture, Blend, Compression, DeviceName, EngineName, Mixing, ModelRef, Precision, Views,
        Weights, WindowShape, Work,
    },
    numeric::NumericClass,
    run::{PredictPlan, ScalePlan},
    scene::{FileRef, Georeference, SceneFiles, SceneHeader, SurveyedScene},
    source::{GeoJsonLabels, LabelSpec, SourceSpec},
};

use super::*;

/// What the challenge with 11,000 test scenes has.
const SCENES: u32 = 11_481;
/// A U-Net on a ResNet-18, on one thread.
const SECONDS_PER_WINDOW: f64 = 0.127;

fn file(id: &str, ending: &str) -> FileRef {
    let folder = "s3://drivendata-competition-building-segmentation/test_tier_1/a/longer/path/than/most";
    FileRef { uri: format!("{folder}/{id}/{id}.{ending}"), tag: "9b2cf535f27731c974343645a3985328".into() }
}

fn files(id: &str, has_labels: bool) -> SceneFiles {
    SceneFiles {
        id: id.parse().unwrap(),
        source: SourceSpec::new(vec![file(id, "tif")]),
        labels: has_labels.then(|| LabelSpec::GeoJson(GeoJsonLabels::new(file(id, "geojson")))),
        aoi: None,
        crop_px: None,
        crop_labels: None,
    }
}

fn header(files: &SceneFiles, width: u32, height: u32) -> SurveyedScene {
    // As long as the WKT of a projected system is.
    let georeference = Georeference { crs_wkt: "x".repeat(900), crs_from_pixel: [0.1; 6] };
    SurveyedScene::Readable(SceneHeader {
        id: files.id.clone(),
        source: files.source.clone(),
        size: SizePx::new(width, height),
        places: vec![WindowPx::new(0, 0, width, height)],
        bands: 4,
        data_type: "Byte".into(),
        block: SizePx::new(256, 256),
        georeference: Some(georeference),
        aoi: None,
    })
}

/// Of a run whose probe is over.
fn record(scenes: Vec<SceneFiles>, item_px: Option<u32>) -> RunRecord {
    let model = ModelRef {
        architecture: Architecture::UnetResnet18,
        weights: Weights::Seed(1),
        bands: 3,
        classes: 2,
        seen_px: None,
        engine: EngineName::Libtorch,
        precision: Precision::Fp32,
        device: DeviceName::Cpu,
        others: Vec::new(),
    };
    let window = WindowShape { core_px: 256, margin_px: 32 };
    let class = NumericClass {
        engine: "test".into(),
        precision: "fp32".into(),
        instruction_set: "none".into(),
        model: model.clone(),
        window,
        batch: 8,
        threads: 1,
        fingerprint: ItemId::of(b""),
    };
    let shared = item_px.map_or(windows_by_speed(SECONDS_PER_WINDOW), |item_px| windows_of(item_px, 256));
    RunRecord {
        access: Vec::new(),
        run: "challenge-0123abcd".parse().unwrap(),
        created: String::new(),
        program: String::new(),
        pipeline: Digest::of(b""),
        stages: vec![Stage::Survey, Stage::Predict, Stage::Assemble, Stage::Eval],
        scenes,
        lot_scenes: 256,
        classes: Vec::new(),
        null_class: 0,
        predict: PredictPlan {
            model,
            window,
            batch: 8,
            block_px: 256,
            compression: Compression::default(),
            nodata: None,
            scores: true,
            confidence: false,
            mixing: Mixing::default(),
            item_px: Some(item_px.unwrap_or(super::item_px(256, Mixing::default(), SECONDS_PER_WINDOW))),
            shared_windows: Some(shared),
            class: Some(class),
            wants_int8: false,
            int8: None,
        },
        scale: ScalePlan::Given,
        statistics: None,
        learn: None,
        vectors: None,
        steps: Vec::new(),
        max_failures: 3,
        noops: 0,
        shuffle: None,
    }
}

fn lots(record: &RunRecord, size: impl Fn(&SceneFiles) -> (u32, u32)) -> Vec<Lot> {
    let lot = |lot| {
        let surveyed = record.lot(lot).into_iter().map(|files| {
            let (width, height) = size(&files);
            header(&files, width, height)
        });
        Lot::new(record, lot, surveyed.collect())
    };
    (0..record.lots()).map(lot).collect()
}

fn many(has_labels: bool) -> RunRecord {
    record((0..SCENES).map(|number| files(&format!("tile-{number:05}"), has_labels)).collect(), None)
}

#[test]
fn eleven_thousand_scenes_of_a_megapixel_take_a_few_hundred_messages_and_nothing_is_assembled() {
    let record = many(false);
    let lots = lots(&record, |_| (1000, 1000));
    let n_predict: u32 = lots.iter().map(|lot| lot.n_predict(&record)).sum();
    let n_messages = record.lots() + n_predict;
    eprintln!("{SCENES} scenes: {} to survey, {n_predict} to predict", record.lots());
    assert!(n_messages <= 500, "{n_messages}");
    let mut seen = 0;
    for lot in &lots {
        assert_eq!(lot.dependents(&record, Stage::Assemble), []);
        envelope::encode(&survey(&record, lot.lot)).unwrap();
        for index in 0..lot.n_predict(&record) {
            let item = predict(&record, lot, index).unwrap();
            envelope::encode(&item).unwrap();
            let Work::PredictScenes(work) = item.work else { panic!("{index} of lot {}", lot.lot) };
            for part in &work.scenes {
                assert_eq!(part.scene.id.as_str(), format!("tile-{seen:05}"));
                assert_eq!(part.ordinal, seen % record.lot_scenes);
                seen += 1;
            }
            let seconds = work.scenes.len() as f64 * 16.0 * SECONDS_PER_WINDOW;
            assert!(seconds <= 120.0, "{seconds}");
        }
    }
    assert_eq!(seen, SCENES);
}

#[test]
fn their_evaluation_is_shared_like_their_prediction() {
    let mut record = many(true);
    record.stages.push(Stage::Vectorize);
    let lots = lots(&record, |_| (1000, 1000));
    let predict: u32 = lots.iter().map(|lot| lot.n_predict(&record)).sum();
    for stage in [Stage::Eval, Stage::Vectorize] {
        let n: usize = lots.iter().map(|lot| lot.dependents(&record, stage).len()).sum();
        assert_eq!(n, predict as usize);
    }
    for lot in &lots {
        let mut seen = 0;
        for place in lot.dependents(&record, Stage::Eval) {
            let item = eval(&record, lot, place.index, |_| true).unwrap();
            assert_eq!(item.place, place);
            envelope::encode(&item).unwrap();
            let Work::EvalScenes(work) = item.work else { panic!("{place}") };
            seen += work.scenes.len();
        }
        assert_eq!(seen, lot.scenes.len());
    }
}

#[test]
fn only_neighbours_that_fit_into_one_item_share() {
    let ids = ["a", "b", "c", "d", "e", "f", "g"];
    let mut record = record(ids.iter().map(|id| files(id, *id != "b")).collect(), Some(1024));
    record.lot_scenes = 100;
    // c is larger than an item of 1024 px, which has 16 windows; each of the others takes a batch of 8.
    let size = |files: &SceneFiles| match files.id.as_str() {
        "c" => (1025, 100),
        "e" | "f" => (512, 1024),
        _ => (300, 200),
    };
    let lot = lots(&record, size).pop().unwrap();
    let groups: Vec<Option<u32>> = lot.scenes.iter().map(|scene| scene.group).collect();
    assert_eq!(groups, [Some(0), Some(0), None, Some(1), Some(1), Some(2), Some(2)]);
    assert_eq!(lot.n_predict(&record), 5);
    let first: Vec<u32> = lot.scenes.iter().map(|scene| scene.first).collect();
    assert_eq!(first, [0, 0, 1, 3, 3, 4, 4]);
    let ids_of = |index| -> Vec<&str> {
        lot.scenes_of_predict(index).iter().map(|scene| scene.header.id.as_str()).collect()
    };
    let wanted: [&[&str]; 6] = [&["a", "b"], &["c"], &["c"], &["d", "e"], &["f", "g"], &[]];
    for (index, wanted) in (0..).zip(wanted) {
        assert_eq!(ids_of(index), wanted, "{index}");
    }
    assert_eq!(lot.n_rects(&record), 8);
    let of_rect = |nth| lot.scene_of_rect(nth).map(|scene| scene.header.id.as_str());
    assert_eq!(
        (0..9).map(of_rect).collect::<Vec<_>>(),
        [Some("a"), Some("b"), Some("c"), Some("c"), Some("d"), Some("e"), Some("f"), Some("g"), None]
    );
    let places =
        |stage| -> Vec<String> { lot.dependents(&record, stage).iter().map(Place::to_string).collect() };
    assert_eq!(places(Stage::Assemble), ["assemble.0.2"]);
    assert_eq!(places(Stage::Eval), ["eval.0.7", "eval.0.2", "eval.0.8", "eval.0.9"]);
}

#[test]
fn a_message_holds_no_more_headers_than_it_can() {
    let record = record((0..256).map(|number| files(&format!("s{number}"), true)).collect(), None);
    let long = |files: &SceneFiles| {
        let SurveyedScene::Readable(mut header) = header(files, 100, 100) else { unreachable!() };
        header.georeference = Some(Georeference { crs_wkt: "y".repeat(20_000), crs_from_pixel: [0.0; 6] });
        SurveyedScene::Readable(header)
    };
    let lot = Lot::new(&record, 0, record.lot(0).iter().map(long).collect());
    assert!(lot.n_predict(&record) > 40, "{}", lot.n_predict(&record));
    for index in 0..lot.n_predict(&record) {
        envelope::encode(&predict(&record, &lot, index).unwrap()).unwrap();
    }
    for place in lot.dependents(&record, Stage::Eval) {
        envelope::encode(&eval(&record, &lot, place.index, |_| true).unwrap()).unwrap();
    }
}

#[test]
fn a_run_that_began_before_scenes_were_shared_goes_on_as_it_began() {
    let mut record = record(vec![files("a", true), files("b", true)], Some(1024));
    record.predict.shared_windows = None;
    let lot = lots(&record, |_| (300, 200)).pop().unwrap();
    assert_eq!(lot.n_predict(&record), 2);
    assert_eq!(lot.dependents(&record, Stage::Assemble).len(), 2);
    // Where files of scenes are not asked for, there are packs.
    record.predict.shared_windows = Some(16);
    record.stages = vec![Stage::Survey, Stage::Predict];
    let lot = lots(&record, |_| (300, 200)).pop().unwrap();
    assert!(matches!(predict(&record, &lot, 1).unwrap().work, Work::Predict(_)));
}

#[test]
fn what_becomes_of_a_scene_is_named_whatever_shares_its_item() {
    let alone = |ids: &[&str], number: usize| {
        let record = record(ids.iter().map(|id| files(id, true)).collect(), None);
        let lot = lots(&record, |_| (300, 200)).pop().unwrap();
        let item = predict(&record, &lot, 0).unwrap();
        let Work::PredictScenes(work) = &item.work else { panic!("it is shared") };
        (item.id, work.alone(&work.scenes[number].scene))
    };
    let (one, other) = (alone(&["a", "b"], 1), alone(&["c", "a", "b"], 2));
    assert_ne!(one.0, other.0);
    assert_eq!(one.1, other.1);
    assert_ne!(one.1, alone(&["a", "b"], 0).1);
}

#[test]
fn an_item_takes_about_a_minute_unless_it_would_grow_too_large() {
    let item_px = |core_px, seconds| super::item_px(core_px, Mixing::default(), seconds);
    assert_eq!(item_px(256, 0.08), 4096);
    assert_eq!(item_px(256, 0.5), 2048); // 64 windows, 32 s; the next size would take 128 s
    assert_eq!(item_px(512, 200.0), 512);
    assert_eq!(item_px(256, 0.0), 4096);
    assert_eq!(item_px(300, 0.08), 4096); // 14 windows across, which overhang
    assert_eq!(item_px(300, 200.0), 512);
}

#[test]
fn an_item_that_looks_more_often_is_smaller() {
    let mixing = |blend, augment| Mixing { blend, augment };
    assert_eq!(item_px(256, mixing(Blend::Crop, Views::D4), 0.08), 2048); // 8 x 64 windows, 41 s
    assert_eq!(item_px(256, mixing(Blend::Hann, Views::None), 0.08), 4096); // 18 x 18 windows, 26 s
    assert_eq!(item_px(256, mixing(Blend::Hann, Views::None), 0.5), 2048); // 10 x 10, 50 s
    assert_eq!(item_px(256, mixing(Blend::Hann, Views::D4), 0.2), 1024); // 8 x 6 x 6, 58 s
}

#[test]
fn what_is_mixed_is_named_otherwise_and_what_is_plain_as_ever() {
    let plain = record(vec![files("a", false)], Some(512));
    let mut lot = lots(&plain, |_| (2000, 2000));
    let lot = lot.pop().unwrap();
    let of = |change: &dyn Fn(&mut PredictPlan)| {
        let mut record = plain.clone();
        change(&mut record.predict);
        (predict(&record, &lot, 3).unwrap(), assemble(&record, &lot, 0).unwrap().0)
    };
    let ids = [
        of(&|_| ()),
        of(&|plan| plan.confidence = true),
        of(&|plan| plan.mixing.blend = Blend::Hann),
        of(&|plan| plan.mixing.augment = Views::Flips),
        of(&|plan| plan.mixing.augment = Views::D4),
    ];
    let ids: std::collections::HashSet<_> = ids.iter().flat_map(|(one, other)| [one.id, other.id]).collect();
    assert_eq!(ids.len(), 10);
    let json = String::from_utf8(envelope::encode(&of(&|_| ()).0).unwrap()).unwrap();
    assert!(!json.contains("mixing") && !json.contains("confidence"), "{json}");
    let json = String::from_utf8(envelope::encode(&of(&|plan| plan.confidence = true).1).unwrap()).unwrap();
    assert!(json.contains("a.confidence.tif"));
}

#[test]
fn an_item_that_blends_names_the_files_that_its_neighbours_windows_see() {
    let mut record = record(vec![files("a", false)], Some(512));
    let two = |surveyed| match surveyed {
        SurveyedScene::Readable(mut header) => {
            header.source.files.push(file("east", "tif"));
            header.places = vec![WindowPx::new(0, 0, 800, 2000), WindowPx::new(800, 0, 1200, 2000)];
            SurveyedScene::Readable(header)
        }
        other => other,
    };
    let of = |record: &RunRecord| {
        let surveyed = record.lot(0).into_iter().map(|files| two(header(&files, 2000, 2000))).collect();
        let Work::Predict(work) = predict(record, &Lot::new(record, 0, surveyed), 0).unwrap().work else {
            panic!("it is small")
        };
        work.scene.source.files.len()
    };
    // Its own windows end at 544, those of its neighbours at 800.
    assert_eq!(of(&record), 1);
    record.predict.mixing.blend = Blend::Hann;
    assert_eq!(of(&record), 1);
    record.predict.window.margin_px = 64;
    assert_eq!(of(&record), 2);
    record.predict.mixing.blend = Blend::Crop;
    assert_eq!(of(&record), 1);
}
