//! A hundred workers and coordinators killed in one run, and workers that stop where they stand.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use swath_backends::ledger::Ledger;
use swath_proto::{
    ids::RunId,
    item::{Place, Stage},
};

use super::{Exposed, LEASE, PATIENCE, whole};
use crate::{
    heals::SLOW,
    kills::Fleet,
    same_bytes::run_name,
    site::{Kind, Made, Site, pipeline},
};

const KILLS: u32 = 100;
/// A fleet that has got nothing done for so long is disturbed all the same.
const STUCK: Duration = Duration::from_secs(4);
/// In that time a call that was sent is answered.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

async fn n_done(ledger: &dyn Ledger, run: &RunId) -> u64 {
    ledger.snapshot(run).await.expect("a snapshot").n_done()
}

/// Returns how many kills there were before the run was over.
async fn kill_at_random(site: &Site, run: &RunId, fleet: &mut Fleet<'_>, items: u64) -> u32 {
    let ledger = site.doors().await.ledger;
    let mut draw = StdRng::seed_from_u64(20_261_128);
    for killed in 0..KILLS {
        let (wanted, started) = (n_done(&*ledger, run).await + draw.random_range(0..5), Instant::now());
        loop {
            let done = n_done(&*ledger, run).await;
            if done >= items {
                return killed;
            }
            if done >= wanted || started.elapsed() > STUCK {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fleet.kill_one(&mut draw);
    }
    KILLS
}

fn a_hundred(kind: Kind) {
    let run_with = |site: &Site, command: &[&str]| {
        let file = pipeline(site, "item_px = 64", "");
        let args = [command, &[file.to_str().expect("UTF-8")], &SLOW[..]].concat();
        run_name(&site.swath(&args, 0).stdout).trim().to_owned()
    };
    let undisturbed = Site::new(Kind::Embedded);
    let run = run_with(&undisturbed, &["run", "--workers", "2"]);
    let items = undisturbed.status(&run).expect("a status").stages.values().map(|count| count.items).sum();
    let wanted = Made::of(&undisturbed, &run);

    let site = Site::new(kind);
    let run = run_with(&site, &["submit"]);
    let mut fleet = Fleet::start(&site);
    let id = run.parse().expect("a run's name");
    let killed = block_on(kill_at_random(&site, &id, &mut fleet, items));
    let status = site.wait(&run, PATIENCE);
    let what = format!("{kind:?} after {killed} kills");
    assert_eq!(killed, KILLS, "the run was over too soon");
    whole(&site, &run, &status, &what);
    Made::of(&site, &run).assert_same(&wanted, &what);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_hundred_kills_in_one_run_change_nothing_on_the_embedded_twins() {
    a_hundred(Kind::Embedded);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_hundred_kills_in_one_run_change_nothing_on_servers() {
    a_hundred(Kind::Servers);
}

/// Its lease runs out, others do its items, and the run ends without it. When it goes on, nothing that it still
/// does counts.
#[test]
fn a_worker_that_stops_where_it_stands_loses_its_items_and_comes_too_late_when_it_goes_on() {
    let exposed = Exposed::submit(Site::new(Kind::Servers), &[]);
    exposed.add(&["coordinator", "--lease", LEASE]);
    let mut command = exposed.command(&["worker", "--lease", LEASE]);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let stopped = exposed.site.start_command(command);
    let id = exposed.run.parse().expect("a run's name");
    block_on(async {
        let ledger = exposed.site.doors().await.ledger;
        let started = Instant::now();
        // Until it is caught with a window in its hands: it knows that it has it, and has not said that it is done.
        loop {
            assert!(started.elapsed() < PATIENCE, "nothing is ever held\n{}", exposed.site.log());
            stopped.signal_group(libc::SIGSTOP);
            tokio::time::sleep(ON_ITS_WAY).await;
            let held = ledger.held(&id).await.expect("holds");
            let log = exposed.site.log();
            // A word of its own: `predict.0.1` stands in `predict.0.17` too.
            let knows = |place: &Place| {
                let (place, ends) = (place.to_string(), |c: char| !c.is_alphanumeric() && c != '.');
                log.lines().any(|line| line.contains("claimed") && line.split(ends).any(|word| word == place))
            };
            if held.iter().any(|(place, _)| place.stage == Stage::Predict && knows(place)) {
                break;
            }
            stopped.signal_group(libc::SIGCONT);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    exposed.is_at_work("a worker has stopped");
    exposed.add(&["worker", "--lease", LEASE]);
    exposed.ends_well("a worker has stopped for ever");
    stopped.signal_group(libc::SIGCONT);
    let started = Instant::now();
    while !exposed.site.log().contains("somebody else had finished it") {
        assert!(started.elapsed() < PATIENCE, "it never comes too late\n{}", exposed.site.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    exposed.ends_well("a worker has come too late");
}
