//! One HTTP request a connection: read as far as its head, answered here or by the server.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

use super::{
    Way,
    answers::{Answer, Budget},
    relay::{connect, pass, pump},
};

const LONGEST_HEAD: usize = 64 << 10;
/// Whoever is answered before all is sent may go on sending for so long.
const LINGER: Duration = Duration::from_secs(5);

/// False: the connection is to be reset.
pub(super) async fn exchange(
    client: &mut TcpStream,
    way: &watch::Receiver<Way>,
    budget: &Budget,
) -> io::Result<bool> {
    // A client that has connected in advance and asks nothing takes nothing of the budget.
    let Some((head, rest)) = read_head(client, Vec::new()).await? else { return Ok(true) };
    pass(&mut way.clone()).await;
    let is_head = head.starts_with(b"HEAD ");
    match budget.take() {
        Answer::Reset => Ok(false),
        Answer::InternalError => {
            refuse(client, is_head, "500 Internal Server Error", "InternalError", "We failed.").await
        }
        Answer::SlowDown => {
            refuse(client, is_head, "503 Slow Down", "SlowDown", "Please reduce your request rate.").await
        }
        answer @ (Answer::Pass | Answer::Lost | Answer::Truncated) => {
            forward(client, way, &close_after(&head), &rest, answer).await
        }
    }
}

/// In the server's place.
async fn refuse(
    client: &mut TcpStream,
    is_head: bool,
    status: &str,
    code: &str,
    message: &str,
) -> io::Result<bool> {
    let body = match is_head {
        true => String::new(),
        false => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        ),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await?;
    // Closing on what is still being sent would reset the connection, and take the answer with it.
    let drained = async {
        let mut piece = vec![0; 16 << 10];
        while client.read(&mut piece).await.is_ok_and(|n| n > 0) {}
    };
    let _ = tokio::time::timeout(LINGER, drained).await;
    Ok(true)
}

async fn forward(
    client: &mut TcpStream,
    way: &watch::Receiver<Way>,
    head: &[u8],
    rest: &[u8],
    answer: Answer,
) -> io::Result<bool> {
    let mut server = connect(way).await?;
    server.write_all(head).await?;
    server.write_all(rest).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    // A client that has nothing more to say still waits for its answer.
    let up = async {
        pump(&mut from_client, &mut to_server, way, None).await?;
        std::future::pending::<io::Result<bool>>().await
    };
    let down = async {
        let mut read = Vec::new();
        let (head, rest) = loop {
            let Some((head, rest)) = read_head(&mut from_server, read).await? else { return Ok(false) };
            pass(&mut way.clone()).await;
            if !head.starts_with(b"HTTP/1.1 1") {
                break (head, rest);
            }
            // "Continue", and such: the answer is yet to come.
            to_client.write_all(&head).await?;
            read = rest;
        };
        if answer == Answer::Lost {
            return Ok(false);
        }
        to_client.write_all(&close_after(&head)).await?;
        let most = (answer == Answer::Truncated).then(|| length(&head) / 2);
        let n = most.map_or(rest.len(), |most| rest.len().min(most as usize));
        to_client.write_all(&rest[..n]).await?;
        match most.map(|most| most - n as u64) {
            Some(0) => {}
            left => {
                pump(&mut from_server, &mut to_client, way, left).await?;
            }
        }
        // Without a word, as if that had been all.
        to_client.shutdown().await?;
        Ok(true)
    };
    tokio::select! {
        whole = down => whole,
        failed = up => failed,
    }
}

/// A head with its empty line, and what was read of what follows; `read`: what was read before. None: it ended
/// before the head did.
async fn read_head(
    from: &mut (impl AsyncRead + Unpin),
    mut read: Vec<u8>,
) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut piece = vec![0; 4096];
    loop {
        if let Some(at) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            let rest = read.split_off(at + 4);
            return Ok(Some((read, rest)));
        }
        if read.len() > LONGEST_HEAD {
            return Err(io::Error::other("a head without an end"));
        }
        let n = from.read(&mut piece).await?;
        if n == 0 {
            return Ok(None);
        }
        read.extend_from_slice(&piece[..n]);
    }
}

/// The same head, of a message that is the last on its connection.
fn close_after(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let is_connection = |line: &str| line.to_ascii_lowercase().starts_with("connection:");
    let mut lines: Vec<&str> = text.trim_end().split("\r\n").filter(|line| !is_connection(line)).collect();
    lines.extend(["Connection: close", "", ""]);
    lines.join("\r\n").into_bytes()
}

/// Of the body; 0 where the head does not say.
fn length(head: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let told = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
    told.and_then(|told| told.trim().parse().ok()).unwrap_or(0)
}
