//! Debian's RabbitMQ as a node of its own, beside whatever else runs on the machine.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    port,
    process::{Server, listens},
};

pub struct RabbitMq {
    pub server: Server,
    port: u16,
    epmd: u16,
    /// Erlang's name server: the node would start one that outlives it.
    _names: Server,
    _folder: tempfile::TempDir,
}

impl RabbitMq {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [amqp, distribution, epmd] = [port::free(), port::free(), port::free()];
        configure(folder.path(), amqp);
        let (log, data) = (folder.path().join("log.txt"), folder.path().to_owned());
        let make = move || command(&data, amqp, distribution, epmd);
        let names = move || {
            let mut command = Command::new("epmd");
            command.args(["-port", &epmd.to_string(), "-address", "127.0.0.1"]);
            command
        };
        let names = Server::start(&folder.path().join("names.txt"), names, move || listens(epmd));
        Self {
            server: Server::start(&log, make, move || answers(amqp)),
            port: amqp,
            epmd,
            _names: names,
            _folder: folder,
        }
    }

    /// From now on the broker keeps no more than `most` messages a queue, and refuses the others.
    pub fn keep_at_most(&self, most: usize) {
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        command
            .args(["-n", "tests@localhost", "set_policy", "few", ".*"])
            .arg(format!(r#"{{"max-length":{most},"overflow":"reject-publish"}}"#))
            .args(["--apply-to", "queues"])
            .env("HOME", self._folder.path().join("home"))
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
        let output = command.output().expect("starting rabbitmqctl");
        assert!(output.status.success(), "{output:?}");
    }

    /// All queues begin with `prefix`.
    pub fn url(&self, prefix: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f?prefix={prefix}", self.port)
    }
}

fn configure(folder: &Path, amqp: u16) {
    let write =
        |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("writing its settings");
    let config = format!(
        "listeners.tcp.default = 127.0.0.1:{amqp}\nvm_memory_high_watermark.absolute = 512MB\n\
         disk_free_limit.absolute = 50MB\nlog.console = false\nlog.file.level = warning\n"
    );
    write("rabbitmq.conf", &config);
    write("plugins", "[].");
    std::fs::create_dir(folder.join("home")).expect("making its home");
    let cookie = folder.join("home/.erlang.cookie");
    std::fs::write(&cookie, "a-cookie-for-tests").expect("writing its cookie");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(&cookie, private).expect("guarding its cookie");
}

fn command(folder: &Path, amqp: u16, distribution: u16, epmd: u16) -> Command {
    // The wrapper under /usr/sbin changes to another user; this is the server itself.
    let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    command
        .env("HOME", folder.join("home"))
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", "tests@localhost")
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", amqp.to_string())
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", folder.join("log"))
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_PID_FILE", folder.join("pid"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("schema"))
        .env("RABBITMQ_FEATURE_FLAGS_FILE", folder.join("features"))
        // Idle schedulers that spin would take the processor from the tests. The name server stays
        // inside this process, so that nothing outlives it.
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2")
        .env("RUNNING_UNDER_SYSTEMD", "1");
    command
}

/// The broker listens before it is ready; it is when it answers the protocol's greeting.
fn answers(port: u16) -> bool {
    let greet = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\0\0\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    // The first frame is a method: Connection.Start.
    greet().is_ok_and(|kind| kind == 1)
}
