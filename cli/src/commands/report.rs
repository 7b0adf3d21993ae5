//! The end of a run: what came of it, where it lies, what failed and how to go on.

use swath_backends::blobs::SharedBlobs;
use swath_coordinator::records::read_record;
use swath_proto::{
    ids::RunId,
    item::Stage,
    keys,
    outcome::FailureClass,
    run::RunRecord,
    status::{FailedItem, RunState, RunStatus},
};

use crate::table;

/// Scenes that are named.
const SHOWN: usize = 3;
/// Lines of failures while a run is watched.
const IN_SHORT: usize = 3;
/// Whose files are looked for: the end of a run is not to wait for thousands of questions.
const LOOKED_AT: usize = 50;

/// What came of it and where it lies.
pub(super) async fn results(
    record: &RunRecord,
    status: &RunStatus,
    blobs: &SharedBlobs,
) -> anyhow::Result<()> {
    let run = &record.run;
    // All of it in one place, for people.
    let told = keys::report(run);
    if blobs.head(&told).await?.is_some() {
        say!("report      {}", blobs.uri(&told));
    }
    if let Ok(json) = blobs.get(&keys::eval(run)).await {
        scores(&serde_json::from_slice(&json)?);
        say!("eval        {}", blobs.uri(&keys::eval(run)));
    }
    let made = |stage: Stage| status.stages.get(stage.name()).is_some_and(|count| count.done > 0);
    // Small scenes are predicted as finished files.
    if made(Stage::Assemble) || (record.has(Stage::Assemble) && made(Stage::Predict)) {
        of_scenes(record, blobs, "map", |scene| keys::prediction(run, scene)).await?;
        if record.predict.scores {
            of_scenes(record, blobs, "scores", |scene| keys::scores(run, scene)).await?;
        }
        if record.predict.confidence {
            of_scenes(record, blobs, "confidence", |scene| keys::confidence(run, scene)).await?;
        }
    }
    if let Some(plan) = record.vectors.as_ref().filter(|_| made(Stage::Vectorize)) {
        for format in &plan.formats {
            let file = |scene: &_| format!("{}.{}", keys::vectors(run, scene), format.extension());
            of_scenes(record, blobs, "polygons", file).await?;
        }
    }
    if let Some(plan) = record.vectors.as_ref().filter(|_| made(Stage::Merge)) {
        for format in &plan.formats {
            let key = format!("{}.{}", keys::merged(run), format.extension());
            say!("merged      {}", blobs.uri(&key));
        }
    }
    if made(Stage::Step) {
        for step in &record.steps {
            say!("{:<12}{}", "step", blobs.uri(&keys::step_output(run, &step.name, None, None)));
        }
    }
    if made(Stage::Train) {
        if let Some(log) = &status.training_log {
            say!("training    {}", blobs.uri(log));
        }
        // Pinned on the way.
        let record = read_record(blobs, run).await?;
        if let Some(weights) = record.as_ref().and_then(|record| keys::model(&record.predict.model.weights)) {
            say!("weights     {}", blobs.uri(&weights));
        }
        if let Some(int8) = record.and_then(|record| record.predict.int8) {
            let used = if int8.is_accepted() { "in 8 bits" } else { "in 32 bits: 8 were not good enough" };
            let (lost, chips) = (int8.lost() * 100.0, int8.chips);
            match int8.is_measured() {
                true => {
                    say!(
                        "computed    {used} (F1 {lost:.2} points lower at most, on {chips} validation chips)"
                    )
                }
                false => say!("computed    in 32 bits: no validation chip says how 8 would do"),
            }
        }
    }
    if made(Stage::Bundle) {
        say!("bundle      {}", blobs.uri(&keys::bundle(run)));
    }
    let catalogue = keys::stac_collection(run);
    if record.has(Stage::Predict) && blobs.head(&catalogue).await?.is_some() {
        say!("catalogue   {}", blobs.uri(&catalogue));
    }
    Ok(())
}

/// The first files that are there: of scenes that failed there are none.
async fn of_scenes(
    record: &RunRecord,
    blobs: &SharedBlobs,
    what: &str,
    key: impl Fn(&swath_proto::ids::SceneId) -> String,
) -> anyhow::Result<()> {
    let mut shown = 0;
    for scene in record.scenes.iter().take(LOOKED_AT) {
        let key = key(&scene.id);
        if blobs.head(&key).await?.is_none() {
            continue;
        }
        if shown == SHOWN {
            say!("{:<12}and more beside them", "");
            break;
        }
        say!("{what:<12}{}", blobs.uri(&key));
        shown += 1;
    }
    Ok(())
}

fn scores(evaluation: &serde_json::Value) {
    let mut rows = vec![["CLASS", "PRECISION", "RECALL", "F1", "IOU"].map(String::from).to_vec()];
    let entries = evaluation["overall"].as_array().into_iter().flatten();
    // The last entry is their average, and no class.
    for class in entries.filter(|entry| entry.get("class_id").is_some()) {
        let name = class["class_name"].as_str().unwrap_or("-").to_owned();
        let share = |metric: &str| table::share(class["metrics"][metric].as_f64());
        let cells = ["precision", "recall", "f1", "iou"].map(share);
        rows.push([vec![name], cells.to_vec()].concat());
    }
    table::print(&rows);
}

/// What failed and why, and how to go on.
pub(crate) fn failures(status: &RunStatus) {
    failed(status).iter().for_each(|line| say!("{line}"));
}

/// The same to whoever watches a run that goes on: the table is to stay in sight.
pub(super) fn failures_in_short(status: &RunStatus) {
    in_short(failed(status), &status.run).iter().for_each(|line| say!("{line}"));
}

fn in_short(mut lines: Vec<String>, run: &RunId) -> Vec<String> {
    if lines.len() > IN_SHORT {
        lines.truncate(IN_SHORT - 1);
        lines.push(format!("            and more; all of it: swath status {run}"));
    }
    lines
}

fn failed(status: &RunStatus) -> Vec<String> {
    let run = &status.run;
    let mut lines: Vec<String> =
        status.unreadable_scenes.iter().map(|scene| format!("unreadable  scene {scene}")).collect();
    for failed in &status.failures {
        let failure = &failed.failure;
        let scene = failure.scene.as_ref().map_or_else(String::new, |scene| format!(" of scene {scene}"));
        let rect = failure.rect.map_or_else(String::new, |rect| format!(" ({rect})"));
        let attempts = table::count(failed.attempts.into(), "attempt");
        let (place, message) = (failed.place, &failure.message);
        lines.push(match failed.items {
            1 => format!("set aside   {place}{scene}{rect} after {attempts}: {message}"),
            n => format!("set aside   {n} items{scene}, the first is {place}{rect}: {message}"),
        });
    }
    let named: u64 = status.failures.iter().map(|failed| failed.items).sum();
    let more = status.n_failures.saturating_sub(named);
    if more > 0 {
        lines.push(format!("            and {more} more; all of them: swath items {run}"));
    }
    if status.state == RunState::Failed {
        lines.push("mend the cause and give the same command again: what is done is kept".into());
        if status.n_failures > 0 {
            lines.push(format!("what was set aside comes back with: swath items {run} replay --all"));
        }
    } else if !lines.is_empty() {
        let of_data = |failed: &FailedItem| failed.failure.class == FailureClass::Data;
        let all_named = more == 0;
        if !status.unreadable_scenes.is_empty() || status.failures.iter().any(of_data) {
            lines.push(
                "mend the files and give the same command again: it begins a new run, which takes over what is done"
                    .into(),
            );
        }
        if !all_named || !status.unreadable_scenes.is_empty() || !status.failures.iter().all(of_data) {
            lines.push(format!(
                "where the cause was none of the pipeline's files: swath items {run} replay --all; and the same command \
                 again, if no coordinator runs"
            ));
        }
    }
    if status.n_dropped > 0 {
        let n = table::count(status.n_dropped, "item");
        lines.push(format!("done without {n}, by command: swath items {run} --state dropped"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_counted_and_nobody_is_told_to_replay_it() {
        let json = serde_json::json!({
            "run": "a-1", "state": "done_with_failures", "written": "", "started": "", "stages": {},
            "pixels_done": 0, "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "n_failures": 0,
            "n_dropped": 2, "failures": [], "unreadable_scenes": [], "message": null,
        });
        let lines = failed(&serde_json::from_value(json).unwrap());
        assert_eq!(lines, ["done without 2 items, by command: swath items a-1 --state dropped"]);
    }

    #[test]
    fn failures_name_scene_and_cause_and_how_to_go_on() {
        let json = serde_json::json!({
            "run": "a-1", "state": "done_with_failures", "written": "", "started": "", "stages": {},
            "pixels_done": 0, "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "n_failures": 3,
            "failures": [{ "place": "chip.0.1", "attempts": 1, "failure": { "class": "data",
                "message": "no such band", "scene": "east", "worker": "w" } }],
            "unreadable_scenes": ["west: not a TIFF"], "message": null,
        });
        let lines = failed(&serde_json::from_value(json).unwrap());
        assert_eq!(lines[0], "unreadable  scene west: not a TIFF");
        assert_eq!(lines[1], "set aside   chip.0.1 of scene east after 1 attempt: no such band");
        assert!(lines[2].contains("and 2 more; all of them: swath items a-1"));
        assert!(lines[3].contains("begins a new run"));
        assert!(lines[4].contains("swath items a-1 replay --all"), "of the two that are not named");
        assert_eq!(lines.len(), 5);
        let short = in_short(lines, &"a-1".parse().unwrap());
        assert_eq!((short.len(), short[2].ends_with("swath status a-1")), (3, true), "{short:?}");
    }

    #[test]
    fn a_broken_scene_is_one_line_however_many_items_it_has() {
        let json = serde_json::json!({
            "run": "a-1", "state": "done_with_failures", "written": "", "started": "", "stages": {},
            "pixels_done": 0, "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "n_failures": 64,
            "failures": [{ "place": "predict.0.1", "attempts": 1, "items": 64, "failure": { "class": "data",
                "message": "it is torn", "scene": "east", "worker": "w" } }],
            "unreadable_scenes": [], "message": null,
        });
        let lines = failed(&serde_json::from_value(json).unwrap());
        assert_eq!(lines[0], "set aside   64 items of scene east, the first is predict.0.1: it is torn");
        assert_eq!(lines.len(), 2, "none is left out, and a replay of bad data helps nobody: {lines:?}");
    }
}
