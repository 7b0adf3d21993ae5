//! Debian's Prometheus, which asks a coordinator and whoever that one tells of, and has the rules of `dashboards/`.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{port, process::Server};

pub const SCRAPED_EVERY: Duration = Duration::from_secs(1);
/// Of what is asked over time.
pub const STEP: Duration = Duration::from_secs(1);

pub struct Prometheus {
    pub server: Server,
    port: u16,
    began: f64,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// `coordinator`: the port of its metrics.
    pub fn start(coordinator: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = port::free();
        let rules = dashboards();
        let config = format!(
            "global: {{ scrape_interval: {every}s, evaluation_interval: {every}s }}\n\
             rule_files: [\"{rules}/rules.yml\", \"{rules}/alerts.yml\"]\n\
             scrape_configs:\n\
             - job_name: swath-coordinator\n  static_configs: [{{ targets: [\"127.0.0.1:{coordinator}\"] }}]\n\
             - job_name: swath-workers\n  http_sd_configs:\n  - url: http://127.0.0.1:{coordinator}/discovery\n    refresh_interval: 1s\n",
            every = SCRAPED_EVERY.as_secs(),
            rules = rules.display(),
        );
        let (file, data) = (folder.path().join("prometheus.yml"), folder.path().join("data"));
        std::fs::write(&file, config).expect("writing Prometheus's configuration");
        let make = move || {
            let mut command = Command::new("prometheus");
            command
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"));
            command
        };
        let ready = move || get(port, "/-/ready").is_some_and(|(status, _)| status == 200);
        let server = Server::start(&folder.path().join("log"), make, ready);
        Self { server, port, began: now(), _folder: folder }
    }

    /// Series with what they were each second since it was started.
    pub fn since_start(&self, query: &str) -> Vec<Value> {
        let (query_of, began, end, step) = (encoded(query), self.began, now(), STEP.as_secs());
        let path = format!("/api/v1/query_range?query={query_of}&start={began}&end={end}&step={step}");
        let found = self.ask(&path, query);
        found["result"].as_array().expect("series").clone()
    }

    /// The rules that it has, by groups.
    pub fn rules(&self) -> Vec<Value> {
        let found = self.ask("/api/v1/rules", "its rules");
        let groups = found["groups"].as_array().expect("groups").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }

    /// Waits until an alert is in a state: inactive, pending, firing.
    pub fn wait_for_alert(&self, name: &str, state: &str, patience: Duration) {
        let started = Instant::now();
        loop {
            let rules = self.rules();
            let rule = rules.iter().find(|rule| rule["name"] == name).expect("an alert of this name");
            if rule["state"] == state {
                return;
            }
            assert!(started.elapsed() < patience, "{name} is not {state}: {rule}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn ask(&self, path: &str, what: &str) -> Value {
        let (status, body) = get(self.port, path).expect("an answer of Prometheus");
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        assert!(status == 200 && answer["status"] == "success", "{what}: {status} {body}");
        answer["data"].clone()
    }
}

/// Dashboards and rules.
pub fn dashboards() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards"))
}

/// Status and body. By the first version of HTTP, so that the body ends with the connection.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
