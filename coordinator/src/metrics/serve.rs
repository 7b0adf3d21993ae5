//! `/metrics` and `/discovery`, for the Prometheus of the coordinator's network: at an address of their own, since it
//! takes no token. What they show are numbers, and the names of runs, workers and hosts.

use std::sync::Arc;

use swath_backends::{
    declared::TEXT_FORMAT,
    door::{Door, Page},
    ledger::Ledger,
};

use crate::discovery;

/// Until it is cut off.
pub async fn serve(door: Door, ledger: Arc<dyn Ledger>) {
    let of_metrics = ledger.clone();
    let metrics = move || {
        let ledger = of_metrics.clone();
        async move { Ok(super::page(&*ledger).await) }
    };
    let discovery = move || targets(ledger.clone());
    let pages = vec![
        Page::new("/metrics", TEXT_FORMAT, metrics),
        Page::new("/discovery", "application/json", discovery),
    ];
    door.serve(pages).await;
}

/// Prometheus keeps the targets that it has while this fails.
async fn targets(ledger: Arc<dyn Ledger>) -> Result<String, &'static str> {
    let workers = discovery::workers(&*ledger).await;
    let told = workers.and_then(|workers| Ok(serde_json::to_string(&discovery::targets(&workers))?));
    told.map_err(|error| {
        tracing::debug!(error = format!("{error:#}"), "who works can't be asked");
        "the ledger can't be asked"
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swath_backends::ledger::embedded::EmbeddedLedger;
    use swath_proto::worker::GROUP;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn prometheus_is_told_of_workers_and_how_many_there_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = EmbeddedLedger::open(&folder.path().join("ledger.db")).expect("a ledger");
        let card = include_str!("../../../proto/samples/worker-v1.json");
        let me = "worker-a".parse().expect("a name");
        ledger.announce(GROUP, &me, card, Duration::from_secs(60)).await.expect("announcing");
        let door = Door::open(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let address = door.address;
        tokio::spawn(serve(door, Arc::new(ledger)));
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.expect("connecting");
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("asking");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let found = ask("/discovery").await;
        assert!(found.contains("content-type: application/json"), "{found}");
        assert!(found.contains("10.0.1.7:39121") && found.contains("worker-a"), "{found}");
        let shown = ask("/metrics").await;
        let leaving = "swath_workers{lanes=\"cpu+gpu\",market=\"spot\",state=\"leaving\"} 1";
        assert!(shown.contains(leaving), "{shown}");
        assert!(shown.contains("swath_build_info{program=\"coordinator\""), "{shown}");
        assert!(ask("/").await.starts_with("HTTP/1.1 404"));
    }
}
