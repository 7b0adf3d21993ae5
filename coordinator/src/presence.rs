//! Coordinators that watch a root say so in the ledger: a run that is over has nobody in its office, and whoever asks
//! something of it wants to know whether anybody takes it.

use std::time::Duration;

use swath_backends::{ledger::Ledger, open::Doors};
use swath_proto::{ids::WorkerId, worker::root_mark};
use tokio_util::sync::CancellationToken;

/// How often it is said, and for how long it holds.
const SAID_EVERY: Duration = Duration::from_secs(5);
const HOLDS: Duration = Duration::from_secs(15);
/// Nobody waits longer for a ledger that is away.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Several roots may share a ledger.
fn group(root_uri: &str) -> String {
    format!("coordinators/{}", root_mark(root_uri))
}

/// Who takes what is asked of runs under a root.
pub async fn coordinators(ledger: &dyn Ledger, root_uri: &str) -> swath_backends::Result<Vec<WorkerId>> {
    let there = ledger.announced(&group(root_uri)).await?;
    Ok(there.into_iter().map(|(name, _)| name).collect())
}

/// Says it until all is over.
pub(crate) async fn tell(doors: &Doors, me: &WorkerId, over: &CancellationToken) {
    let group = group(&doors.blobs.uri(""));
    loop {
        let said = async {
            if let Err(error) = doors.ledger.announce(&group, me, "", HOLDS).await {
                tracing::debug!(error = error.doing, "nobody can be told that this coordinator is there");
            }
            tokio::time::sleep(SAID_EVERY).await;
        };
        tokio::select! {
            () = over.cancelled() => break,
            () = said => {}
        }
    }
    // It runs out by itself.
    let _ = tokio::time::timeout(LAST_WORDS, doors.ledger.withdraw(&group, me)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        run::{LEASE, Me},
        serve::serve,
    };
    use swath_backends::open::{Urls, open};

    #[tokio::test]
    async fn a_coordinator_is_there_until_it_stops() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let doors = open(&Urls { root, queue: "local:".into(), ledger: "local:".into() }).await.unwrap();
        let here = doors.blobs.uri("");
        let there = async |root: &str| coordinators(&*doors.ledger, root).await.unwrap();
        assert!(there(&here).await.is_empty());
        let me = Me { name: "coordinator-a-1".parse().unwrap(), lease: LEASE, prices: None };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(doors.clone(), me.clone(), stop.clone()));
        while there(&here).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(there(&here).await, [me.name]);
        assert!(there("/another/root").await.is_empty());
        stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(there(&here).await.is_empty());
    }
}
