//! What every implementation of a door has to do, as checks that run against each of them. They panic
//! with the name of the behaviour that is broken, and use keys, runs and lanes of their own.

pub mod blobs;
pub mod ledger;
mod meeting;
pub mod queue;

use std::{future::Future, time::Duration};

/// Waits for a condition, for as long as anything sensible can take.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 s");
}
