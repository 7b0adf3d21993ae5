//! Where a process shows a few pages of text to machines of its network: metrics, and who else shows some. It takes no
//! token and reads nothing but a path, and nobody who reaches it can hold it up: a connection asks once, within limits.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// Connections that can't be accepted now, for want of file handles for instance, are tried again.
const REST: Duration = Duration::from_millis(200);

/// Of one door.
#[derive(Clone, Copy)]
struct Limits {
    /// At most so many connections at a time; the next wait until one ends.
    connections: usize,
    /// Of a request line and its headers together: Prometheus sends some three hundred.
    headers_bytes: usize,
    headers_within: Duration,
    /// Until a page is made.
    made_within: Duration,
    /// From the first to the last byte of a connection, however slowly it is read.
    ends_within: Duration,
}

const LIMITS: Limits = Limits {
    connections: 32,
    headers_bytes: 8 * 1024,
    headers_within: Duration::from_secs(5),
    made_within: Duration::from_secs(30),
    ends_within: Duration::from_secs(60),
};

/// What a page says; or why it can't now, in words that whoever asks may read.
type Told = Result<String, &'static str>;

/// What is shown at a path.
pub struct Page {
    path: &'static str,
    kind: &'static str,
    tell: Box<dyn Fn() -> BoxFuture<'static, Told> + Send + Sync>,
}

impl Page {
    /// `kind` is its content type; `tell` is called for each who asks.
    pub fn new<F>(
        path: &'static str,
        kind: &'static str,
        tell: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Told> + Send + 'static,
    {
        Self { path, kind, tell: Box::new(move || tell().boxed()) }
    }
}

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
    pub async fn serve(self, pages: Vec<Page>) {
        self.serve_within(LIMITS, pages).await;
    }

    async fn serve_within(self, limits: Limits, pages: Vec<Page>) {
        let pages: Arc<[Page]> = pages.into();
        let room = Arc::new(Semaphore::new(limits.connections));
        loop {
            // It is never closed.
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let pages = pages.clone();
                    tokio::spawn(async move {
                        converse(stream, limits, pages).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection to the metrics was not accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, limits: Limits, pages: Arc<[Page]>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = pages.clone();
        // Its body is not read.
        let (parts, _) = request.into_parts();
        async move { Ok::<_, Infallible>(answer(&parts, limits, &pages).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .max_header_size(limits.headers_bytes)
        .max_buf_size(2 * limits.headers_bytes)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.ends_within, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, "a connection to the metrics broke off"),
        Err(_) => tracing::debug!("whoever asked for metrics reads too slowly, and was cut off"),
    }
}

async fn answer(request: &Parts, limits: Limits, pages: &[Page]) -> Response<Full<Bytes>> {
    let Some(page) = pages.iter().find(|page| page.path == request.uri.path()) else {
        let paths: Vec<&str> = pages.iter().map(|page| page.path).collect();
        return refusal(StatusCode::NOT_FOUND, &format!("there is nothing here but {}", paths.join(" and ")));
    };
    if request.method != Method::GET {
        let refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "this is only read: ask with GET");
        return with(refused, ALLOW, "GET");
    }
    match tokio::time::timeout(limits.made_within, (page.tell)()).await {
        Ok(Ok(text)) => with(Response::new(Full::from(text)), CONTENT_TYPE, page.kind),
        Ok(Err(why)) => with(refusal(StatusCode::SERVICE_UNAVAILABLE, why), RETRY_AFTER, "2"),
        Err(_) => {
            let why = "it takes too long: a server behind it is slow";
            with(refusal(StatusCode::SERVICE_UNAVAILABLE, why), RETRY_AFTER, "2")
        }
    }
}

fn refusal(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let mut refusal = Response::new(Full::from(format!("{words}\n")));
    *refusal.status_mut() = status;
    with(refusal, CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn with(mut answer: Response<Full<Bytes>>, name: HeaderName, value: &'static str) -> Response<Full<Bytes>> {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

#[cfg(test)]
mod tests;
