use swath_proto::phases::PhaseSeconds;

use super::*;

fn report() -> Report {
    let epoch = |epoch: u32, loss| Epoch {
        epoch,
        train_loss: Some(loss),
        validation_loss: None,
        f1: None,
        iou: None,
    };
    Report {
        run: "a-1".parse().unwrap(),
        state: RunState::DoneWithFailures,
        program: "0.1.0".into(),
        started: "2026-01-01T00:00:00Z".into(),
        ended: "2026-01-01T00:02:00Z".into(),
        seconds: Some(120.0),
        message: Some("<script>alert(1)</script>".into()),
        stages: Vec::new(),
        bottleneck: None,
        phases: None,
        held_back_by: None,
        work_seconds: 0.0,
        rented: Vec::new(),
        cost: Some(Cost {
            money: 2.0,
            currency: "<b>".into(),
            hours: 2.0,
            unknown: vec!["x9<".into()],
            prices: "prices of r".into(),
            told: "2.00 <b>".into(),
        }),
        scenes: 1,
        pixels: 4_000_000,
        scores: Some(serde_json::json!([
            { "class_id": 0, "class_name": "a&b", "metrics": { "f1": 0.5 } },
            { "class_name": "average", "metrics": {}, "conf_mat": [[3.0]] },
        ])),
        mean: Some(crate::scores::Mean { f1: Some(0.125), ..Default::default() }),
        worst: Vec::new(),
        shown: vec![super::super::ScenePicture {
            which: Some("among the worst"),
            scene: "east<".into(),
            f1: Some(0.25),
            key: "pictures/x.png".into(),
            png: vec![4, 5, 6],
        }],
        epochs: vec![epoch(1, 0.5), epoch(2, f64::NAN), epoch(3, 0.25)],
        failures: Vec::new(),
        n_failures: 0,
        n_dropped: 0,
        unreadable_scenes: vec!["\"west\": gone".into()],
        pictures: vec![super::super::Picture { name: "validation", png: vec![1, 2, 3] }],
    }
}

#[test]
fn nothing_from_outside_becomes_markup_and_nothing_is_fetched() {
    let page = html(&report());
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    assert!(page.contains("a&amp;b") && page.contains("&quot;west&quot;"));
    assert!(page.contains("2.00 &lt;b&gt;") && page.contains("want of a price: x9&lt;"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url("));
    assert!(page.contains("data:image/png;base64,AQID"));
    let scene = "base64,BAUG\"><figcaption>east&lt;, among the worst: F1 0.250";
    assert!(page.contains(scene), "{page}");
}

#[test]
fn what_holds_workers_back_is_told_with_what_helps() {
    let phases = PhaseSeconds { fetch: 6.0, device: 2.0, decode: 2.0, ..PhaseSeconds::default() };
    let page = html(&Report { phases: Some(phases), held_back_by: phases.bottleneck(), ..report() });
    assert!(page.contains("<tr><th>fetch</th>") && page.contains("<td>60 %</td>"), "{page}");
    assert!(page.contains("held back by <b>fetch</b>: imagery comes slowly"), "{page}");
    assert!(!html(&report()).contains("held back"), "nothing was measured");
}

#[test]
fn a_curve_has_a_point_for_each_number_and_none_for_a_gap() {
    let page = html(&report());
    assert!(page.contains("points=\"0.0,0.0 640.0,90.0\""), "{page}");
    assert!(page.contains(">0.500</text>") && page.contains(">epoch 3</text>"), "its axes say what they are");
    assert!(page.contains("so that there is no score for its epochs"), "{page}");
    assert!(page.contains("<figcaption>validation, after the last epoch: imagery"), "{page}");
    assert!(page.contains("mean of classes") && page.contains("<td>0.125</td>"), "{page}");
    assert!(page.contains("100.0 %"), "the confusion of one class");
}

#[test]
fn times_are_told_to_the_minute_and_what_is_wrong_is_marked() {
    let page = html(&Report {
        scores: Some(serde_json::json!([
            { "class_id": 0, "class_name": "a", "metrics": {} },
            { "class_id": 1, "class_name": "b", "metrics": {} },
            { "class_name": "average", "metrics": {}, "conf_mat": [[3.0, 1.0], [0.0, 4.0]] },
        ])),
        ..report()
    });
    assert!(page.contains("began 1 Jan 2026, 00:00, ended 1 Jan 2026, 00:02 (UTC)"), "{page}");
    assert_eq!(page.matches("<td class=\"wrong\"").count(), 2, "all but the diagonal");
    assert!(page.contains("<td class=\"wrong\" style=\"--part:0.250\">25.0 %</td>"), "{page}");
}

#[test]
fn durations_are_told_in_the_words_of_the_page() {
    for (seconds, words) in [
        (0.2, "under a second"),
        (1.0, "1 second"),
        (83.4, "83 seconds"),
        (90.0, "2 minutes"),
        (5400.0, "1 h 30 min"),
        (7190.0, "2 hours"),
        (129_600.0, "2 days"),
    ] {
        assert_eq!(duration(seconds), words);
    }
}
