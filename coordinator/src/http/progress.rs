//! How far a run has come, counted as `progress` in web/src/words.js counts it.

use serde::Serialize;
use swath_proto::{
    item::Stage,
    status::{RunStatus, StageCount},
};

/// Of all items, once those of all stages are known; and until then stage by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Progress {
    /// From 0 to 1.
    part: f64,
    /// None: all items are known.
    stage: Option<Position>,
}

/// The stage at work, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Position {
    n: usize,
    of: usize,
}

impl Progress {
    pub(super) fn of(status: &RunStatus) -> Self {
        let is_over = status.state.is_final();
        let stages: Vec<(Stage, &StageCount)> = status.in_order().collect();
        let is_now = |(stage, count): &(Stage, &StageCount)| match status.at_work {
            Some(at_work) => *stage == at_work,
            None => count.done + count.buried < count.items,
        };
        let at = stages.iter().position(is_now).unwrap_or(0);
        let Some((stage, now)) = stages.get(at) else { return Self::default() };
        let trained = if is_over { 0.0 } else { trained(status) };
        if is_over || stages[at..].iter().all(|(_, count)| count.items > 0) {
            let sum = |of: fn(&StageCount) -> u64| -> u64 { stages.iter().map(|(_, count)| of(count)).sum() };
            let done = sum(|count| count.done) as f64 + trained;
            return Self { part: share(done, sum(|count| count.items)), stage: None };
        }
        let begun = if *stage == Stage::Train { trained } else { 0.0 };
        let part = share(now.done as f64 + begun, now.items);
        let of = stages.len();
        Self { part: (at as f64 + part) / of as f64, stage: Some(Position { n: at + 1, of }) }
    }
}

fn share(done: f64, items: u64) -> f64 {
    if items > 0 { done / items as f64 } else { 0.0 }
}

/// What a training that goes on has done of its one item: it has come as far as its steps.
fn trained(status: &RunStatus) -> f64 {
    let count = status.stages.get(Stage::Train.name());
    let is_on = count.is_some_and(|count| count.items > 0 && count.done == 0);
    let Some(training) = status.training.as_ref().filter(|training| is_on && training.epochs > 0) else {
        return 0.0;
    };
    training.epochs_done() / f64::from(training.epochs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, at_work: Option<&str>, stages: &[(&str, u64, u64)]) -> RunStatus {
        let count = |(name, items, done): &(&str, u64, u64)| {
            ((*name).to_owned(), serde_json::json!({ "items": items, "done": done, "buried": 0 }))
        };
        let stages: serde_json::Map<_, _> = stages.iter().map(count).collect();
        let json = serde_json::json!({
            "run": "a-1", "state": state, "written": "", "started": "", "stages": stages, "at_work": at_work,
            "pixels_done": 0, "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "failures": [],
            "n_failures": 0, "unreadable_scenes": [], "message": null,
            "training": { "epoch": 2, "epochs": 4, "validates": false, "step": 5, "steps": 10, "images": 8,
                "loss": null, "mean_iou": null, "images_per_second": 0.0, "eta_seconds": null },
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn stages_are_counted_while_the_items_of_later_ones_are_unknown() {
        let stages = [("survey", 1, 1), ("chip", 7, 7), ("train", 1, 0), ("predict", 0, 0)];
        let told = Progress::of(&status("running", Some("train"), &stages));
        // Three eighths of the training are done.
        assert_eq!(told.stage, Some(Position { n: 3, of: 4 }));
        assert!((told.part - 2.375 / 4.0).abs() < 1e-9, "{told:?}");
    }

    #[test]
    fn items_are_counted_once_all_are_known_or_no_more_will_come() {
        let all = [("train", 1, 1), ("predict", 8, 2), ("eval", 1, 0)];
        let told = Progress::of(&status("running", Some("predict"), &all));
        assert_eq!(told, Progress { part: 0.3, stage: None });
        let told = Progress::of(&status("failed", None, &[("train", 1, 0), ("predict", 0, 0)]));
        assert_eq!(told, Progress::default(), "what a training had begun is no item");
        assert_eq!(Progress::of(&status("preparing", None, &[])), Progress::default());
    }
}
