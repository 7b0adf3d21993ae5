//! A coordinator with a page, and a client that says just what it is told to.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::site::{Process, Site};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Served {
    pub address: String,
    pub process: Process,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Served {
    pub fn coordinator(site: &Site, more: &[&str]) -> Self {
        Self::start(site, &[&["coordinator", "--http", "127.0.0.1:0"][..], more].concat())
    }

    /// Any command that serves the page; the address is what it says.
    pub fn start(site: &Site, args: &[&str]) -> Self {
        let before = site.log().matches("page http://").count();
        let process = site.start(args);
        let started = Instant::now();
        loop {
            // To its end: it may be read while it is written.
            let log = site.log();
            let told = log.split("page http://").nth(before + 1);
            if let Some((address, _)) = told.and_then(|told| told.split_once('/')) {
                return Self { address: address.to_owned(), process };
            }
            assert!(started.elapsed() < PATIENCE, "no page: {}", site.worker_logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("connecting to the page");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        text += body;
        stream.write_all(text.as_bytes()).expect("sending");
        stream
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = Vec::new();
        self.send(method, path, headers, body).read_to_end(&mut all).expect("an answer");
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("headers");
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Answer {
            status: status.parse().expect("a number"),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: all[end + 4..].to_vec(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// As the page itself does.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let origin = format!("http://{}", self.address);
        self.ask("POST", path, &[("Origin", &origin), ("Content-Type", "application/json")], body)
    }

    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// For an answer that does not end.
    pub fn open(&self, path: &str) -> TcpStream {
        self.send("GET", path, &[], "")
    }
}

/// Width and height, as its header has them.
pub fn png_size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG"), "no PNG: {}", String::from_utf8_lossy(&png[..png.len().min(200)]));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}
