//! AWS's CloudFormation and Batch as an emulator has them: moto. It looks at neither signatures nor rights, and makes
//! some kinds of resources in name only.

use std::{path::PathBuf, process::Command};

use crate::{
    port,
    process::{self, Server},
};

pub struct Moto {
    pub server: Server,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Moto {
    /// No container is started, whatever runs on this machine.
    pub fn start() -> Self {
        Self::by("unix:///nonexistent".into())
    }

    /// Jobs are containers of whoever listens there, as Docker does: on this machine's own network, and of images that
    /// are there.
    pub fn with_containers(docker: String) -> Self {
        Self::by(docker)
    }

    fn by(docker: String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = port::free();
        let make = move || {
            let mut command = Command::new(python());
            command
                .args(["-c", "from moto.server import main; main()"])
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .env("DOCKER_HOST", &docker)
                .env("MOTO_DOCKER_NETWORK_MODE", "host");
            command
        };
        let log = folder.path().join("log");
        let server = Server::start(&log, make, move || process::listens(port));
        Self { server, port, _folder: folder }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// With boto3 beside it. Installed by `make setup` into the cache.
pub fn python() -> PathBuf {
    crate::cache().join("moto-5.2.5/bin/python")
}
