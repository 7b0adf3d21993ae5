//! The same doors, with a clock: what calls take and how they fail is shown by [`crate::metrics`].

use std::sync::Arc;

use crate::{
    blobs::counted::CountedBlobs, ledger::counted::CountedLedger, open::Doors, queue::counted::CountedQueue,
};

pub fn counted(doors: Doors) -> Doors {
    let Doors { blobs, queue, ledger } = doors;
    Doors {
        blobs: Arc::new(CountedBlobs::new(blobs)),
        queue: Arc::new(CountedQueue::new(queue)),
        ledger: Arc::new(CountedLedger::new(ledger)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract,
        declared::render,
        open::{Urls, open},
    };

    #[tokio::test(flavor = "multi_thread")]
    async fn doors_with_a_clock_keep_the_contracts_and_tell_of_every_verb() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_str().expect("UTF-8").to_owned();
        let urls = Urls { root, queue: "local:".into(), ledger: "local:".into() };
        let open = async || counted(open(&urls).await.expect("opening"));
        let (one, other) = (open().await, open().await);
        contract::blobs::all(one.blobs.clone(), true).await;
        contract::ledger::all(one.ledger, other.ledger).await;
        contract::queue::all(one.queue, other.queue, None).await;
        let text = render();
        for (door, calls) in [
            ("blobs", "put_new put get get_range head list delete compose_new"),
            (
                "ledger",
                "claim invite join extend finish release bury reset reap held snapshot events restore",
            ),
            ("ledger", "set_gate lead leader resign announce announced withdraw"),
            ("queue", "publish receive waiting purge done hand_back"),
        ] {
            for call in calls.split(' ') {
                let series = format!("swath_call_seconds_count{{call=\"{call}\",door=\"{door}\"}} ");
                assert!(text.contains(&series), "{series}\n{text}");
            }
        }
        assert!(text.contains("swath_call_errors_total{door=\"blobs\",error=\"not_found\"} "), "{text}");
        assert!(text.contains("swath_blob_bytes_total{direction=\"written\"} "), "{text}");
    }
}
