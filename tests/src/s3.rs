//! A store that speaks S3, and queues that speak SQS: LocalStack. It keeps conditional writes, multipart
//! uploads and visibility as the real things do, and checks neither signatures nor rights.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use crate::{
    port,
    process::Server,
    relay::{self, Relay},
};

pub struct S3 {
    pub server: Server,
    port: u16,
    _folder: tempfile::TempDir,
}

pub const BUCKET: &str = "tests";
pub const REGION: &str = "us-east-1";

impl S3 {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = port::free();
        let data = folder.path().to_owned();
        let make = move || {
            let mut command = Command::new(python());
            let address = format!("127.0.0.1:{port}");
            command
                .args(["-m", "localstack.runtime.main"])
                .env("GATEWAY_LISTEN", &address)
                .env("LOCALSTACK_HOST", &address)
                .env("DATA_DIR", &data)
                .env("SERVICES", "s3,sqs")
                .env("SQS_ENDPOINT_STRATEGY", "path")
                // Nothing is fetched and nobody is told.
                .envs(
                    ["EAGER_SERVICE_LOADING", "STRICT_SERVICE_LOADING", "DISABLE_EVENTS"]
                        .map(|name| (name, "1")),
                )
                .envs(["SKIP_INFRA_DOWNLOADS", "SKIP_SSL_CERT_DOWNLOAD"].map(|name| (name, "1")))
                .envs(["OVERRIDE_IN_DOCKER", "DEBUG"].map(|name| (name, "0")))
                .env("DOCKER_HOST", "unix:///nonexistent");
            command
        };
        // It is ready when it makes the bucket (again: it keeps nothing over a restart).
        let ready =
            move || request(port, "PUT", BUCKET).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
        let log = folder.path().join("log");
        Self { server: Server::start(&log, make, ready), port, _folder: folder }
    }

    /// All queues begin with `prefix`.
    pub fn sqs_url(&self, prefix: &str) -> String {
        format!("sqs://{REGION}/{prefix}?endpoint=http://127.0.0.1:{}", self.port)
    }

    /// Between a client and the queues, for tests that count calls or spoil them.
    pub fn relay(&self) -> Relay {
        Relay::start(self.port)
    }

    /// A call past our own client, for what it never does.
    pub fn sqs(&self, action: &str, body: &serde_json::Value) -> serde_json::Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("LocalStack listens");
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.{action}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/sqs/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("asking LocalStack");
        let answer = relay::read_answer(&mut stream).expect("an answer");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{action}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What clients need in their environment.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_REGION", REGION.into()),
        ]
    }
}

fn request(port: u16, verb: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(
        stream,
        "{verb} /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Installed by `make setup` into the cache.
fn python() -> PathBuf {
    crate::cache().join("localstack-4.3.0/bin/python")
}
