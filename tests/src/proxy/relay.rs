//! Bytes from one end to the other, as fast as the road allows.

use std::{io, net::Ipv4Addr};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

use super::{Road, Way};

const PIECE: usize = 16 << 10;

/// Both ways, until both have ended. False: it was torn after so many bytes from the server.
pub(super) async fn relay(
    client: &mut TcpStream,
    way: &watch::Receiver<Way>,
    torn_after: Option<u64>,
) -> io::Result<bool> {
    let mut server = connect(way).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = pump(&mut from_client, &mut to_server, way, None);
    let down = pump(&mut from_server, &mut to_client, way, torn_after);
    tokio::pin!(up, down);
    tokio::select! {
        whole = &mut down => Ok(whole? && up.await?),
        whole = &mut up => Ok(whole? && down.await?),
    }
}

pub(super) async fn connect(way: &watch::Receiver<Way>) -> io::Result<TcpStream> {
    let server = way.borrow().server;
    TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await
}

/// Until the end, which is handed on; or until `most` bytes have gone through: then false.
pub(super) async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    way: &watch::Receiver<Way>,
    most: Option<u64>,
) -> io::Result<bool> {
    let (mut way, mut left, mut piece) = (way.clone(), most, vec![0; PIECE]);
    loop {
        let n = from.read(&mut piece).await?;
        pass(&mut way).await;
        if n == 0 {
            to.shutdown().await?;
            return Ok(true);
        }
        let n = left.map_or(n, |left| n.min(left as usize));
        to.write_all(&piece[..n]).await?;
        if let Some(left) = &mut left {
            *left -= n as u64;
            if *left == 0 {
                return Ok(false);
            }
        }
    }
}

/// Waits as long as the road asks a piece to.
pub(super) async fn pass(way: &mut watch::Receiver<Way>) {
    until(way, |way| way.road != Road::Silent).await;
    let road = way.borrow().road;
    if let Road::Slow { pause } = road {
        tokio::time::sleep(pause).await;
    }
}

/// Waits until the way is so; for ever, if nobody steers any more.
pub(super) async fn until(way: &mut watch::Receiver<Way>, wanted: impl FnMut(&Way) -> bool) {
    if way.wait_for(wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}
