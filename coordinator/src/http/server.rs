//! The socket: connections are bounded in number, and one that does not say what it wants is closed.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::{
    access::Token,
    routes,
    security::Peer,
    site::{Page, Site},
};

/// At most so many at a time; the next wait until one is closed.
const CONNECTIONS: usize = 1024;
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Of a request line and its headers together.
const HEADERS_BYTES: usize = 32 * 1024;
/// Answers that are under way when the process is told to go.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What can't be accepted now, for want of file handles for instance, is tried again.
const REST: Duration = Duration::from_millis(200);

/// Where the page is to be, and who may see it there.
pub struct Options {
    pub listen: SocketAddr,
    pub token: Option<Token>,
}

impl Options {
    /// Elsewhere than on this machine somebody else may ask: not without a token.
    pub fn check(&self) -> Result<(), String> {
        if self.token.is_none() && !self.listen.ip().is_loopback() {
            return Err(format!(
                "--http {}: elsewhere than on 127.0.0.1 the page takes a token: name a file that holds one with \
                 --http-token-file, or set SWATH_HTTP_TOKEN (`openssl rand -hex 32` prints one)",
                self.listen
            ));
        }
        Ok(())
    }
}

/// A socket that is open, so that whoever can't have it hears of it at once.
pub struct Door {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Door {
    pub async fn open(listen: SocketAddr) -> anyhow::Result<Self> {
        let listening = || format!("listening on {listen} for the page");
        let listener = TcpListener::bind(listen).await.with_context(listening)?;
        let address = listener.local_addr().with_context(listening)?;
        Ok(Self { listener, address })
    }

    /// Until `stop` is set.
    pub async fn serve(self, page: Page, stop: CancellationToken) {
        let router = routes::router(Site::new(page, stop.clone()));
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let next = async {
                let permit = room.clone().acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = next => next,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    tokio::spawn(async move {
                        converse(stream, peer, router, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection to the page was not accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
        // Those that are told something for as long as they listen hear of the end by themselves.
        let all = tokio::time::timeout(LAST_WORDS, room.acquire_many(CONNECTIONS as u32)).await;
        if all.is_err() {
            tracing::debug!("connections to the page are cut off");
        }
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    // Small answers go at once.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let answer = hyper::service::Service::call(&service, request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADERS_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection to the page broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_open_to_others_only_with_a_token() {
        let token = || Token::new("0123456789abcdef").ok();
        let check = |listen: &str, token| Options { listen: listen.parse().unwrap(), token }.check();
        assert!(check("127.0.0.1:0", None).is_ok() && check("[::1]:7878", None).is_ok());
        assert!(check("0.0.0.0:7878", token()).is_ok());
        for listen in ["0.0.0.0:7878", "[::]:7878", "192.168.1.2:80"] {
            assert!(check(listen, None).unwrap_err().contains("--http-token-file"), "{listen}");
        }
    }
}
