//! Whether a worker has had nothing in hand for so long that it may leave, and for how long it has been busy: over all
//! its lanes together.

use std::time::{Duration, Instant};

use tokio::sync::watch;

#[derive(Default)]
pub struct Idle(watch::Sender<Hands>);

#[derive(Default)]
struct Hands {
    /// How many items are in hand.
    n: usize,
    /// Since when there are any.
    since: Option<Instant>,
    /// Before that.
    busy: Duration,
}

pub struct Busy<'a>(&'a Idle);

impl Idle {
    /// Until what is returned is dropped.
    pub fn busy(&self) -> Busy<'_> {
        self.0.send_modify(|hands| {
            hands.n += 1;
            hands.since.get_or_insert_with(Instant::now);
        });
        Busy(self)
    }

    /// How many items are in hand, and for how long there have been any.
    pub fn hands(&self) -> (usize, Duration) {
        let hands = self.0.borrow();
        (hands.n, hands.busy + hands.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// Returns when nothing has been in hand for that long.
    pub async fn lasts(&self, patience: Duration) {
        let mut in_hand = self.0.subscribe();
        loop {
            // The sender is ours: both end only as they should.
            let _ = in_hand.wait_for(|hands| hands.n == 0).await;
            if tokio::time::timeout(patience, in_hand.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|hands| {
            hands.n -= 1;
            if hands.n == 0 {
                hands.busy += hands.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_leaves_while_anything_is_in_hand_or_right_after() {
        let idle = Idle::default();
        let patience = Duration::from_millis(20);
        let first = idle.busy();
        let stays = async || tokio::time::timeout(patience * 5, idle.lasts(patience)).await.is_err();
        assert!(stays().await, "it left with an item in hand");
        let second = idle.busy();
        drop(first);
        assert!(stays().await, "it left with another's item in hand");
        drop(second);
        let began = std::time::Instant::now();
        idle.lasts(patience).await;
        assert!(began.elapsed() >= patience, "it left before its time");
        let (n, busy) = idle.hands();
        assert!(n == 0 && busy >= patience * 10, "{busy:?} for twice {:?}", patience * 5);
        assert_eq!(idle.hands().1, busy, "nobody is busy with empty hands");
    }
}
