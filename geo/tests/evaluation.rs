//! `eval.json` against Raster Vision's own, and against what is computed by hand.

use serde_json::{Value, json};
use swath_geo::{confusion::Confusion, evaluation::Evaluation};

/// By `testdata/make_evaluations.py`, one case a line.
const EVALUATIONS: &str = include_str!("../testdata/evaluations.json");

fn confusion(table: &[Vec<u64>], ignored: u64) -> Confusion {
    Confusion::from_counts(table.len() as u32, table.concat(), ignored).expect("a table")
}

fn evaluate(classes: &[&str], scenes: &[(&str, Vec<Vec<u64>>)]) -> Evaluation {
    let classes: Vec<_> = classes.iter().map(|&name| name.to_owned()).collect();
    let scenes = scenes.iter().map(|(scene, table)| (scene.to_string(), confusion(table, 0)));
    Evaluation::new(&classes, scenes).expect("tables of one size")
}

fn json(evaluation: &Evaluation) -> Value {
    serde_json::to_value(evaluation).expect("JSON")
}

/// The same but for the last bits of floats.
fn assert_like(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let ours_only = ours.keys().filter(|key| !theirs.contains_key(*key)).collect::<Vec<_>>();
            let expected: &[&str] = if place.ends_with(".metrics") { &["iou"] } else { &[] };
            assert_eq!(ours_only, expected, "{place}");
            for (key, theirs) in theirs {
                assert_like(&ours[key], theirs, &format!("{place}.{key}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{place}");
            for (n, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_like(ours, theirs, &format!("{place}.{n}"));
            }
        }
        (Value::Number(a), Value::Number(b)) => {
            assert_eq!(a.is_f64(), b.is_f64(), "{place}: {a} for {b}");
            let (a, b) = (a.as_f64().expect("a float"), b.as_f64().expect("a float"));
            assert!((a - b).abs() <= 1e-14 * a.abs().max(b.abs()), "{place}: {a} for {b}");
        }
        _ => assert_eq!(ours, theirs, "{place}"),
    }
}

/// In the order of the text, but ours.
fn keys(json: &str) -> Vec<&str> {
    let parts: Vec<_> = json.split('"').collect();
    let is_key = |&n: &usize| parts.get(n + 1).is_some_and(|behind| behind.starts_with(':'));
    (1..parts.len()).step_by(2).filter(is_key).map(|n| parts[n]).filter(|&key| key != "iou").collect()
}

#[test]
fn an_evaluation_is_raster_visions_and_iou() {
    let cases: Vec<Value> = serde_json::from_str(EVALUATIONS).expect("cases");
    let lines = EVALUATIONS.lines().filter(|line| line.starts_with('{'));
    assert_eq!(cases.len(), lines.clone().count());
    for (case, line) in cases.iter().zip(lines) {
        let read = |key: &str| case[key].clone();
        let name = case["name"].as_str().expect("a name");
        let classes: Vec<String> = serde_json::from_value(read("classes")).expect("classes");
        let scenes: Vec<(String, Vec<Vec<u64>>)> = serde_json::from_value(read("scenes")).expect("scenes");
        let scenes = scenes.into_iter().map(|(scene, table)| (scene, confusion(&table, 3)));
        let ours = Evaluation::new(&classes, scenes).expect("tables of one size");
        assert_like(&json(&ours), &case["expected"], name);
        let (_, theirs) = line.split_once(r#""expected":"#).expect("an expectation");
        assert_eq!(keys(&serde_json::to_string(&ours).expect("JSON")), keys(theirs), "{name}");
    }
}

#[test]
fn an_evaluation_is_as_computed_by_hand() {
    let building = json!({
        "class_id": 0, "class_name": "building", "gt_count": 8.0, "pred_count": 6.0, "count_error": 2.0,
        "relative_frequency": 0.8,
        "metrics": {
            "recall": 0.75, "precision": 1.0, "f1": 1.5 / 1.75,
            "sensitivity": 0.75, "specificity": 1.0, "iou": 0.75
        },
        "conf_mat": [[2.0, 0.0], [2.0, 6.0]], "conf_mat_frac": [[0.2, 0.0], [0.2, 0.6]],
        "conf_mat_dict": {"TN": 2.0, "FP": 0.0, "FN": 2.0, "TP": 6.0},
        "conf_mat_frac_dict": {"TN": 0.2, "FP": 0.0, "FN": 0.2, "TP": 0.6}
    });
    let ground = json!({
        "class_id": 1, "class_name": "ground", "gt_count": 2.0, "pred_count": 4.0, "count_error": 2.0,
        "relative_frequency": 0.2,
        "metrics": {
            "recall": 1.0, "precision": 0.5, "f1": 1.0 / 1.5,
            "sensitivity": 1.0, "specificity": 0.75, "iou": 0.5
        },
        "conf_mat": [[6.0, 2.0], [0.0, 2.0]], "conf_mat_frac": [[0.6, 0.2], [0.0, 0.2]],
        "conf_mat_dict": {"TN": 6.0, "FP": 2.0, "FN": 0.0, "TP": 2.0},
        "conf_mat_frac_dict": {"TN": 0.6, "FP": 0.2, "FN": 0.0, "TP": 0.2}
    });
    let average = json!({
        "class_name": "average",
        "metrics": {
            "recall": 0.75 * 0.8 + 0.2, "precision": 0.8 + 0.5 * 0.2, "f1": 1.5 / 1.75 * 0.8 + 1.0 / 1.5 * 0.2,
            "sensitivity": 0.75 * 0.8 + 0.2, "specificity": 0.8 + 0.75 * 0.2, "iou": 0.75 * 0.8 + 0.5 * 0.2
        },
        "gt_count": 10.0, "pred_count": 10.0, "count_error": 4.0,
        "conf_mat": [[6.0, 2.0], [0.0, 2.0]], "conf_mat_frac": [[0.6, 0.2], [0.0, 0.2]]
    });
    let list = json!([building, ground, average]);
    let made = evaluate(&["building", "ground"], &[("s", vec![vec![6, 2], vec![0, 2]])]);
    assert_eq!(json(&made), json!({ "overall": list, "per_scene": { "s": list } }));
}

#[test]
fn a_class_that_is_nowhere_is_null_and_weighs_nothing() {
    let table = vec![vec![3, 1, 0], vec![0, 4, 0], vec![0, 0, 0]];
    let made = evaluate(&["a", "b", "c"], &[("s", table)]);
    let [a, b, c] = made.overall().classes.as_slice() else { panic!("three classes") };
    assert_eq!(
        (c.metrics.recall, c.metrics.precision, c.metrics.f1, c.metrics.iou),
        (None, None, None, None)
    );
    assert_eq!((c.metrics.specificity, c.relative_frequency), (Some(1.0), Some(0.0)));
    let iou = (a.metrics.iou.expect("a"), b.metrics.iou.expect("b"));
    assert_eq!(iou, (0.75, 0.8));
    assert_eq!(made.overall().average.metrics.iou, Some((0.75 + 0.8) / 2.0));
}

#[test]
fn a_scene_of_ignored_pixels_is_null_and_its_average_0() {
    let mut ignored = Confusion::new(2).expect("two classes");
    ignored.add(&[255, 7], &[0, 1]).expect("as many labels as predictions");
    let classes = ["a", "b"].map(String::from);
    let made = json(&Evaluation::new(&classes, [("s".to_owned(), ignored)]).expect("tables of one size"));
    let [class, _, average] = made["per_scene"]["s"].as_array().expect("a list").as_slice() else {
        panic!("two classes and their average")
    };
    for key in ["recall", "precision", "f1", "sensitivity", "specificity", "iou"] {
        assert_eq!((&class["metrics"][key], &average["metrics"][key]), (&Value::Null, &json!(0.0)), "{key}");
    }
    assert_eq!((&class["gt_count"], &class["relative_frequency"]), (&json!(0.0), &Value::Null));
    assert_eq!(average["conf_mat_frac"], json!([[null, null], [null, null]]));
    assert_eq!(average["conf_mat"], json!([[0.0, 0.0], [0.0, 0.0]]));
}

#[test]
fn tables_of_other_sizes_are_refused() {
    let other = confusion(&[vec![1]], 0);
    assert!(Evaluation::new(&["a", "b"].map(String::from), [("s".to_owned(), other)]).is_err());
    assert!(Evaluation::new(&[], []).is_err());
}
