//! Which items a run has: a pure function of its record and of what the surveys found. Nothing is
//! listed; every item is computed from its place when it is needed.

mod lot;
mod scenes;
mod share;

pub use self::{
    lot::{Group, LearntScene, Lot, MeasuredScene, PlannedScene},
    share::{windows_by_speed, windows_of},
};

use swath_proto::{
    ids::Digest,
    item::{
        Analyze, Assemble, AssembleInputs, AssemblePart, Bundle, Calibrate, Chip, Eval, Item, Merge, Mixing,
        ModelRef, Noop, Place, Precision, Predict, Probe, Stage, Survey, Train, Vectorize, Work,
    },
    keys,
    learn::{ChipItem, ChipSet, TrainInputs},
    run::RunRecord,
    vectors::{MergeInputs, MergeScene},
};

/// The probe, and where it is to try 8 bits, the document that it names as its inputs: the chip items of these places.
pub fn probe<'a>(
    record: &RunRecord,
    lots: impl Iterator<Item = &'a Lot>,
    is_done: impl Fn(Place) -> bool,
) -> (Item, Option<Vec<u8>>) {
    let plan = &record.predict;
    let learn = record.learn.as_ref().filter(|_| plan.wants_int8);
    let chips =
        learn.and_then(|learn| Some((learn, serde_json::to_vec(&chips(record, lots, is_done)).ok()?)));
    let int8 = chips
        .as_ref()
        .map(|(learn, inputs)| Calibrate { spec: learn.train.clone(), inputs: Digest::of(inputs) });
    let work = Work::Probe(Probe {
        run: record.run.clone(),
        // As it was before anything was found.
        model: match plan.wants_int8 {
            true => ModelRef { precision: Precision::Fp32, ..plan.model.clone() },
            false => plan.model.clone(),
        },
        window: plan.window,
        batch: plan.batch,
        int8,
    });
    (item(record, Place::new(Stage::Probe, 0, 0), work), chips.map(|(_, inputs)| inputs))
}

pub fn survey(record: &RunRecord, lot: u32) -> Item {
    let work = Work::Survey(Survey { scenes: record.lot(lot), classes: record.class_list() });
    item(record, Place::new(Stage::Survey, lot, 0), work)
}

pub fn analyze(record: &RunRecord, lot: &Lot, index: u32) -> Option<Item> {
    let after = lot.measured.partition_point(|scene| scene.first <= index);
    let scene = lot.measured.get(after.checked_sub(1)?)?;
    let rect = scene.grid.rect(index - scene.first)?;
    let work = Work::Analyze(Analyze { scene: scene.header.around(rect.into()), rect });
    Some(item(record, Place::new(Stage::Analyze, lot.lot, index), work))
}

/// None before the run's plan to learn, before its scaling is known, or where the place is none of the lot's.
pub fn chip(record: &RunRecord, lot: &Lot, index: u32) -> Option<Item> {
    let learn = record.learn.as_ref()?;
    let after = lot.learnt.partition_point(|scene| scene.first <= index);
    let scene = lot.learnt.get(after.checked_sub(1)?).filter(|scene| index - scene.first < scene.n_items)?;
    let per_item = u64::from(learn.windows_per_shard);
    let from = u64::from(index - scene.first) * per_item;
    let work = Work::Chip(Chip {
        scene: record.scaled(&scene.header)?,
        labels: scene.files.labels.clone()?,
        windows: learn.windows.clone(),
        from,
        to: (from + per_item).min(scene.n_windows),
        keep: learn.keep.clone(),
        encoding: learn.encoding,
        bands: learn.train.bands,
        classes: record.classes.clone(),
        null_class: record.null_class,
    });
    Some(item(record, Place::new(Stage::Chip, lot.lot, index), work))
}

/// The train item, and the document that it names as its inputs: the chip items of these places.
pub fn train<'a>(
    record: &RunRecord,
    lots: impl Iterator<Item = &'a Lot>,
    is_learnt_from: impl Fn(Place) -> bool,
) -> Option<(Item, Vec<u8>)> {
    let learn = record.learn.as_ref()?;
    let inputs = serde_json::to_vec(&chips(record, lots, is_learnt_from)).ok()?;
    let work = Work::Train(Train { spec: learn.train.clone(), inputs: Digest::of(&inputs) });
    Some((item(record, Place::new(Stage::Train, 0, 0), work), inputs))
}

/// The chip items that are learnt from, in their order.
pub fn chips<'a>(
    record: &RunRecord,
    lots: impl Iterator<Item = &'a Lot>,
    is_learnt_from: impl Fn(Place) -> bool,
) -> TrainInputs {
    let mut inputs = TrainInputs::default();
    for lot in lots {
        for scene in &lot.learnt {
            let into = match scene.set {
                ChipSet::Train => &mut inputs.train,
                ChipSet::Validation => &mut inputs.validation,
            };
            let places = (scene.first..scene.first + scene.n_items)
                .map(|index| Place::new(Stage::Chip, lot.lot, index));
            let items = places
                .filter(|place| is_learnt_from(*place))
                .filter_map(|place| chip(record, lot, place.index));
            into.extend(items.map(|item| ChipItem { place: item.place, id: item.id }));
        }
    }
    inputs
}

pub fn noop(record: &RunRecord, index: u32) -> Item {
    let place = Place::new(Stage::Noop, 0, index);
    item(record, place, Work::Noop(Noop { nonce: u64::from(index) }))
}

/// None before the run's numeric class and scaling are pinned.
pub fn predict(record: &RunRecord, lot: &Lot, index: u32) -> Option<Item> {
    let [scene, ..] = lot.scenes_of_predict(index) else { return None };
    if let Some(group) = scene.group.and_then(|number| lot.group(number)) {
        return Some(item(record, group.predict, scenes::predict(record, group)?));
    }
    let plan = &record.predict;
    let class = plan.class.as_ref()?;
    let rect = scene.grid.rect(index - scene.first)?;
    let header = scene.header.around(plan.mixing.reach(plan.window, rect, scene.header.size));
    let work = Work::Predict(Predict {
        scene: record.scaled(&header)?,
        rect,
        item_px: plan.item_px?,
        model: plan.model.clone(),
        window: plan.window,
        batch: plan.batch,
        threads: class.threads,
        class: class.id(),
        scores: plan.scores,
        confidence: plan.confidence,
        mixing: plan.mixing,
        block_px: plan.block_px,
        compression: plan.compression,
        null_class: record.null_class,
        nodata: plan.nodata,
    });
    Some(item(record, Place::new(Stage::Predict, lot.lot, index), work))
}

/// The assemble item of a scene, and the document that it names as its inputs.
pub fn assemble(record: &RunRecord, lot: &Lot, ordinal: u32) -> Option<(Item, Vec<u8>)> {
    let scene = lot.scene(ordinal).filter(|scene| scene.group.is_none())?;
    let parts = scene.predict_places(lot.lot).map(|place| {
        let item = predict(record, lot, place.index)?;
        Some(AssemblePart { place, id: item.id, rect: item.work.rect()? })
    });
    let inputs = AssembleInputs {
        scene: scene.header.clone(),
        size: scene.header.size,
        block_px: record.predict.block_px,
        compression: record.predict.compression,
        item_px: record.predict.item_px?,
        classes: record.classes.clone(),
        nodata: record.predict.nodata,
        parts: parts.collect::<Option<_>>()?,
    };
    let inputs = serde_json::to_vec(&inputs).expect("inputs have only string keys");
    let id = &scene.header.id;
    let work = Work::Assemble(Assemble {
        scene: id.clone(),
        inputs: Digest::of(&inputs),
        output: keys::prediction(&record.run, id),
        scores_output: record.predict.scores.then(|| keys::scores(&record.run, id)),
        confidence_output: record.predict.confidence.then(|| keys::confidence(&record.run, id)),
    });
    Some((item(record, Place::new(Stage::Assemble, lot.lot, ordinal), work), inputs))
}

/// `is_left` says of a scene's own place in the stage assemble whether it is to be worked on: of small scenes
/// that share an item, some may have failed.
pub fn eval(record: &RunRecord, lot: &Lot, index: u32, is_left: impl Fn(Place) -> bool) -> Option<Item> {
    if let Some(group) = lot.group_at(index) {
        return Some(item(record, group.eval, scenes::eval(record, group, is_left)?));
    }
    let scene = lot.scene(index).filter(|scene| scene.group.is_none())?;
    let work = Work::Eval(Eval {
        scene: scene.header.clone(),
        labels: scene.files.labels.clone()?,
        prediction: keys::prediction(&record.run, &scene.header.id),
        producer: Place::new(Stage::Assemble, lot.lot, index),
        classes: record.classes.clone(),
        null_class: record.null_class,
        nodata: record.predict.nodata,
    });
    Some(item(record, Place::new(Stage::Eval, lot.lot, index), work))
}

/// `is_left` as for [`eval`].
pub fn vectorize(record: &RunRecord, lot: &Lot, index: u32, is_left: impl Fn(Place) -> bool) -> Option<Item> {
    if let Some(group) = lot.group_at(index) {
        return Some(item(record, group.vectorize, scenes::vectorize(record, group, is_left)?));
    }
    let scene = lot.scene(index).filter(|scene| scene.group.is_none())?;
    let id = &scene.header.id;
    let work = Work::Vectorize(Vectorize {
        scene: scene.header.clone(),
        prediction: keys::prediction(&record.run, id),
        scores: record.predict.scores.then(|| keys::scores(&record.run, id)),
        producer: Place::new(Stage::Assemble, lot.lot, index),
        classes: record.classes.clone(),
        plan: record.vectors.clone()?,
        output: keys::vectors(&record.run, id),
    });
    Some(item(record, Place::new(Stage::Vectorize, lot.lot, index), work))
}

/// The item that traces all scenes together, and the document that it names as its inputs: the scenes whose maps are
/// made. `is_made` says so of a scene's own place in the stage assemble.
pub fn merge<'a>(
    record: &RunRecord,
    lots: impl Iterator<Item = &'a Lot>,
    is_made: impl Fn(Place) -> bool,
) -> Option<(Item, Vec<u8>)> {
    let mut inputs = MergeInputs::default();
    for lot in lots {
        let made = |scene: &&PlannedScene| is_made(Place::new(Stage::Assemble, lot.lot, scene.ordinal));
        inputs.scenes.extend(lot.scenes.iter().filter(made).map(|scene| MergeScene {
            id: scene.header.id.clone(),
            size: scene.header.size,
            georeference: scene.header.georeference.clone(),
            prediction: keys::prediction(&record.run, &scene.header.id),
            scores: record.predict.scores.then(|| keys::scores(&record.run, &scene.header.id)),
            producer: lot.maker(Stage::Assemble, scene),
        }));
    }
    let inputs = serde_json::to_vec(&inputs).ok()?;
    let work = Work::Merge(Merge {
        inputs: Digest::of(&inputs),
        classes: record.classes.clone(),
        plan: record.vectors.clone()?,
        nodata: record.predict.nodata,
        output: keys::merged(&record.run),
    });
    Some((item(record, Place::new(Stage::Merge, 0, 0), work), inputs))
}

/// `eval`: what the run's `eval.json` holds, where it has one.
pub fn bundle(record: &RunRecord, eval: Option<Digest>) -> Item {
    let plan = &record.predict;
    let source = record.learnt().iter().map(|scene| &scene.files).chain(&record.scenes).next();
    let work = Work::Bundle(Bundle {
        pixels: source.map(|scene| record.reading(&scene.source)).unwrap_or_default(),
        model: plan.model.clone(),
        window: plan.window,
        batch: plan.batch,
        classes: record.classes.clone(),
        null_class: record.null_class,
        eval: eval.map(|digest| (keys::eval(&record.run), digest)),
        int8: plan.int8.clone(),
        output: keys::bundle(&record.run),
    });
    item(record, Place::new(Stage::Bundle, 0, 0), work)
}

fn item(record: &RunRecord, place: Place, work: Work) -> Item {
    Item::new(record.run.clone(), place, record.max_failures, work).with_access(&record.access)
}

/// The edge of an item, from the measured speed: the power of two, from the core on, that comes
/// nearest to a minute of work. The output does not depend on it; the overhead and the loss at a
/// worker's death do.
///
/// `mixing`: how many looks an item takes, each of which takes so long.
pub fn item_px(core_px: u32, mixing: Mixing, seconds_per_window: f64) -> u32 {
    const AIM_SECONDS: f64 = 60.0;
    const LARGEST_PX: u32 = 4096;
    let looks = |edge_px: u32| mixing.looks(edge_px.div_ceil(core_px.max(1)));
    let seconds = |edge_px: u32| looks(edge_px) as f64 * seconds_per_window.max(1e-6);
    let mut edge_px = core_px.next_power_of_two();
    while edge_px * 2 <= LARGEST_PX && seconds(edge_px * 2) <= AIM_SECONDS * 2.0 {
        edge_px *= 2;
    }
    edge_px
}

#[cfg(test)]
mod tests;
