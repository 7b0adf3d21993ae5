//! Whether a worker has had nothing in hand for so long that it may leave: over all its lanes together.

use std::time::Duration;

use tokio::sync::watch;

/// How many items are in hand.
#[derive(Default)]
pub struct Idle(watch::Sender<usize>);

pub struct Busy<'a>(&'a Idle);

impl Idle {
    /// Until what is returned is dropped.
    pub fn busy(&self) -> Busy<'_> {
        self.0.send_modify(|n| *n += 1);
        Busy(self)
    }

    /// Returns when nothing has been in hand for that long.
    pub async fn lasts(&self, patience: Duration) {
        let mut in_hand = self.0.subscribe();
        loop {
            // The sender is ours: both end only as they should.
            let _ = in_hand.wait_for(|n| *n == 0).await;
            if tokio::time::timeout(patience, in_hand.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|n| *n -= 1);
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
    }
}
