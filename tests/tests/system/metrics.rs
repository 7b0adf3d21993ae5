//! What a run looks like to the real Prometheus: every query of every dashboard and alert has an answer, every metric
//! moves, and alerts fire where a fault is made.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use swath_backends::declared::Declared;
use swath_proto::status::RunState;
use swath_tests::{
    faults::{self, Fault},
    free_port,
    prometheus::{Prometheus, SCRAPED_EVERY, STEP, dashboards, get},
};

use crate::{
    failures::submit,
    site::{Kind, Site, scene},
};

const PATIENCE: Duration = Duration::from_secs(240);
/// A few scrapes.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Parts of queries that have no answer here, and why.
const UNANSWERED: [(&str, &str); 5] = [
    ("swath_fleet_", "no fleet is steered here"),
    ("swath:fleet:", "no fleet is steered here"),
    ("swath_run_rented_seconds", "no machine is rented here"),
    ("swath_run_spent_money", "no machine is rented here"),
    ("swath_worker_device_memory_bytes", "no card computes here"),
];

/// Metrics that stay at 0 here, and why.
const UNMOVED: [(&str, &str); 3] = [
    ("swath_worker_preemption_notices_total", "no machine is taken away"),
    ("swath_coordinator_interruptions_total", "no server is away"),
    ("swath_items_republished_total", "the queue loses nothing"),
];

/// One of each thing that can go wrong with a scene, so that failures are seen too.
fn pipeline(site: &Site) -> String {
    let folder = scene().display().to_string();
    let whole = std::fs::read(scene().join("scene-2.tif")).expect("a scene");
    std::fs::write(site.path("torn.tif"), &whole[..whole.len() / 2]).expect("writing");
    std::fs::write(site.path("none.tif"), "no raster at all").expect("writing");
    let text = format!(
        r##"
name = "seen"
stages = ["survey", "chip", "train", "predict", "assemble", "eval"]
scenes = [
    {{ id = "learnt", image = "{folder}/scene-1.tif", labels = "{folder}/scene-1.geojson", group = "train" }},
    {{ id = "held-out", image = "{folder}/scene-2.tif", labels = "{folder}/scene-2.geojson", group = "validation" }},
    {{ id = "torn", image = "torn.tif", group = "predict" }},
    {{ id = "none", image = "none.tif", group = "predict" }},
]
classes = [
    {{ name = "background", color = "#202020", null = true }},
    {{ name = "building", color = "#ff8800" }},
]

[model]
architecture = "tiny"

[chips]
size = 96

[train]
epochs = 10
lr = 0.01

[predict]
core_px = 64
block_px = 64
margin_px = 8
batch = 4
item_px = 64
"##
    );
    let file = site.path("seen.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    file.to_str().expect("UTF-8").to_owned()
}

fn declared() -> impl Iterator<Item = Declared> {
    let ours = swath_coordinator::metrics::all().chain(swath_worker::metrics::ALL);
    ours.chain(swath_backends::metrics::ALL)
}

#[test]
fn prometheus_sees_every_metric_of_a_run_move_and_answers_every_query_of_dashboards_and_alerts() {
    let site = Site::new(Kind::Embedded);
    let run = submit(&site, &pipeline(&site));
    let port = free_port();
    let coordinator = site.start(&["coordinator", "--metrics", &format!("127.0.0.1:{port}")]);
    let prometheus = Prometheus::start(port);
    // Nobody works yet: what is published waits for so long that the queue is asked for it.
    until(&prometheus, "swath_queue_waiting_messages > 0");
    // Leases so short that they are extended, and ranks that have something to sum.
    let start = || site.start(&["worker", "--metrics", "127.0.0.1:0", "--lease", "2", "--ranks", "2"]);
    let workers = [start(), start(), start()];
    let status = site.wait(&run, PATIENCE);
    assert_eq!(status.state, RunState::DoneWithFailures, "{status:?}");
    assert_eq!(status.unreadable_scenes.len(), 1, "{status:?}");
    until(&prometheus, r#"swath_run_state{state="done_with_failures"} == 1"#);
    until(&prometheus, "count(swath_worker_slots) == 3");

    let unanswered: Vec<String> = queries(&prometheus, &run)
        .into_iter()
        .filter(|query| !UNANSWERED.iter().any(|(part, _)| query.contains(part)))
        .filter(|query| !has_numbers(&prometheus.since_start(query)))
        .collect();
    assert!(unanswered.is_empty(), "no answer:\n{}", unanswered.join("\n"));

    // What is shown is what was declared, and nothing of the machine's is in it but its name.
    let (status, shown) = get(port, "/metrics").expect("metrics");
    assert_eq!(status, 200);
    let names: BTreeSet<&str> = declared().map(|metric| metric.name).collect();
    for line in shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(names.contains(name) || name.starts_with("process_"), "{name} is declared nowhere");
    }
    assert!(!shown.contains(site.folder.path().to_str().expect("UTF-8")), "paths are shown");

    prometheus.wait_for_alert("SwathItemsBuried", "firing", SEEN_WITHIN);
    for quiet in ["SwathCoordinatorAbsent", "SwathTrainingFails", "SwathWorkWaits", "SwathBudgetNearlySpent"]
    {
        prometheus.wait_for_alert(quiet, "inactive", SEEN_WITHIN);
    }

    // What lasts for a moment in so small a run: once nobody works, an item that gets another chance stays where it is,
    // and who hangs in it has it in hand.
    drop(workers);
    site.swath(&["items", &run, "replay", "--all"], 0);
    until(&prometheus, "swath_backlog_seconds > 0");
    let args = ["worker", "--metrics", "127.0.0.1:0"];
    let hanging = site.start_with(&args, faults::environment(Fault::Hang, "torn.tif"));
    until(&prometheus, "swath_workers_in_hand > 0");
    until(&prometheus, "swath_worker_in_hand > 0");
    let still: Vec<&str> = declared()
        .map(|metric| metric.name)
        .filter(|name| !UNANSWERED.iter().chain(&UNMOVED).any(|(part, _)| name.contains(part)))
        .filter(|name| !moves(&prometheus, name))
        .collect();
    assert!(still.is_empty(), "they do not move: {still:?}");
    for (name, why) in UNMOVED {
        assert!(!moves(&prometheus, name), "{name} moves, though {why}: the list is wrong");
    }

    drop((hanging, coordinator));
    prometheus.wait_for_alert("SwathCoordinatorAbsent", "pending", SEEN_WITHIN);
}

/// It is so, or was.
fn until(prometheus: &Prometheus, query: &str) {
    let started = std::time::Instant::now();
    while prometheus.since_start(query).is_empty() {
        assert!(started.elapsed() < SEEN_WITHIN, "{query} does not come");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Some series has a number at some time: 0 / 0 is none.
fn has_numbers(series: &[Value]) -> bool {
    numbers(series).next().is_some()
}

fn numbers(series: &[Value]) -> impl Iterator<Item = f64> {
    let values = series.iter().flat_map(|one| one["values"].as_array().into_iter().flatten());
    let numbers = values.filter_map(|value| value[1].as_str()?.parse::<f64>().ok());
    numbers.filter(|number| !number.is_nan())
}

/// At some time it is something else than 0.
fn moves(prometheus: &Prometheus, name: &str) -> bool {
    let of = |suffix: &str| numbers(&prometheus.since_start(&format!("{name}{suffix}"))).any(|n| n != 0.0);
    of("") || of("_count")
}

/// Of all panels, variables and rules. Those of alerts without what they are compared with.
fn queries(prometheus: &Prometheus, run: &str) -> BTreeSet<String> {
    let mut queries = BTreeSet::new();
    for board in ["run", "workers", "queues", "training", "fleet"] {
        let text = std::fs::read_to_string(dashboards().join(format!("{board}.json"))).expect("a dashboard");
        let board: Value = serde_json::from_str(&text).expect("JSON");
        for panel in board["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                queries.insert(target["expr"].as_str().expect("a query").to_owned());
            }
        }
        for variable in board["templating"]["list"].as_array().expect("variables") {
            let query = variable["query"].as_str().unwrap_or_default();
            let labels = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            if let Some((metric, label)) = labels.and_then(|labels| labels.split_once(", ")) {
                queries.insert(format!("count by ({label}) ({metric}{{{label}!=\"\"}})"));
            }
        }
    }
    for rule in prometheus.rules() {
        let query = rule["query"].as_str().expect("a query");
        queries.insert(match rule["type"].as_str() {
            Some("alerting") => without_limits(query),
            _ => rule["name"].as_str().expect("a name").to_owned(),
        });
    }
    assert!(queries.len() > 80, "only {} queries were found", queries.len());
    let filled = |query: String| {
        let query = query.replace("$run", run).replace("$__rate_interval", &rate_interval());
        ["$worker", "$door", "$kind"].iter().fold(query, |query, name| query.replace(name, ".*"))
    };
    queries.into_iter().map(filled).collect()
}

/// As Grafana fills it in: four scrapes, or a scrape more than the step, whichever is longer. Here both are a second.
fn rate_interval() -> String {
    let (scrape, step) = (SCRAPED_EVERY, STEP);
    format!("{}s", (4 * scrape).max(scrape + step).as_secs())
}

/// Whether an alert looks at anything, without whether there is reason to fire.
fn without_limits(query: &str) -> String {
    if let Some(inner) = query.strip_prefix("absent(").and_then(|rest| rest.strip_suffix(')')) {
        return inner.to_owned();
    }
    let mut words: Vec<&str> = Vec::new();
    for word in query.split_whitespace() {
        let is_limit = word.parse::<f64>().is_ok()
            && words.last().is_some_and(|before| [">", "<", ">=", "<=", "=="].contains(before));
        if is_limit {
            words.pop();
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

#[test]
fn what_an_alert_looks_at_is_told_from_its_limit() {
    assert_eq!(without_limits("a > 0.2 and b >= 5"), "a and b");
    assert_eq!(without_limits("a:b > 0 and on (lane) delta(c[5m]) >= 0"), "a:b and on (lane) delta(c[5m])");
    assert_eq!(without_limits("absent(a{b=\"c\"})"), "a{b=\"c\"}");
}

/// The page tells of each with its type and labels, and of no other.
#[test]
fn the_page_about_metrics_says_what_is_declared() {
    let path = dashboards().join("../docs/metrics.md");
    let page = std::fs::read_to_string(path).expect("docs/metrics.md");
    let rows: BTreeSet<&str> = page.lines().filter(|line| line.starts_with("| `swath_")).collect();
    for metric in declared() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let begins = format!("| `{}` | {} | ", metric.name, metric.is.name());
        let ends = format!(" | {} | {} |", labels.join(" "), metric.help);
        let is_told = rows.iter().any(|row| row.starts_with(&begins) && row.ends_with(&ends));
        assert!(is_told, "docs/metrics.md lacks\n{begins}UNIT{ends}");
    }
    assert_eq!(rows.len(), declared().count(), "docs/metrics.md tells of metrics that are not there");
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let read = |name: &str| std::fs::read_to_string(dashboards().join(name)).expect("a file");
    let (alerts, runbook) = (read("alerts.yml"), read("../docs/runbook.md"));
    let named: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(named.len(), 10, "{named:?}");
    for alert in named {
        assert!(runbook.contains(&format!("\n## {alert}\n")), "{alert} has no section");
        let link = format!("runbook_url: docs/runbook.md#{}", alert.to_lowercase());
        assert!(alerts.contains(&link), "{alert} does not lead to its section");
    }
}
