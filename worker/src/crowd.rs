//! How many items a worker works on at a time. As many as it has slots, but a suspect works alone, so that
//! a crash blames no neighbour twice; and where memory or disk has run short, everyone does for a while.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};

/// How long a worker that has run out of memory or disk takes one item at a time.
pub const NARROW: Duration = Duration::from_secs(5 * 60);

/// Whoever can't work alone here within this time goes elsewhere: a neighbour may take days.
const ALONE_WITHIN: Duration = Duration::from_secs(5 * 60);

#[derive(Default)]
pub struct Crowd {
    /// Neighbours share it; who works alone has it alone.
    room: RwLock<()>,
    narrow_until: Mutex<Option<Instant>>,
}

impl Crowd {
    /// Waits while somebody works alone. None: just now everyone does.
    pub async fn beside_others(&self) -> Option<RwLockReadGuard<'_, ()>> {
        if self.is_narrow() {
            return None;
        }
        Some(self.room.read().await)
    }

    /// Waits until nobody else works here. None: that takes too long.
    pub async fn alone(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        self.alone_within(ALONE_WITHIN).await
    }

    /// Whether somebody works alone, or waits for that: who is here for nothing but to wait for others had better go.
    pub fn is_wanted_alone(&self) -> bool {
        self.room.try_read().is_err()
    }

    async fn alone_within(&self, patience: Duration) -> Option<RwLockWriteGuard<'_, ()>> {
        tokio::time::timeout(patience, self.room.write()).await.ok()
    }

    /// Memory or disk has run short.
    pub fn narrow(&self) {
        self.narrow_for(NARROW);
    }

    fn narrow_for(&self, time: Duration) {
        let mut until = self.narrow_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + time);
    }

    fn is_narrow(&self) -> bool {
        let until = self.narrow_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Returns when there is room for more than one again.
    pub async fn widens(&self) {
        let until = *self.narrow_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Items to take at a time, of so many slots.
    pub fn width(&self, slots: usize) -> usize {
        if self.is_narrow() { slots.min(1) } else { slots }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_has_run_short_takes_one_item_at_a_time_for_a_while() {
        let crowd = Crowd::default();
        assert!(crowd.beside_others().await.is_some());
        assert_eq!(crowd.width(3), 3);
        crowd.narrow();
        assert!(crowd.beside_others().await.is_none());
        assert_eq!((crowd.width(3), crowd.width(1)), (1, 1));
        crowd.narrow_for(Duration::ZERO);
        assert!(crowd.beside_others().await.is_some());
        assert_eq!(crowd.width(3), 3);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_to_work_alone() {
        let crowd = Crowd::default();
        let neighbour = crowd.beside_others().await;
        assert!(!crowd.is_wanted_alone());
        assert!(crowd.alone_within(Duration::from_millis(1)).await.is_none());
        {
            let mut waits = std::pin::pin!(crowd.alone());
            assert!(futures::poll!(waits.as_mut()).is_pending());
            assert!(crowd.is_wanted_alone(), "it waits for its neighbour");
        }
        assert!(!crowd.is_wanted_alone(), "it has given up");
        drop(neighbour);
        let alone = crowd.alone().await;
        assert!(alone.is_some() && crowd.is_wanted_alone());
    }
}
