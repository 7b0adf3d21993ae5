//! Containers by podman, which listens on a socket and answers as Docker does. Takes root; images and containers lie in
//! the cache, and nowhere else. They have the machine's own network.

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::process::Server;

/// Limits that a container within a container may set, and what a machine without systemd has.
const CONF: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "host"
ipcns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;

pub struct Podman {
    pub server: Server,
    folder: PathBuf,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Podman {
    pub fn start() -> Self {
        let folder = crate::cache().join("containers");
        std::fs::create_dir_all(folder.join("tmp")).expect("a folder in the cache");
        std::fs::write(folder.join("containers.conf"), CONF).expect("writing podman's settings");
        let at = folder.display();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\nrunroot = \"{at}/run\"\ngraphroot = \"{at}/storage\"\n"
        );
        std::fs::write(folder.join("storage.conf"), storage).expect("writing podman's settings");
        let own = tempfile::tempdir().expect("a temporary folder");
        let socket = own.path().join("podman.sock");
        let (home, url) = (folder.clone(), format!("unix://{}", socket.display()));
        let make = move || {
            let mut command = of(&home, Path::new("podman"));
            command.args(["system", "service", "--time", "0", url.as_str()]);
            command
        };
        let listens = socket.clone();
        let ready = move || UnixStream::connect(&listens).is_ok();
        let server = Server::start(&own.path().join("log"), make, ready);
        Self { server, folder, socket, _folder: own }
    }

    /// What `DOCKER_HOST` is to be.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// A program in podman's or buildah's own settings, to its end.
    pub fn run(&self, program: &Path, args: &[&str]) -> Output {
        let output = of(&self.folder, program).args(args).output();
        let output = output.unwrap_or_else(|error| {
            panic!("{} can't be started ({error}): run `setup/install images`", program.display())
        });
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {args:?}: {said}", program.display());
        output
    }

    /// Names of the containers that run and whose name begins so, in their order.
    pub fn running(&self, beginning: &str) -> Vec<String> {
        let output = self.run(Path::new("podman"), &["ps", "--format", "{{.Names}}"]);
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut names: Vec<String> =
            names.lines().filter(|name| name.starts_with(beginning)).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// As when its machine is taken away.
    pub fn kill(&self, container: &str) {
        self.run(Path::new("podman"), &["kill", container]);
    }
}

fn of(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("CONTAINERS_CONF", folder.join("containers.conf"))
        .env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"))
        .env("TMPDIR", folder.join("tmp"));
    command
}

/// What a test that failed in the middle has left.
impl Drop for Podman {
    fn drop(&mut self) {
        let removed =
            of(&self.folder, Path::new("podman")).args(["rm", "--all", "--force", "--time", "0"]).output();
        if let Err(error) = removed {
            eprintln!("containers are left: {error}");
        }
    }
}
