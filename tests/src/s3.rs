//! A store that speaks S3 and checks signatures: s3s-fs, over a folder.

use std::{path::PathBuf, process::Command};

use crate::{
    port,
    process::{Server, listens},
};

pub struct S3 {
    pub server: Server,
    port: u16,
    _folder: tempfile::TempDir,
}

pub const BUCKET: &str = "tests";
pub const ACCESS_KEY: &str = "TESTSACCESSKEY";
pub const SECRET_KEY: &str = "a-secret-for-s3";

impl S3 {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        // A bucket is a folder.
        std::fs::create_dir_all(data.join(BUCKET)).expect("making the bucket");
        let port = port::free();
        let make = move || {
            let mut command = Command::new(program());
            command
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
                .arg(&data)
                .env("RUST_LOG", "error");
            command
        };
        let log = folder.path().join("log");
        Self { server: Server::start(&log, make, move || listens(port)), port, _folder: folder }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What clients need in their environment.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_REGION", "us-east-1".into()),
        ]
    }
}

/// Installed by `make setup` into the cache.
fn program() -> PathBuf {
    let cache = std::env::var_os("SWATH_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        home.join(".cache/swath")
    });
    cache.join("s3s-fs-0.14.1/bin/s3s-fs")
}
