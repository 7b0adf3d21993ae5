//! Tells how far a long item has come: an object under the root, for whichever coordinator serves the run.

use std::time::Duration;

use swath_backends::blobs::SharedBlobs;
use swath_proto::learn::{TrainProgress, Training};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

const EVERY: Duration = Duration::from_secs(1);
/// News that take longer are old: a store that is slow must not hold the work up.
const WITHIN: Duration = Duration::from_secs(10);

/// Puts the latest under a key, until the sender is gone.
pub async fn publish(blobs: &SharedBlobs, key: &str, mut news: watch::Receiver<Option<Training>>) {
    let (mut due, mut is_news) = (Instant::now(), false);
    loop {
        tokio::select! {
            changed = news.changed() => match changed {
                Ok(()) => is_news = true,
                Err(_) => return,
            },
            () = sleep_until(due), if is_news => {
                is_news = false;
                let latest = news.borrow_and_update().clone();
                if let Some(training) = latest {
                    put(blobs, key, training).await;
                }
                due = Instant::now() + EVERY;
            }
        }
    }
}

async fn put(blobs: &SharedBlobs, key: &str, training: Training) {
    let Ok(json) = serde_json::to_vec(&TrainProgress::V1(training)) else { return };
    match timeout(WITHIN, blobs.put(key, json.into())).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(key, error = error.told(), "progress is not told")
        }
        Err(_) => tracing::debug!(key, "progress is not told: the root is slow"),
    }
}
