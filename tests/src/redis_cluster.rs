//! A cluster of Redis: three nodes that share the keys, and one behind each to take its place.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    port,
    redis::{PASSWORD, Redis},
};

const NODES: usize = 6;
const MEET_WITHIN: Duration = Duration::from_secs(60);

pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    pub fn start() -> Self {
        let node = || {
            let settings = [
                ("--cluster-enabled", "yes".to_owned()),
                // Else it would be the port and ten thousand, where others may be.
                ("--cluster-port", port::free().to_string()),
                // How soon a silent node is given up.
                ("--cluster-node-timeout", "2000".to_owned()),
                ("--cluster-replica-validity-factor", "0".to_owned()),
                ("--repl-diskless-sync-delay", "0".to_owned()),
                ("--masterauth", PASSWORD.to_owned()),
            ];
            Redis::start_with(
                0,
                settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect(),
            )
        };
        let this = Self { nodes: (0..NODES).map(|_| node()).collect() };
        let mut create = Command::new("redis-cli");
        create
            .args(["--no-auth-warning", "-a", PASSWORD, "--cluster", "create"])
            .args(this.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())))
            .args(["--cluster-replicas", "1", "--cluster-yes"]);
        let output = create.output().expect("starting redis-cli");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        this.wait("the replicas follow", |node| {
            let role = node.asked("INFO replication");
            role.contains("role:master") && role.contains("connected_slaves:1")
                || role.contains("master_link_status:up")
        });
        this.wait("all slots are served", |node| node.asked("CLUSTER INFO").contains("cluster_state:ok"));
        this
    }

    fn wait(&self, what: &str, is_so: impl Fn(&Redis) -> bool) {
        let started = Instant::now();
        while !self.nodes.iter().all(&is_so) {
            assert!(started.elapsed() < MEET_WITHIN, "waiting until {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Of one node; it leads to the others.
    pub fn url(&self) -> String {
        self.nodes[0].url()
    }

    /// Of all, for whoever begins while some are away.
    pub fn url_of_all(&self) -> String {
        let others: Vec<_> =
            self.nodes[1..].iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("{}?nodes={}", self.url(), others.join(","))
    }

    /// As another user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        self.nodes[0].url_of(user, password)
    }

    /// Gives every node the same order.
    pub fn tell_all(&self, command: &str) {
        for node in &self.nodes {
            let answer = node.asked(command);
            assert!(!answer.contains("-ERR"), "{command}: {answer}");
        }
    }

    /// As when the power goes: the node that has this key.
    pub fn kill_owner(&mut self, key: &str) {
        let owns = |node: &Redis| {
            // Whoever does not own it says who does.
            node.asked("ROLE").contains("master") && !node.asked(&format!("EXISTS {key}")).contains("MOVED")
        };
        let owner = self.nodes.iter().position(owns).expect("somebody has the key");
        self.nodes[owner].server.kill();
    }
}
