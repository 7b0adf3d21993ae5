//! A measurement as one JSON object a line, and what processes have used.

/// What processes have used.
pub struct Usage {
    pub cpu_s: f64,
    pub rss_mib: f64,
    /// Those that the kernel answered without the disk.
    pub page_faults: i64,
}

pub fn print(name: &str, value: f64, unit: &str, cpu_s: f64, wall_s: f64) {
    let line = serde_json::json!({
        "name": name, "value": value, "unit": unit, "cpu_s": cpu_s, "wall_s": wall_s,
        "rss_mib": own_usage().rss_mib, "load": load(), "commit": env!("SWATH_COMMIT"),
    });
    say!("{line}");
}

pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

pub fn own_usage() -> Usage {
    usage(libc::RUSAGE_SELF)
}

/// Of all children that have ended, and of theirs; the memory of the largest.
pub fn usage_of_children() -> Usage {
    usage(libc::RUSAGE_CHILDREN)
}

fn usage(of: libc::c_int) -> Usage {
    // SAFETY: zeroes are a valid rusage, and the call only writes into it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(of, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    Usage {
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        rss_mib: usage.ru_maxrss as f64 / 1024.0,
        page_faults: usage.ru_minflt,
    }
}
