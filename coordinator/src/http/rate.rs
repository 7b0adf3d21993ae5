//! How often one address may ask: a bucket that fills up at a steady pace, and is emptied by requests.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Addresses that are remembered: who asks from many at once is held up by the number of connections.
const MOST: usize = 4096;

pub(super) struct Rate {
    per_second: f64,
    at_once: f64,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Rate {
    pub(super) fn new(per_second: f64, at_once: f64) -> Self {
        Self { per_second, at_once, buckets: Mutex::default() }
    }

    /// Whether there is one left; it is taken then.
    pub(super) fn take(&self, from: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(&from) {
            // A bucket that is full again says nothing.
            buckets.retain(|_, bucket| self.level(*bucket, now) < self.at_once);
            if buckets.len() >= MOST {
                return false;
            }
        }
        let bucket = buckets.entry(from).or_insert((self.at_once, now));
        let level = self.level(*bucket, now);
        let is_left = level >= 1.0;
        *bucket = (if is_left { level - 1.0 } else { level }, now);
        is_left
    }

    fn level(&self, (level, at): (f64, Instant), now: Instant) -> f64 {
        let filled = now.saturating_duration_since(at).as_secs_f64() * self.per_second;
        (level + filled).min(self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;

    #[test]
    fn who_asks_too_often_waits_and_nobody_else_does() {
        let rate = Rate::new(2.0, 3.0);
        let [one, other] = [1, 2].map(|last| IpAddr::from(Ipv4Addr::new(127, 0, 0, last)));
        let start = Instant::now();
        let taken = (0..5).filter(|_| rate.take(one, start)).count();
        assert_eq!(taken, 3);
        assert!(rate.take(other, start));
        assert!(!rate.take(one, start + Duration::from_millis(400)));
        assert!(rate.take(one, start + Duration::from_millis(900)));
    }

    #[test]
    fn very_many_addresses_take_no_more_memory_than_some() {
        let rate = Rate::new(1.0, 2.0);
        let start = Instant::now();
        for n in 0..MOST as u32 {
            assert!(rate.take(IpAddr::from(Ipv4Addr::from(n)), start));
        }
        let stranger = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1));
        assert!(!rate.take(stranger, start));
        assert!(rate.take(stranger, start + Duration::from_secs(2)));
        assert_eq!(rate.buckets.lock().unwrap().len(), 1);
    }
}
