//! Workers killed on the way, on both kinds of servers. The network learns little, in no time: what is shown is the way.

use std::time::{Duration, Instant};

use swath_proto::status::RunState;

use super::{NAMES, PATIENCE, counted, eval, in_bucket, look_alike, told, trees, trial, unpacked};
use crate::{
    shared_servers::shared,
    site::{Kind, Site},
};

const WORKER: [&str; 4] = ["worker", "--allow-steps", "--lease", "2"];

fn on_rabbitmq() -> Site {
    Site::new(Kind::Servers)
}

fn on_sqs() -> Site {
    Site::on_sqs(|name| shared().s3.sqs_url(name))
}

#[test]
fn experiments_go_on_where_workers_were_killed_before_they_trained_and_after_they_predicted() {
    goes_on("potsdam", &on_sqs(), &["chip", "predict"]);
    goes_on("building-detection", &on_rabbitmq(), &["chip", "predict"]);
}

#[test]
#[ignore = "minutes long: make test-experiments"]
fn every_experiment_goes_on_on_both_brokers_wherever_workers_were_killed() {
    for name in NAMES {
        for site in [on_rabbitmq(), on_sqs()] {
            goes_on(name, &site, &["survey", "chip", "train", "predict"]);
        }
    }
}

/// The worker is killed as soon as something of each of these stages is done: it has what follows in its hands, or is
/// about to. At the end there is what there is undisturbed.
fn goes_on(name: &str, site: &Site, stages: &[&str]) {
    let data = in_bucket(site, &look_alike(site, name));
    let words = trial(name, &data);
    let words: Vec<&str> = ["submit"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let run = told(&site.swath(&words, 0).stdout).trim().to_owned();
    let _coordinator = site.start(&["coordinator"]);
    let mut worker = site.start(&WORKER);
    for stage in stages {
        let began = Instant::now();
        while !has_begun(site, &run, stage) {
            assert!(began.elapsed() < PATIENCE, "{name}: nothing of {stage} is done\n{}", site.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        worker.kill();
        worker = site.start(&WORKER);
    }
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{name}: {status:?}");
    for (stage, count) in &status.stages {
        assert_eq!((count.done, count.buried), (count.items, 0), "{name}: {stage}");
    }
    trees::assert_for_people(name, site, &run);
    let (_, pixels) = counted(&eval(site, &run));
    if name == "open-cities" {
        assert!(pixels > 0.0);
        assert_eq!(unpacked(site, &run).len(), 5);
    } else {
        assert_eq!(pixels, 360_000.0, "{name}");
    }
}

fn has_begun(site: &Site, run: &str, stage: &str) -> bool {
    let status = site.status(run);
    status.is_some_and(|status| {
        status.state.is_final() || status.stages.get(stage).is_some_and(|count| count.done > 0)
    })
}
