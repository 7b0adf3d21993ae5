//! A road to a server that can be blocked, slowed and broken while it is in use: a TCP relay on a loopback
//! port, whose address clients are given instead of the server's. What goes wrong was set by the test or
//! drawn from a seed beforehand; nothing is left to chance on the way.

use std::{
    net::{Ipv4Addr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::watch,
};

mod answers;
mod http;
mod relay;

use answers::Budget;
pub use answers::{Answer, drawn};

use crate::port;

/// How things stand on the way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    Open,
    /// Nobody listens, and whoever was connected is cut off: the server's process is gone.
    Refused,
    /// Connections are taken and kept, and nothing comes through until the road is open again: the server's
    /// host is gone.
    Silent,
    /// Each piece, of 16 KiB at most, takes that long.
    Slow {
        pause: Duration,
    },
}

/// What every connection looks at.
#[derive(Clone, Copy)]
struct Way {
    road: Road,
    server: u16,
    /// Raised to cut all connections that there are.
    cuts: u64,
}

impl Way {
    fn is_cut(&self, before: u64) -> bool {
        self.cuts != before || self.road == Road::Refused
    }
}

/// How connections are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    /// As bytes.
    Any,
    /// As one HTTP request each, which may be answered in the server's place.
    Http,
}

pub struct Proxy {
    port: u16,
    way: watch::Sender<Way>,
    budget: Arc<Budget>,
    /// Gone only while it is dropped.
    runtime: Option<Runtime>,
}

impl Proxy {
    pub fn before(server: u16) -> Self {
        Self::start(server, Speech::Any)
    }

    /// Clients of S3 and SQS ask once a connection here, so that each request can be told from the next.
    pub fn before_http(server: u16) -> Self {
        Self::start(server, Speech::Http)
    }

    fn start(server: u16, speech: Speech) -> Self {
        let port = port::free();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .expect("a runtime");
        let first = StdListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        first.set_nonblocking(true).expect("a socket of this process");
        let (way, watched) = watch::channel(Way { road: Road::Open, server, cuts: 0 });
        let budget = Arc::new(Budget::default());
        runtime.spawn(listen(port, first, watched, speech, budget.clone()));
        Self { port, way, budget, runtime: Some(runtime) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, road: Road) {
        self.way.send_modify(|way| way.road = road);
    }

    /// Resets every connection that there is; new ones are taken.
    pub fn cut(&self) {
        self.way.send_modify(|way| way.cuts += 1);
    }

    /// From now on the road leads to another server.
    pub fn lead_to(&self, server: u16) {
        self.way.send_modify(|way| (way.server, way.cuts) = (server, way.cuts + 1));
    }

    /// The next `n` connections are reset once so many bytes have come from the server.
    pub fn tear(&self, n: usize, after: u64) {
        self.budget.tear(n, after);
    }

    /// What becomes of the next requests, in their order; those behind the last pass.
    pub fn answer(&self, answers: Vec<Answer>) {
        self.budget.answer(answers);
    }

    /// Requests that did not just pass, and connections that were torn.
    pub fn n_struck(&self) -> usize {
        self.budget.n_struck()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A test may end inside another runtime, where nothing may be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(
    port: u16,
    first: StdListener,
    mut way: watch::Receiver<Way>,
    speech: Speech,
    budget: Arc<Budget>,
) {
    let mut listener = TcpListener::from_std(first).expect("a socket of this process");
    loop {
        loop {
            tokio::select! {
                Ok((client, _)) = listener.accept() => {
                    tokio::spawn(serve(client, way.clone(), speech, budget.clone()));
                }
                () = relay::until(&mut way, |way| way.road == Road::Refused) => break,
            }
        }
        drop(listener);
        relay::until(&mut way, |way| way.road != Road::Refused).await;
        listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("its own port");
    }
}

async fn serve(mut client: TcpStream, way: watch::Receiver<Way>, speech: Speech, budget: Arc<Budget>) {
    let (before, mut watched) = (way.borrow().cuts, way.clone());
    let relayed = async {
        match speech {
            Speech::Any => relay::relay(&mut client, &way, budget.tear_one()).await,
            Speech::Http => http::exchange(&mut client, &way, &budget).await,
        }
    };
    let whole = tokio::select! {
        whole = relayed => whole.unwrap_or(false),
        () = relay::until(&mut watched, |way| way.is_cut(before)) => false,
    };
    if !whole {
        // What is dropped now is reset.
        let _ = client.set_zero_linger();
    }
}
