//! Debian's Redis, with a password and nothing on disk.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{certificates::Certified, port, process::Server};

pub struct Redis {
    pub server: Server,
    port: u16,
    /// Where it listens for TLS.
    tls: u16,
    _folder: tempfile::TempDir,
}

pub const PASSWORD: &str = "a-secret-for-redis";
const FOLLOWS_WITHIN: Duration = Duration::from_secs(60);

impl Redis {
    pub fn start() -> Self {
        Self::start_with(0, Vec::new())
    }

    /// Listens for TLS besides; there it wants to know who clients are, if `asks`.
    pub fn start_with_tls(authority: &Path, server: &Certified, asks: bool) -> Self {
        let tls = port::free();
        let settings = [
            ("--tls-port", tls.to_string()),
            ("--tls-ca-cert-file", authority.display().to_string()),
            ("--tls-cert-file", server.certificate.display().to_string()),
            ("--tls-key-file", server.key.display().to_string()),
            ("--tls-auth-clients", if asks { "yes" } else { "no" }.to_owned()),
        ];
        Self::start_with(
            tls,
            settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect(),
        )
    }

    pub(crate) fn start_with(tls: u16, settings: Vec<String>) -> Self {
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
                .arg(&data)
                .args(&settings);
            command
        };
        let ready = move || ask(port, "PING\r\n").is_some_and(|answer| answer.contains("PONG"));
        Self { server: Server::start(&log, make, ready), port, tls, _folder: folder }
    }

    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// As the server calls itself, or by another name.
    pub fn tls_url(&self, host: &str) -> String {
        format!("rediss://:{PASSWORD}@{host}:{}", self.tls)
    }

    /// As another user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it answers to a command.
    pub fn asked(&self, command: &str) -> String {
        ask(self.port, &format!("{command}\r\n")).unwrap_or_else(|| panic!("no answer to {command}"))
    }

    /// Everything is gone, as after a failover to an empty server.
    pub fn flush(&self) {
        self.tell("FLUSHALL");
    }

    /// Becomes the replica of another, and returns when it has all that the other has.
    pub fn follow(&self, other: &Self) {
        other.tell("CONFIG SET repl-diskless-sync-delay 0");
        self.tell(&format!("CONFIG SET masterauth {PASSWORD}"));
        self.tell(&format!("REPLICAOF 127.0.0.1 {}", other.port));
        let started = Instant::now();
        while !ask(self.port, "INFO replication\r\n")
            .is_some_and(|answer| answer.contains("master_link_status:up"))
        {
            assert!(started.elapsed() < FOLLOWS_WITHIN, "a replica does not get to its master");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Follows nobody any more: what the other is told from now on is lost here.
    pub fn lead(&self) {
        self.tell("REPLICAOF NO ONE");
    }

    /// Takes nothing new once it holds so many bytes, and says so; 0: as many as there are.
    pub fn keep_at_most(&self, bytes: u64) {
        self.tell(&format!("CONFIG SET maxmemory {bytes}"));
    }

    fn tell(&self, command: &str) {
        let answer = ask(self.port, &format!("{command}\r\n"));
        // Before it stands the answer to the password, behind it the one to the farewell.
        assert!(answer.as_ref().is_some_and(|answer| answer.matches("+OK").count() == 3), "{answer:?}");
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
