//! What a soak came to.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use swath_proto::status::RunStatus;

/// Of one kind.
#[derive(Default)]
struct Blows {
    n: u32,
    /// From the moment when all was whole again to the next item that was done.
    longest_recovery: Duration,
}

pub(super) struct Report {
    seed: u64,
    started: Instant,
    runs: u32,
    items: u64,
    /// Claims that were answered with "go".
    attempts: usize,
    /// Messages that the broker had handed out before.
    redeliveries: usize,
    /// Items that somebody else had finished, or had put down, before.
    duplicates: usize,
    blows: BTreeMap<String, Blows>,
    mismatches: Vec<String>,
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            started: Instant::now(),
            runs: 0,
            items: 0,
            attempts: 0,
            redeliveries: 0,
            duplicates: 0,
            blows: BTreeMap::new(),
            mismatches: Vec::new(),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn struck(&mut self, name: &str, recovery: Duration) {
        let blows = self.blows.entry(name.to_owned()).or_default();
        blows.n += 1;
        blows.longest_recovery = blows.longest_recovery.max(recovery);
    }

    /// A run is over; `log` is what its processes told.
    pub(super) fn ran(&mut self, log: &str, status: Option<&RunStatus>) {
        self.runs += 1;
        self.items += status.map_or(0, |status| status.stages.values().map(|count| count.done).sum());
        let count = |words: &str| log.matches(words).count();
        self.attempts += count("}: claimed ");
        self.redeliveries += count("}: received again");
        self.duplicates += count("}: somebody else had finished it");
    }

    pub(super) fn mismatch(&mut self, why: String) {
        eprintln!("MISMATCH: {why}");
        self.mismatches.push(why);
    }

    pub(super) fn mismatches(&self) -> &[String] {
        &self.mismatches
    }

    fn longest(&self) -> Option<(&str, Duration)> {
        let of_kind = self.blows.iter().map(|(name, blows)| (name.as_str(), blows.longest_recovery));
        of_kind.max_by_key(|(_, recovery)| *recovery)
    }

    /// One JSON object a line, the last of which is the sum of all.
    pub(super) fn tell(&self) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let faults: BTreeMap<&str, u32> =
            self.blows.iter().map(|(name, blows)| (name.as_str(), blows.n)).collect();
        let (fault, recovery) = self.longest().unwrap_or_default();
        let line = serde_json::json!({
            "name": "soak", "seed": self.seed, "wall_s": self.elapsed().as_secs(), "runs": self.runs,
            "items": self.items, "attempts": self.attempts, "redeliveries": self.redeliveries,
            "duplicates": self.duplicates, "faults": faults, "longest_recovery_s": recovery.as_secs_f64(),
            "longest_recovery_after": fault, "mismatches": self.mismatches.len(),
            "load": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()),
        });
        println!("{line}");
    }

    pub(super) fn print(&self) {
        let mut rows = vec![
            ("seconds", self.elapsed().as_secs().to_string()),
            ("seed", self.seed.to_string()),
            ("runs", self.runs.to_string()),
            ("items", self.items.to_string()),
            ("attempts", self.attempts.to_string()),
            ("redeliveries", self.redeliveries.to_string()),
            ("duplicates", self.duplicates.to_string()),
            ("mismatches", self.mismatches.len().to_string()),
        ];
        let n: u32 = self.blows.values().map(|blows| blows.n).sum();
        rows.push(("faults", n.to_string()));
        for (name, value) in rows {
            println!("{name:<24} {value:>8}");
        }
        println!("\n{:<24} {:>8} {:>20}", "fault", "times", "longest recovery, s");
        for (name, blows) in &self.blows {
            println!("{name:<24} {:>8} {:>20.1}", blows.n, blows.longest_recovery.as_secs_f64());
        }
    }
}
