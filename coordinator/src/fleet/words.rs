//! Numbers as the reasons of decisions tell them.

/// `1 worker`, `2 workers`.
pub fn workers(n: u32) -> String {
    format!("{n} worker{}", if n == 1 { "" } else { "s" })
}

pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) if minutes >= 10 || seconds.is_multiple_of(60) => format!("{minutes} min"),
        (0, _) => format!("{seconds} s"),
        (hours, _) => format!("{hours} h {:02} min", seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (seconds, words) in
            [(0.4, "0 s"), (90.0, "90 s"), (120.0, "2 min"), (700.0, "11 min"), (7320.0, "2 h 02 min")]
        {
            assert_eq!(duration(seconds), words);
        }
    }
}
