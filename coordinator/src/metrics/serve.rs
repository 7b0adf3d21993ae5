//! `/metrics` and `/discovery`, for the Prometheus of the coordinator's network: at an address of their own, since it
//! takes no token. What they show are numbers, and the names of runs, workers and hosts.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use swath_backends::{declared::TEXT_FORMAT, ledger::Ledger};
use tokio::net::TcpListener;

use crate::discovery;

/// A port that is taken.
pub struct Door {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Door {
    /// Port 0 takes any that is free.
    pub async fn open(wanted: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(wanted).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Until it is cut off.
    pub async fn serve(self, ledger: Arc<dyn Ledger>) {
        let app = Router::new()
            .route("/metrics", get(metrics))
            .route("/discovery", get(targets))
            .with_state(ledger);
        if let Err(error) = axum::serve(self.listener, app).await {
            tracing::error!(%error, "metrics are not shown any more");
        }
    }
}

async fn metrics(State(ledger): State<Arc<dyn Ledger>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT_FORMAT)], super::page(&*ledger).await)
}

/// Prometheus keeps the targets that it has while this fails.
async fn targets(State(ledger): State<Arc<dyn Ledger>>) -> Response {
    match discovery::workers(&*ledger).await {
        Ok(workers) => Json(discovery::targets(&workers)).into_response(),
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "who works can't be asked");
            (StatusCode::SERVICE_UNAVAILABLE, "the ledger can't be asked").into_response()
        }
    }
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
        tokio::spawn(door.serve(Arc::new(ledger)));
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
