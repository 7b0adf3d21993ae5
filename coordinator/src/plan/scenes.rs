//! The work of a group of small scenes.

use swath_proto::{
    item::{EvalPart, EvalScenes, Place, PredictScenes, ScenePart, Stage, VectorizeScenes, Work},
    run::RunRecord,
};

use super::{Group, PlannedScene};

/// None before the run's numeric class and scaling are pinned.
pub(super) fn predict(record: &RunRecord, group: Group<'_>) -> Option<Work> {
    let plan = &record.predict;
    let class = plan.class.as_ref()?;
    let part = |scene: &PlannedScene| {
        // As an item of the whole scene would have it: files that lie beside the scene are not named.
        let rect = scene.grid.rect(0)?;
        let header =
            record.scaled(&scene.header.around(plan.mixing.reach(plan.window, rect, scene.header.size)))?;
        Some(ScenePart { ordinal: scene.ordinal, scene: header })
    };
    Some(Work::PredictScenes(PredictScenes {
        scenes: group.scenes.iter().map(part).collect::<Option<_>>()?,
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
        classes: record.classes.clone(),
        null_class: record.null_class,
        nodata: plan.nodata,
    }))
}

/// None where no scene is left to evaluate.
pub(super) fn eval(record: &RunRecord, group: Group<'_>, is_left: impl Fn(Place) -> bool) -> Option<Work> {
    let part = |scene: &PlannedScene| {
        let labels = scene.files.labels.clone()?;
        Some(EvalPart { ordinal: scene.ordinal, scene: scene.header.clone(), labels })
    };
    let scenes: Vec<_> = left(group, is_left).filter_map(part).collect();
    (!scenes.is_empty()).then_some(Work::EvalScenes(EvalScenes {
        scenes,
        predicted: predict(record, group)?.id(),
        producer: group.predict,
        classes: record.classes.clone(),
        null_class: record.null_class,
        nodata: record.predict.nodata,
    }))
}

/// None where no scene is left to trace.
pub(super) fn vectorize(
    record: &RunRecord,
    group: Group<'_>,
    is_left: impl Fn(Place) -> bool,
) -> Option<Work> {
    let part = |scene: &PlannedScene| ScenePart { ordinal: scene.ordinal, scene: scene.header.clone() };
    let scenes: Vec<_> = left(group, is_left).map(part).collect();
    (!scenes.is_empty()).then_some(Work::VectorizeScenes(VectorizeScenes {
        scenes,
        predicted: predict(record, group)?.id(),
        producer: group.predict,
        scores: record.predict.scores,
        classes: record.classes.clone(),
        plan: record.vectors.clone()?,
    }))
}

fn left<'a>(group: Group<'a>, is_left: impl Fn(Place) -> bool) -> impl Iterator<Item = &'a PlannedScene> {
    let own = move |scene: &PlannedScene| Place::new(Stage::Assemble, group.predict.lot, scene.ordinal);
    group.scenes.iter().filter(move |scene| is_left(own(scene)))
}
