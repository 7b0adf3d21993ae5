//! Debian's Redis, with a password and nothing on disk.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use crate::{port, process::Server};

pub struct Redis {
    pub server: Server,
    port: u16,
    _folder: tempfile::TempDir,
}

pub const PASSWORD: &str = "a-secret-for-redis";

impl Redis {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = port::free();
        let (log, data) = (folder.path().join("log"), folder.path().to_owned());
        let make = move || {
            let mut command = Command::new("redis-server");
            command
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ])
                .args(["--requirepass", PASSWORD, "--dir"])
                .arg(&data);
            command
        };
        let ready = move || ask(port, "PING\r\n").is_some_and(|answer| answer.contains("PONG"));
        Self { server: Server::start(&log, make, ready), port, _folder: folder }
    }

    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Everything is gone, as after a failover to an empty server.
    pub fn flush(&self) {
        let answer = ask(self.port, "FLUSHALL\r\n");
        assert!(answer.as_ref().is_some_and(|answer| answer.contains("+OK")), "{answer:?}");
    }
}

fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "AUTH {PASSWORD}\r\n{command}QUIT\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
