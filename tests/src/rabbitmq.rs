//! Debian's RabbitMQ as a node of its own, beside whatever else runs on the machine; or as three of one cluster.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    certificates::Certified,
    port,
    process::{Server, listens},
};

const MEET_WITHIN: Duration = Duration::from_secs(180);

pub struct RabbitMq {
    pub server: Server,
    node: Node,
    _names: Server,
}

impl RabbitMq {
    pub fn start() -> Self {
        Self::start_with(None, "")
    }

    /// Listens for TLS besides, and asks clients who they are only if they offer to tell.
    pub fn start_with_tls(authority: &Path, server: &Certified) -> Self {
        let tls = port::free();
        let settings = format!(
            "listeners.ssl.default = 127.0.0.1:{tls}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n",
            authority.display(),
            server.certificate.display(),
            server.key.display()
        );
        Self::start_with(Some(tls), &settings)
    }

    fn start_with(tls: Option<u16>, settings: &str) -> Self {
        let epmd = port::free();
        let node = Node { tls, ..Node::new("tests", epmd, settings) };
        let names = names(epmd, node.folder.path());
        Self { server: node.start(), node, _names: names }
    }

    /// From now on the broker keeps no more than `most` messages a queue, and refuses the others.
    pub fn keep_at_most(&self, most: usize) {
        let policy = format!(r#"{{"max-length":{most},"overflow":"reject-publish"}}"#);
        self.control(&["set_policy", "few", ".*", &policy, "--apply-to", "queues"]);
    }

    /// What `rabbitmqctl` answers.
    pub fn control(&self, args: &[&str]) -> String {
        self.node.control(args)
    }

    /// All queues begin with `prefix`.
    pub fn url(&self, prefix: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f?prefix={prefix}", self.node.amqp)
    }

    /// As the server calls itself, or by another name.
    pub fn tls_url(&self, host: &str, prefix: &str) -> String {
        let port = self.node.tls.expect("it was started with TLS");
        format!("amqps://guest:guest@{host}:{port}/%2f?prefix={prefix}")
    }
}

/// Three nodes that keep every queue three times.
pub struct Cluster {
    pub nodes: Vec<(Server, Node)>,
    _names: Server,
}

impl Cluster {
    pub fn start() -> Self {
        let epmd = port::free();
        let all = ["one", "two", "three"];
        let peers = all.iter().enumerate().map(|(at, name)| {
            format!("cluster_formation.classic_config.nodes.{} = {name}@localhost\n", at + 1)
        });
        let settings = format!(
            "cluster_formation.peer_discovery_backend = classic_config\n{}\
             cluster_formation.randomized_startup_delay_range.min = 0\n\
             cluster_formation.randomized_startup_delay_range.max = 1\n\
             cluster_partition_handling = pause_minority\n",
            peers.collect::<String>()
        );
        let nodes = all.map(|name| Node::new(name, epmd, &settings));
        let names = names(epmd, nodes[0].folder.path());
        // They wait for each other.
        let servers: Vec<Server> = std::thread::scope(|scope| {
            let starts: Vec<_> = nodes.iter().map(|node| scope.spawn(|| node.start())).collect();
            starts.into_iter().map(|start| start.join().expect("starting a node")).collect()
        });
        let this = Self { nodes: servers.into_iter().zip(nodes).collect(), _names: names };
        let started = Instant::now();
        while this.nodes[0].1.control(&["eval", "length(rabbit_mnesia:cluster_nodes(running))."]).trim()
            != "3"
        {
            assert!(started.elapsed() < MEET_WITHIN, "the nodes do not find each other");
        }
        this
    }

    /// Which node leads a queue.
    pub fn leader(&self, queue: &str) -> usize {
        let told = self.nodes[0].1.control(&["list_queues", "--no-table-headers", "name", "leader"]);
        let leads = |name: &str| told.lines().any(|line| line == format!("{queue}\t{name}@localhost"));
        let found = self.nodes.iter().position(|(_, node)| leads(node.name));
        found.unwrap_or_else(|| panic!("nobody leads {queue}: {told}"))
    }

    /// All queues begin with `prefix`.
    pub fn url(&self, prefix: &str) -> String {
        let [first, second, third] = [0, 1, 2].map(|at| format!("127.0.0.1:{}", self.nodes[at].1.amqp));
        format!("amqp://guest:guest@{first}/%2f?prefix={prefix}&nodes={second},{third}")
    }
}

/// Erlang's name server: a node would start one that outlives it.
fn names(epmd: u16, folder: &Path) -> Server {
    let make = move || {
        let mut command = Command::new("epmd");
        command.args(["-port", &epmd.to_string(), "-address", "127.0.0.1"]);
        command
    };
    Server::start(&folder.join("names.txt"), make, move || listens(epmd))
}

/// Where a node has what it needs.
pub struct Node {
    name: &'static str,
    folder: tempfile::TempDir,
    amqp: u16,
    /// Where it listens for TLS.
    tls: Option<u16>,
    distribution: u16,
    epmd: u16,
}

impl Node {
    fn new(name: &'static str, epmd: u16, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let this = Self { name, folder, amqp: port::free(), tls: None, distribution: port::free(), epmd };
        configure(this.folder.path(), this.amqp, settings);
        this
    }

    fn start(&self) -> Server {
        let (data, name) = (self.folder.path().to_owned(), self.name);
        let (amqp, tls, distribution, epmd) = (self.amqp, self.tls, self.distribution, self.epmd);
        let make = move || command(&data, name, amqp, distribution, epmd);
        Server::start(&self.folder.path().join("log.txt"), make, move || {
            answers(amqp) && tls.is_none_or(listens)
        })
    }

    fn control(&self, args: &[&str]) -> String {
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        command
            .args(["-q", "-n", &format!("{}@localhost", self.name)])
            .args(args)
            .env("HOME", self.folder.path().join("home"))
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
        let output = command.output().expect("starting rabbitmqctl");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn configure(folder: &Path, amqp: u16, settings: &str) {
    let write =
        |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("writing its settings");
    let config = format!(
        "listeners.tcp.default = 127.0.0.1:{amqp}\nvm_memory_high_watermark.absolute = 512MB\n\
         disk_free_limit.absolute = 50MB\nlog.console = false\nlog.file.level = warning\n{settings}"
    );
    write("rabbitmq.conf", &config);
    write("plugins", "[].");
    std::fs::create_dir(folder.join("home")).expect("making its home");
    let cookie = folder.join("home/.erlang.cookie");
    std::fs::write(&cookie, "a-cookie-for-tests").expect("writing its cookie");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(&cookie, private).expect("guarding its cookie");
}

fn command(folder: &Path, name: &str, amqp: u16, distribution: u16, epmd: u16) -> Command {
    // The wrapper under /usr/sbin changes to another user; this is the server itself.
    let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    command
        .env("HOME", folder.join("home"))
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", format!("{name}@localhost"))
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
