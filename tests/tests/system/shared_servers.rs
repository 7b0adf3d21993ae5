//! One broker, one Redis and one store for all tests that leave them alive. Each test has queues, a
//! ledger database's run names and a prefix of its own.

use std::{process::Command, sync::OnceLock};

use swath_tests::{rabbitmq::RabbitMq, redis::Redis, s3::{BUCKET, S3}};

pub struct Servers {
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    pub s3: S3,
}

impl Servers {
    pub fn start() -> Self {
        Self { rabbitmq: RabbitMq::start(), redis: Redis::start(), s3: S3::start() }
    }

    /// Root, queue and ledger for a test of this name.
    pub fn urls(&self, name: &str) -> (String, String, String) {
        (format!("s3://{BUCKET}/{name}"), self.rabbitmq.url(name), self.redis.url())
    }
}

pub fn shared() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let servers = Servers::start();
        for (name, value) in servers.s3.environment() {
            // SAFETY: the first use of the servers; nothing in this process reads these before.
            unsafe { std::env::set_var(name, value) };
        }
        servers
    })
}

pub fn urls(name: &str) -> (String, String, String) {
    shared().urls(name)
}

pub fn aws_environment(command: &mut Command, servers: Option<&Servers>) {
    let servers = servers.unwrap_or_else(|| shared());
    command.envs(servers.s3.environment());
}
