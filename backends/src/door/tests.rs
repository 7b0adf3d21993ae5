use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Of what must end by itself: without its limit it never would.
const PATIENCE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_millis(300);
/// None is in the way of what a test is about.
const WIDE: Limits = Limits {
    connections: 8,
    headers_bytes: 8 * 1024,
    headers_within: Duration::from_secs(600),
    made_within: Duration::from_secs(600),
    ends_within: Duration::from_secs(600),
};

async fn open(limits: Limits, pages: Vec<Page>) -> SocketAddr {
    let door = Door::open(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let address = door.address;
    tokio::spawn(door.serve_within(limits, pages));
    address
}

fn eggs() -> Page {
    Page::new("/eggs", "text/plain", || async { Ok("eggs 3\n".to_owned()) })
}

async fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connecting");
    stream.write_all(request.as_bytes()).await.expect("asking");
    stream
}

/// What comes until the other side ends; it may do so with a reset, since it did not read all that was sent.
async fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    let read = async { while stream.read_buf(&mut all).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("the other side ends");
    String::from_utf8(all).expect("text")
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    rest(send(address, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await).await
}

#[tokio::test]
async fn a_page_is_told_to_whoever_gets_it_and_nothing_else_is() {
    let ill = Page::new("/ill", "text/plain", || async { Err("the ledger can't be asked") });
    let address = open(WIDE, vec![eggs(), ill]).await;
    let told = ask(address, "GET", "/eggs?n=3").await;
    assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("\r\n\r\neggs 3\n"), "{told}");
    assert!(told.contains("content-type: text/plain\r\n"), "{told}");
    let none = ask(address, "GET", "/etc/passwd").await;
    assert!(none.starts_with("HTTP/1.1 404") && none.contains("/eggs and /ill"), "{none}");
    let ill = ask(address, "GET", "/ill").await;
    assert!(ill.starts_with("HTTP/1.1 503") && ill.ends_with("the ledger can't be asked\n"), "{ill}");
    let junk = rest(send(address, "GET /eggs JUNK\r\n\r\n").await).await;
    assert!(junk.starts_with("HTTP/1.1 400"), "{junk}");
    let old = rest(send(address, "GET /eggs HTTP/1.0\r\n\r\n").await).await;
    assert!(old.ends_with("eggs 3\n"), "{old}");
}

#[tokio::test]
async fn it_is_only_read() {
    let address = open(WIDE, vec![eggs()]).await;
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
        let refused = ask(address, method, "/eggs").await;
        assert!(refused.starts_with("HTTP/1.1 405"), "{method}: {refused}");
        assert!(refused.contains("allow: GET\r\n") && !refused.contains("eggs 3"), "{method}: {refused}");
    }
}

#[tokio::test]
async fn a_connection_asks_once() {
    let address = open(WIDE, vec![eggs()]).await;
    let told = rest(send(address, &"GET /eggs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2)).await).await;
    assert_eq!(told.matches("eggs 3").count(), 1, "{told}");
}

#[tokio::test]
async fn headers_are_only_so_long() {
    let address = open(WIDE, vec![eggs()]).await;
    let with = |n: usize| format!("GET /eggs HTTP/1.1\r\nHost: x\r\nLong: {}\r\n\r\n", "x".repeat(n));
    let short = rest(send(address, &with(WIDE.headers_bytes - 200)).await).await;
    assert!(short.starts_with("HTTP/1.1 200"), "{short}");
    let long = rest(send(address, &with(WIDE.headers_bytes + 1)).await).await;
    assert!(long.starts_with("HTTP/1.1 431"), "{long}");
}

#[tokio::test]
async fn who_does_not_say_what_they_want_is_not_waited_for() {
    // Room for one: the next is let in when it is gone.
    let limits = Limits { connections: 1, headers_within: SOON, ..WIDE };
    let address = open(limits, vec![eggs()]).await;
    for begun in ["", "GET /eggs HTT", "GET /eggs HTTP/1.1\r\nHost: x\r\n"] {
        let silent = send(address, begun).await;
        let told = ask(address, "GET", "/eggs").await;
        assert!(told.ends_with("eggs 3\n"), "after {begun:?}: {told}");
        assert!(!rest(silent).await.contains("eggs"), "{begun:?}");
    }
}

#[tokio::test]
async fn who_does_not_read_is_not_waited_for() {
    // More than what lies between both sides holds.
    let large = Page::new("/large", "text/plain", || async { Ok("x".repeat(64 << 20)) });
    let limits = Limits { connections: 1, ends_within: 4 * SOON, ..WIDE };
    let address = open(limits, vec![eggs(), large]).await;
    let _unread = send(address, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let told = ask(address, "GET", "/eggs").await;
    assert!(told.ends_with("eggs 3\n"), "{told}");
}

#[tokio::test]
async fn what_is_never_made_is_given_up() {
    let never = Page::new("/never", "text/plain", pending::<Told>);
    let address = open(Limits { made_within: SOON, ..WIDE }, vec![never]).await;
    let given_up = ask(address, "GET", "/never").await;
    assert!(given_up.starts_with("HTTP/1.1 503") && given_up.contains("takes too long"), "{given_up}");
}

#[tokio::test]
async fn only_so_many_are_let_in_at_a_time_and_the_others_wait() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let go = Arc::new(Semaphore::new(0));
    let waits = {
        let go = go.clone();
        Page::new("/waits", "text/plain", move || {
            let go = go.clone();
            async move {
                MOST.fetch_max(INSIDE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                go.acquire().await.expect("it stays open").forget();
                INSIDE.fetch_sub(1, Ordering::SeqCst);
                Ok("went\n".to_owned())
            }
        })
    };
    let address = open(Limits { connections: 2, ..WIDE }, vec![waits]).await;
    let all: Vec<_> =
        (0..6).map(|_| tokio::spawn(async move { ask(address, "GET", "/waits").await })).collect();
    let full = async {
        while INSIDE.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.expect("two are let in");
    // Time for a third to get in, if any could.
    tokio::time::sleep(SOON).await;
    go.add_permits(6);
    for one in all {
        assert!(one.await.expect("no panic").ends_with("went\n"));
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}
