//! An item for which a machine has too little memory.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use swath_proto::outcome::FailureClass;
use swath_tests::faults::{self, Fault};

use super::PATIENCE;
use crate::{
    failures::{is_whole_after_a_replay, only_failure, submit, victim, with_victim},
    site::{Kind, Process, Site},
};

/// A control group of so much memory; gone with this.
struct Machine(PathBuf);

impl Machine {
    fn of(mib: u64) -> Self {
        let first = Path::new("/sys/fs/cgroup/memory");
        // The older kind of groups has a tree for each resource.
        let (top, limit) = match first.exists() {
            true => (first, "memory.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max"),
        };
        let group = top.join(format!("swath-test-{}", std::process::id()));
        std::fs::create_dir(&group).expect("making a control group takes root: run this test as root");
        let limited = std::fs::write(group.join(limit), (mib << 20).to_string());
        let this = Self(group);
        limited.expect("limiting memory");
        this
    }

    /// Starts a program of a site in it.
    fn start(&self, site: &Site, args: &[&str], fault: [(&str, String); 3]) -> Process {
        let program = site.command(args);
        let mut inside = Command::new("sh");
        inside.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        inside.arg(program.get_program()).args(program.get_args());
        inside.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).envs(fault);
        inside.current_dir(site.folder.path());
        site.start_command(inside)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its last process may still be on its way out.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
#[ignore = "needs root: make test-faults"]
fn an_item_that_takes_all_memory_is_set_aside_as_too_large_and_no_neighbour_is() {
    let site = Site::new(Kind::Embedded);
    let machine = Machine::of(1024);
    let file = with_victim(&site, &victim(&site), "max_failures = 2");
    let run = submit(&site, &file);
    let _coordinator = site.start(&["coordinator"]);
    let strikes = faults::environment(Fault::Gorge, "victim.tif");
    // The lease is long: only its supervisor, which survives it, can tell what became of it.
    let worker = machine.start(&site, &["worker", "--lease", "600"], strikes);
    let status = site.wait(&run, PATIENCE);
    let failed = only_failure(&status);
    assert_eq!(failed.failure.class, FailureClass::Capacity, "{failed:?}");
    assert!(failed.failure.message.contains("memory"), "{failed:?}");
    drop(worker);
    let _worker = site.start(&["worker"]);
    is_whole_after_a_replay(&site, &run);
}
