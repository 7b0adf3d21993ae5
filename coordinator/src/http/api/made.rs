//! What was made and where it lies, in keys under the root: of a run that is over, as `swath status RUN` lists it; and of a
//! scene.

use serde::Serialize;
use swath_backends::blobs::SharedBlobs;
use swath_proto::{ids::SceneId, item::Stage, keys, run::RunRecord, status::RunStatus};

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Made {
    pub(super) what: &'static str,
    key: String,
}

/// What only the root can say.
#[derive(Clone, Copy)]
pub(super) struct There {
    pub(super) report: bool,
    pub(super) eval: bool,
    pub(super) catalogue: bool,
}

/// Stands for each scene's own name.
const EACH: &str = "SCENE";

pub(super) fn of_run(record: &RunRecord, status: &RunStatus, there: There) -> Vec<Made> {
    let run = &record.run;
    let done = |stage: Stage| status.stages.get(stage.name()).is_some_and(|count| count.done > 0);
    let mut all = Vec::new();
    let mut tell = |what, key| all.push(Made { what, key });
    if there.report {
        tell("report", keys::report(run));
    }
    if there.eval {
        tell("eval", keys::eval(run));
    }
    let each: SceneId = EACH.parse().expect("a name");
    let scene = match record.scenes.as_slice() {
        [only] => &only.id,
        _ => &each,
    };
    // Small scenes are predicted as finished files.
    let has_maps = done(Stage::Assemble) || (record.has(Stage::Assemble) && done(Stage::Predict));
    let has_polygons = done(Stage::Vectorize);
    for Made { what, key } in of_scene(record, scene) {
        let is_there = if what == POLYGONS { has_polygons } else { has_maps };
        if is_there {
            tell(what, key);
        }
    }
    if done(Stage::Merge) {
        for format in record.vectors.iter().flat_map(|plan| &plan.formats) {
            tell("merged", format!("{}.{}", keys::merged(run), format.extension()));
        }
    }
    if done(Stage::Step) {
        for step in &record.steps {
            tell("step", keys::step_output(run, &step.name, None, None));
        }
    }
    if done(Stage::Train) {
        if let Some(log) = &status.training_log {
            tell("training", log.clone());
        }
        if let Some(weights) = keys::model(&record.predict.model.weights) {
            tell("weights", weights);
        }
    }
    if done(Stage::Bundle) {
        tell("bundle", keys::bundle(run));
    }
    if there.catalogue {
        tell("catalogue", keys::stac_collection(run));
    }
    all
}

pub(super) const CONFIDENCE: &str = "confidence";
const POLYGONS: &str = "polygons";

/// All that the run makes of a scene.
fn of_scene(record: &RunRecord, scene: &SceneId) -> Vec<Made> {
    let run = &record.run;
    let mut all = vec![Made { what: "map", key: keys::prediction(run, scene) }];
    if record.predict.scores {
        all.push(Made { what: "scores", key: keys::scores(run, scene) });
    }
    if record.predict.confidence {
        all.push(Made { what: CONFIDENCE, key: keys::confidence(run, scene) });
    }
    for format in record.vectors.iter().flat_map(|plan| &plan.formats) {
        let key = format!("{}.{}", keys::vectors(run, scene), format.extension());
        all.push(Made { what: POLYGONS, key });
    }
    all
}

/// What of it is there.
pub(super) async fn found(
    record: &RunRecord,
    scene: &SceneId,
    blobs: &SharedBlobs,
) -> Result<Vec<Made>, swath_backends::Error> {
    let mut found = Vec::new();
    for made in of_scene(record, scene) {
        if blobs.head(&made.key).await?.is_some() {
            found.push(made);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::record;

    fn status(stages: &[&str]) -> RunStatus {
        let count = serde_json::json!({ "items": 2, "done": 2, "buried": 0 });
        let stages: serde_json::Map<_, _> =
            stages.iter().map(|name| ((*name).to_owned(), count.clone())).collect();
        let json = serde_json::json!({
            "run": "r", "state": "done", "written": "", "started": "", "stages": stages, "pixels_done": 0,
            "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [], "n_failures": 0,
            "unreadable_scenes": [], "message": null,
        });
        serde_json::from_value(json).unwrap()
    }

    fn keys_of(record: &RunRecord, stages: &[&str]) -> Vec<String> {
        let there = There { report: true, eval: false, catalogue: true };
        of_run(record, &status(stages), there).into_iter().map(|made| made.key).collect()
    }

    #[test]
    fn a_run_tells_where_lies_what_its_stages_have_made() {
        let mut record = record();
        let all = keys_of(&record, &["survey", "predict", "assemble", "bundle"]);
        let [report, map, bundle, catalogue] = &all[..] else { panic!("{all:?}") };
        assert_eq!((report.as_str(), map.as_str()), ("runs/r/report.html", "predict/r/SCENE.tif"));
        assert!(bundle.starts_with("bundle/r/") && catalogue.starts_with("stac/r/"), "{all:?}");
        record.scenes.truncate(1);
        record.predict.scores = true;
        let of_one = ["runs/r/report.html", "predict/r/large.tif", "predict/r/large.scores.tif"];
        assert_eq!(keys_of(&record, &["predict"])[..3], of_one, "the only scene by its name");
        assert_eq!(keys_of(&record, &["survey"]).len(), 2, "there is no map yet");
    }
}
