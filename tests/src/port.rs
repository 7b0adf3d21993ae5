//! Free ports.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nothing listens on, below the range from which the kernel gives ports to clients: a
/// server that is started again finds it free.
pub fn free() -> u16 {
    let start = 20_000 + (std::process::id() % 5_000) as u16;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 7_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
