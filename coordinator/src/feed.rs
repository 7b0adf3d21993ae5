//! How far ahead the queue is filled: about two minutes of work. What is not published yet can be
//! paused, cancelled and reordered at no cost.

use std::time::Duration;

const AHEAD: Duration = Duration::from_secs(120);
/// Always some, so that the first workers find work before any speed is known.
const AT_LEAST: usize = 16;
/// Bounds the coordinator's memory and the broker's.
const AT_MOST: usize = 20_000;

/// Items that may be out (queued or held) at a time.
pub fn window(items_per_second: f64, n_held: usize) -> usize {
    let by_time = (items_per_second * AHEAD.as_secs_f64()).ceil() as usize;
    // Whoever holds an item should find another one behind it, however slow items are.
    by_time.max(AT_LEAST + 4 * n_held).min(AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_holds_two_minutes_of_work_within_bounds() {
        assert_eq!(window(0.0, 0), 16);
        assert_eq!(window(0.1, 8), 48);
        assert_eq!(window(10.0, 8), 1200);
        assert_eq!(window(5000.0, 64), 20_000);
    }
}
