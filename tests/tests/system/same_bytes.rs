//! Whatever the number of workers, the size of items, their order and where everything lies: the
//! same bytes.

use crate::site::{Kind, Made, Site, pipeline};

/// Runs the pipeline and returns what it made.
fn run(site: &Site, predict: &str, run: &str, workers: &str) -> Made {
    let file = pipeline(site, predict, run);
    let output = site.swath(&["run", file.to_str().expect("UTF-8"), "--workers", workers], 0);
    let name = run_name(&output.stdout);
    let status = site.status(&name).expect("a status");
    for (stage, count) in &status.stages {
        assert_eq!((count.done, count.buried), (count.items, 0), "{stage}");
    }
    Made::of(site, &name)
}

/// The first word of what `swath run` prints at its end.
pub fn run_name(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout);
    text.split(':').next().expect("a first word").to_owned()
}

pub fn reference() -> &'static Made {
    static REFERENCE: std::sync::OnceLock<Made> = std::sync::OnceLock::new();
    REFERENCE.get_or_init(|| {
        let made = run(&Site::new(Kind::Embedded), "item_px = 256", "", "1");
        let counts = eval_counts(&made);
        let of_class = |class| counts.iter().skip(class).step_by(2).sum::<u64>();
        let least = counts.iter().sum::<u64>() / 100;
        assert!((0..2).all(|class| of_class(class) > least), "the network sees just one class: {counts:?}");
        made
    })
}

fn eval_counts(made: &Made) -> Vec<u64> {
    let eval: serde_json::Value = serde_json::from_slice(&made.eval).expect("eval.json");
    let average = eval["overall"].as_array().and_then(|scores| scores.last()).expect("an average");
    let rows = average["conf_mat"].as_array().expect("a table").iter();
    let counts = rows.flat_map(|row| row.as_array().expect("a row"));
    counts.filter_map(serde_json::Value::as_f64).map(|count| count as u64).collect()
}

#[test]
fn four_workers_make_the_same_bytes_as_one() {
    run(&Site::new(Kind::Embedded), "item_px = 256", "", "4").assert_same(reference(), "four workers");
}

#[test]
fn the_size_of_items_does_not_matter() {
    for item_px in [64, 128, 1024] {
        let made = run(&Site::new(Kind::Embedded), &format!("item_px = {item_px}"), "", "2");
        made.assert_same(reference(), &format!("items of {item_px} px"));
    }
}

#[test]
fn the_size_of_items_does_not_matter_to_zstd_either() {
    let of = |item_px| {
        let predict = format!("item_px = {item_px}\ncompression = \"zstd\"");
        run(&Site::new(Kind::Embedded), &predict, "", "2")
    };
    let first = of(64);
    first.assert_same(&of(1024), "items of 1024 px");
    assert!(first.scores != reference().scores, "it is compressed as ever");
}

#[test]
fn the_order_of_items_does_not_matter() {
    run(&Site::new(Kind::Embedded), "item_px = 256", "shuffle = 5", "2")
        .assert_same(reference(), "another order");
}

#[test]
fn servers_make_the_same_bytes_as_the_embedded_twins() {
    for (predict, order, workers) in
        [("item_px = 256", "", "1"), ("item_px = 128", "shuffle = 9", "4"), ("item_px = 1024", "", "2")]
    {
        let made = run(&Site::new(Kind::Servers), predict, order, workers);
        made.assert_same(reference(), &format!("servers, {predict}, {order}, {workers} workers"));
    }
}
