//! From a laptop outside the network: the root can be reached, queue and ledger can not.

use std::{process::Output, time::Duration};

use swath_proto::status::RunState;

use crate::site::{Kind, Site, pipeline};

const PATIENCE: Duration = Duration::from_secs(120);

/// Nothing listens there.
const NO_QUEUE: &str = "amqp://guest:guest@127.0.0.1:1/%2f";
const NO_LEDGER: &str = "redis://127.0.0.1:1";

fn swath(site: &Site, args: &[&str]) -> String {
    let mut command = site.command(args);
    let Output { status, stdout, stderr } =
        command.env("SWATH_QUEUE", NO_QUEUE).env("SWATH_LEDGER", NO_LEDGER).output().expect("starting swath");
    assert_eq!(status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

#[test]
fn submitting_watching_and_steering_take_the_root_alone() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let file = pipeline(&site, "item_px = 1024", "").display().to_string();
        swath(&site, &["plan", &file]);
        let run = swath(&site, &["submit", &file, "--priority", "-2"]).trim().to_owned();
        for args in [
            vec!["status"],
            vec!["status", &run],
            vec!["pause", &run],
            vec!["resume", &run],
            vec!["priority", &run, "7", "--share", "2"],
            vec!["items", &run],
            vec!["pause", &run],
        ] {
            swath(&site, &args);
        }
        let _coordinator = site.start(&["coordinator"]);
        // In the order in which they were given: the last one wins.
        site.wait_obeyed(&run, PATIENCE);
        let paused = site.status(&run).expect("the run's status");
        assert_eq!(paused.state, RunState::Paused);
        assert_eq!((paused.rank.priority, paused.rank.share), (7, 2));
        assert!(swath(&site, &["status", &run]).contains("priority 7 (share 2)"));
        assert!(swath(&site, &["cancel", &run]).contains("asked"));
        assert_eq!(site.wait(&run, PATIENCE).state, RunState::Cancelled);
    }
}
