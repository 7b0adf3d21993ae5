//! One broker, one Redis and one store for all tests that leave them alive. Each test has queues, a
//! ledger database's run names and a prefix of its own.

use std::sync::OnceLock;

use swath_tests::{
    rabbitmq::RabbitMq,
    redis::Redis,
    s3::{BUCKET, S3},
};

pub struct Servers {
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    pub s3: S3,
}

/// A broker and a Redis of a test's own, which it may kill.
pub struct Mortal {
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
}

impl Mortal {
    pub fn start() -> Self {
        Self { rabbitmq: RabbitMq::start(), redis: Redis::start() }
    }
}

pub fn shared() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let servers = Servers { rabbitmq: RabbitMq::start(), redis: Redis::start(), s3: S3::start() };
        for (name, value) in servers.s3.environment() {
            // SAFETY: the first use of the servers; nothing in this process reads these before.
            unsafe { std::env::set_var(name, value) };
        }
        servers
    })
}

/// Root, queue and ledger for a test of this name.
pub fn urls(name: &str) -> (String, String, String) {
    let servers = shared();
    (format!("s3://{BUCKET}/{name}"), servers.rabbitmq.url(name), servers.redis.url())
}
