//! A disk that is full for a while.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::{LEASE, PATIENCE, whole};
use crate::{
    same_bytes::reference,
    site::{Kind, Made, Site, pipeline},
};

/// A file system of its own, of so many MiB; gone with this.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path, mib: u32) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let size = format!("size={mib}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).status();
        let done = done.expect("starting mount");
        assert!(done.success(), "mounting a small disk takes root: run this test as root");
        Self(folder.into())
    }

    /// Leaves not a byte free.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.ballast()).expect("a file");
        let piece = vec![0; 4096];
        while ballast.write_all(&piece).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("removing");
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // At once for everybody who looks, whoever still has a file of it open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Root, queue and ledger lie on it, so that nobody gets anything down: outputs, settlements, news.
#[test]
#[ignore = "needs root: make test-faults"]
fn a_disk_that_is_full_for_a_while_holds_a_run_up_and_buries_nothing() {
    let site = Site::new(Kind::Embedded);
    let disk = Disk::mount(Path::new(&site.root), 200);
    let file = pipeline(&site, "item_px = 64", "");
    let output = site.swath(&["submit", file.to_str().expect("UTF-8")], 0);
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut processes = vec![site.start(&["coordinator", "--lease", LEASE])];
    processes.extend((0..2).map(|_| site.start(&["worker", "--lease", LEASE, "--grace", "1"])));
    let started = Instant::now();
    while site.predicted(&run) < 60 {
        assert!(started.elapsed() < PATIENCE, "nothing gets done\n{}", site.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    disk.fill();
    while !["No space left", "disk is full"].iter().any(|words| site.log().contains(words)) {
        assert!(started.elapsed() < PATIENCE, "nobody has noticed\n{}", site.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    // For as long as it takes to try many times.
    std::thread::sleep(Duration::from_secs(10));
    disk.free();
    let status = site.wait(&run, PATIENCE);
    whole(&site, &run, &status, "a full disk");
    Made::of(&site, &run).assert_same(reference(), "a full disk");
    drop(processes);
}
