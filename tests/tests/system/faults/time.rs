//! Clocks that do not agree.

use std::{path::PathBuf, process::Command};

use super::{Exposed, LEASE};
use crate::site::{Kind, Site};

/// Puts the clock that a process sees so many seconds forward; what it measures stays as it is.
fn shift(command: &mut Command, seconds: &str) {
    command
        .env("LD_PRELOAD", library())
        .env("FAKETIME", seconds)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_NO_CACHE", "1");
}

/// Debian's libfaketime, in the folder of this machine's architecture.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let found = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| path.exists()).expect("libfaketime: run `make setup`")
}

/// Leases are counted by the ledger's clock, so that those of others do not matter.
#[test]
fn clocks_that_are_a_minute_apart_change_nothing() {
    let exposed = Exposed::submit(Site::new(Kind::Servers), &[]);
    let worker = ["worker", "--lease", LEASE, "--grace", "1"];
    let coordinator = ["coordinator", "--lease", LEASE];
    for (args, seconds) in
        [(&coordinator[..], "-60"), (&coordinator, "+60"), (&worker, "-60"), (&worker, "+60")]
    {
        let mut command = exposed.command(args);
        shift(&mut command, seconds);
        exposed.add_command(command);
    }
    exposed.ends_well("clocks two minutes apart");
    // They were: lines of the log begin with what their process takes for the time, and go to and fro.
    let log = exposed.site.log();
    let stamped = log.lines().filter(|line| line.starts_with("20") && line.contains("Z "));
    let minutes: Vec<&str> = stamped.filter_map(|line| line.get(..16)).collect();
    assert!(!minutes.is_sorted(), "all clocks agree: {minutes:?}");
}
