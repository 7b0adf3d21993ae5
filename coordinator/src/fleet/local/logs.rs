//! What workers of this machine say, a file each: of those that have ended the newest stay, and none grows without end.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Logs of a folder that stay: the newest, and those of workers that are there.
const KEPT: usize = 64;
/// Bytes of a log; of one that has more the last stay.
const LARGEST: u64 = 64 << 20;
const SHORTENED: u64 = 16 << 20;
/// How often it is seen what they have become.
const EVERY: Duration = Duration::from_secs(10);

/// Goes on at the end of a log, or begins it.
pub fn open(log: &Path) -> io::Result<File> {
    shorten(log, LARGEST, SHORTENED)?;
    File::options().create(true).append(true).open(log)
}

/// Looks after a folder of logs for as long as there are workers.
pub struct Tidier {
    folder: PathBuf,
    looked: Instant,
    /// That it can't be done, once.
    is_told: bool,
}

impl Tidier {
    pub fn of(folder: &Path, now: Instant) -> Self {
        Self { folder: folder.to_owned(), looked: now, is_told: false }
    }

    /// To be called as often as one likes; `live` are in use.
    pub fn look(&mut self, now: Instant, live: impl FnOnce() -> BTreeSet<PathBuf>) {
        if now.duration_since(self.looked) < EVERY {
            return;
        }
        self.looked = now;
        match tidy(&self.folder, &live()) {
            Err(error) if !self.is_told => {
                tracing::warn!(folder = %self.folder.display(), %error, "logs of workers can't be tidied, and grow");
                self.is_told = true;
            }
            Err(_) => {}
            Ok(()) => self.is_told = false,
        }
    }
}

/// Removes logs that are too many, and shortens what is too long; those too that a process before this one has left.
fn tidy(folder: &Path, live: &BTreeSet<PathBuf>) -> io::Result<()> {
    prune(folder, live, KEPT)?;
    live.iter().try_for_each(|log| shorten(log, LARGEST, SHORTENED))
}

fn prune(folder: &Path, live: &BTreeSet<PathBuf>, kept: usize) -> io::Result<()> {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_log = name.to_str().is_some_and(|name| name.starts_with("worker-") && name.ends_with(".log"));
        if is_log && let Some(about) = there(entry.metadata())? {
            logs.push((about.modified()?, entry.path()));
        }
    }
    logs.sort();
    let too_many = logs.len().saturating_sub(kept);
    for (_, log) in logs.into_iter().take(too_many).filter(|(_, log)| !live.contains(log)) {
        there(std::fs::remove_file(log))?;
    }
    Ok(())
}

/// Whoever writes at the end of it goes on at its new end; what is written in this moment may be lost.
fn shorten(log: &Path, largest: u64, kept: u64) -> io::Result<()> {
    let Some(about) = there(std::fs::metadata(log))? else { return Ok(()) };
    if about.len() <= largest {
        return Ok(());
    }
    let mut file = File::options().read(true).append(true).open(log)?;
    file.seek(SeekFrom::Start(about.len().saturating_sub(kept)))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let line = rest.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    file.set_len(0)?;
    let cut = about.len().saturating_sub((rest.len() - line) as u64);
    let begin = format!("(the first {cut} bytes of this log were cut off)\n");
    file.write_all(&[begin.as_bytes(), &rest[line..]].concat())
}

/// `None`: somebody else has removed it.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_logs_stay_and_those_of_workers_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = ["worker-a.log", "worker-b.log", "worker-c.log", "worker-d.log", "other.log"];
        for (n, name) in names.iter().enumerate() {
            let file = File::create(path(name)).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n as u64))
                .unwrap();
        }
        prune(folder.path(), &BTreeSet::from([path("worker-a.log")]), 2).unwrap();
        let there = names.map(|name| path(name).exists());
        assert_eq!(there, [true, false, true, true, true]);
    }

    #[test]
    fn logs_are_shortened_again_and_again_while_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker-1.log");
        let live = || BTreeSet::from([log.clone()]);
        let grow = || open(&log).unwrap().set_len(LARGEST + 1).unwrap();
        let len = || std::fs::metadata(&log).unwrap().len();
        let now = Instant::now();
        let mut tidier = Tidier::of(folder.path(), now);
        grow();
        tidier.look(now + EVERY / 2, live);
        assert_eq!(len(), LARGEST + 1, "not yet");
        for nth in 1..=2 {
            tidier.look(now + nth * EVERY, live);
            assert!(len() < LARGEST / 2, "the {nth}. time");
            grow();
        }
    }

    #[test]
    fn a_log_that_is_too_long_keeps_its_end_and_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker-1.log");
        let mut writer = open(&log).unwrap();
        for n in 0..100 {
            writeln!(writer, "line {n}").unwrap();
        }
        shorten(&log, 10_000, 100).unwrap();
        assert!(std::fs::read_to_string(&log).unwrap().starts_with("line 0\n"), "it is short enough");
        shorten(&log, 500, 20).unwrap();
        writeln!(writer, "line 100").unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        // 790 bytes: 20 of them hold the last two lines whole.
        assert_eq!(text, "(the first 774 bytes of this log were cut off)\nline 98\nline 99\nline 100\n");
        shorten(&folder.path().join("none.log"), 0, 0).unwrap();
    }
}
