//! How often the system has killed for want of memory, so far as this process can see: a worker that was
//! killed so is told from one that was killed by hand.

use std::path::{Path, PathBuf};

/// Where the count stands.
pub struct OomKills {
    files: Vec<PathBuf>,
}

impl OomKills {
    /// Of this process's control group; of the whole machine where there is no such group.
    pub fn here() -> Self {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut files: Vec<PathBuf> = candidates(&groups, Path::new("/sys/fs/cgroup"))
            .into_iter()
            .filter(|file| read(file).is_some())
            .collect();
        if files.is_empty() {
            files.push("/proc/vmstat".into());
        }
        Self { files }
    }

    pub fn count(&self) -> u64 {
        self.files.iter().filter_map(|file| read(file)).sum()
    }
}

/// Files of a process's groups that may hold a count. In a container the group lies at the top.
fn candidates(groups: &str, top: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (top, name) = match controllers {
            "" => (top.to_owned(), "memory.events"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (top.join("memory"), "memory.oom_control")
            }
            _ => continue,
        };
        let own = top.join(path.trim_start_matches('/')).join(name);
        files.push(if own.exists() { own } else { top.join(name) });
    }
    files
}

fn read(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_both_kinds_of_groups_and_at_the_top_of_a_container() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        let write = |file: &str, text: &str| {
            let file = top.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            file
        };
        let own = write("a/b/memory.events", "low 0\noom 5\noom_kill 3\noom_group_kill 1\n");
        assert_eq!(candidates("0::/a/b\n", top), std::slice::from_ref(&own));
        assert_eq!(read(&own), Some(3));
        let at_top = write("memory.events", "oom_kill 1\n");
        assert_eq!(candidates("0::/elsewhere\n", top), [at_top]);
        let older = write("memory/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
        assert_eq!(candidates("9:cpu:/x\n4:memory:/x\n", top), std::slice::from_ref(&older));
        assert_eq!(read(&older), Some(7));
        assert_eq!(read(&top.join("nowhere")), None);
    }

    #[test]
    fn some_count_can_be_read_here() {
        assert!(!OomKills::here().files.is_empty());
        assert!(read(&OomKills::here().files[0]).is_some());
    }
}
