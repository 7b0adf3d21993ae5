//! What is left of this worker's machine: looked at when somebody asks.

use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use prometheus::Gauge;

use super::{DISK_FREE, DISK_SIZE, MEMORY_AVAILABLE, MEMORY_LIMIT};

static GAUGES: LazyLock<[Gauge; 4]> =
    LazyLock::new(|| [&DISK_SIZE, &DISK_FREE, &MEMORY_LIMIT, &MEMORY_AVAILABLE].map(|of| of.to_gauge()));

#[derive(Clone)]
pub struct Machine {
    /// On the disk that is looked at.
    folder: Arc<PathBuf>,
}

impl Machine {
    pub fn of(folder: &Path) -> Self {
        // It may not have been made yet.
        let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
        Self { folder: Arc::new(there.to_owned()) }
    }

    pub(super) fn look(&self) {
        let (disk, memory) = (disk(&self.folder), memory());
        let found = [
            disk.map(|disk| disk.0),
            disk.map(|disk| disk.1),
            memory.map(|all| all.0),
            memory.map(|all| all.1),
        ];
        for (gauge, value) in GAUGES.iter().zip(found) {
            if let Some(value) = value {
                gauge.set(value as f64);
            }
        }
    }
}

/// Bytes of the disk, and those that are left for this user.
fn disk(folder: &Path) -> Option<(u64, u64)> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: all zeroes are a value of this plain struct.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a path that ends with 0, and a struct to be written into; both live as long as the call.
    let answer = unsafe { libc::statvfs(path.as_ptr(), &raw mut found) };
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    (answer == 0).then(|| (bytes(found.f_blocks), bytes(found.f_bavail)))
}

/// Bytes that this process may have with its like, and those that are left.
fn memory() -> Option<(u64, u64)> {
    let of_machine = of_machine(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_group = group(&groups).and_then(|folder| {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        of_group(&read("memory.max")?, &read("memory.current")?, &read("memory.stat")?)
    });
    let (limit, available) = of_group.unwrap_or(of_machine);
    // A group may be allowed more than there is.
    Some((limit.min(of_machine.0), available.min(of_machine.1)))
}

/// Where the group of a process is told of, in the second version of control groups.
fn group(groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = Path::new("/sys/fs/cgroup").join(path);
    // In a container the group lies at the top.
    Some(if own.join("memory.max").exists() { own } else { "/sys/fs/cgroup".into() })
}

fn of_group(max: &str, current: &str, stat: &str) -> Option<(u64, u64)> {
    // "max" is no limit.
    let limit: u64 = max.trim().parse().ok()?;
    let used: u64 = current.trim().parse().ok()?;
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
    Some((limit, limit.saturating_sub(used.saturating_sub(files.unwrap_or(0)))))
}

fn of_machine(meminfo: &str) -> Option<(u64, u64)> {
    let kib = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    Some((kib("MemTotal:")? * 1024, kib("MemAvailable:")? * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_files_that_may_be_dropped_as_left() {
        let stat = "anon 500\nfile 300\ninactive_file 200\n";
        assert_eq!(of_group("1000\n", "800\n", stat), Some((1000, 400)));
        assert_eq!(of_group("max\n", "800\n", stat), None, "without a limit the machine's counts");
        let meminfo = "MemTotal:       24 kB\nMemFree:        1 kB\nMemAvailable:   12 kB\n";
        assert_eq!(of_machine(meminfo), Some((24 * 1024, 12 * 1024)));
        assert_eq!(of_machine("nothing"), None);
    }

    #[test]
    fn this_machine_has_a_disk_and_memory() {
        let (size, free) = disk(&Machine::of(Path::new("/no/such/folder")).folder).expect("a disk");
        assert!(free <= size && size > 0);
        let (limit, available) = memory().expect("memory");
        assert!(available <= limit && limit > 0);
    }
}
