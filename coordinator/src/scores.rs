//! A second look at `eval.json`. Raster Vision's average weighs classes by their pixels: where nearly all is nothing, a
//! network that finds nothing does well by it.

use serde::Serialize;
use serde_json::Value;

/// The mean over the classes that are something; none where none of them is there and none was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Mean {
    pub(crate) precision: Option<f64>,
    pub(crate) recall: Option<f64>,
    pub(crate) f1: Option<f64>,
    pub(crate) iou: Option<f64>,
}

/// Of a list of classes with their average at its end. What is 0 / 0 of a class that is there counts as 0.
pub(crate) fn mean(scores: &Value, null_class: u32) -> Mean {
    let is_something = |class: &&Value| {
        class["class_id"].as_u64().is_some_and(|id| id != u64::from(null_class)) && count(class) > 0.0
    };
    let there: Vec<&Value> = scores.as_array().into_iter().flatten().filter(is_something).collect();
    let of = |metric: &str| {
        let sum: f64 = there.iter().map(|class| class["metrics"][metric].as_f64().unwrap_or(0.0)).sum();
        (!there.is_empty()).then(|| sum / there.len() as f64)
    };
    Mean { precision: of("precision"), recall: of("recall"), f1: of("f1"), iou: of("iou") }
}

/// Pixels that are of it, or were taken for it.
fn count(class: &Value) -> f64 {
    class["gt_count"].as_f64().unwrap_or(0.0) + class["pred_count"].as_f64().unwrap_or(0.0)
}

/// The last entry of a list is the average of the others.
pub(crate) fn average(scores: &Value) -> Option<&Value> {
    scores.as_array()?.last()?.get("metrics")
}

/// Scenes are sorted by it, the worst first: where nothing is there to be found, by the average.
pub(crate) fn f1_of_scene(mean: &Mean, average: Option<&Value>) -> f64 {
    mean.f1.or_else(|| average?["f1"].as_f64()).unwrap_or(-1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_nothing_scores_nothing_however_much_of_it_there_is() {
        let scores = serde_json::json!([
            { "class_id": 0, "gt_count": 97.0, "pred_count": 100.0, "metrics": { "f1": 0.98, "recall": 1.0 } },
            { "class_id": 1, "gt_count": 3.0, "pred_count": 0.0, "metrics": { "f1": null, "recall": 0.0 } },
            { "class_id": 2, "gt_count": 0.0, "pred_count": 0.0, "metrics": { "f1": null, "recall": null } },
            { "gt_count": 100.0, "metrics": { "f1": 0.96 } },
        ]);
        let told = mean(&scores, 0);
        assert_eq!((told.f1, told.recall), (Some(0.0), Some(0.0)));
        assert_eq!(mean(&scores, 1).f1, Some(0.98));
        let empty = serde_json::json!([{ "class_id": 1, "gt_count": 0.0, "pred_count": 0.0 }, { "metrics": { "f1": 1.0 } }]);
        assert_eq!(mean(&empty, 0), Mean::default());
        assert!(f1_of_scene(&mean(&empty, 0), average(&empty)) > f1_of_scene(&told, average(&scores)));
    }
}
