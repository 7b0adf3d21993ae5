//! Where the broker is, how to get in, and what our queues are called.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::anyhow;
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::QueueDeclareOptions,
    tcp::{OwnedIdentity, OwnedTLSConfig},
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use url::{Host, Url};

use super::{CONNECT_WITHIN, refusal};
use crate::{Error, Kind, Result, open::redacted, query, queue::Lane, tls::Certificates};

const OURS: [&str; 5] = ["prefix", "nodes", "cacertfile", "certfile", "keyfile"];
const OF_CLIENT: [&str; 5] =
    ["heartbeat", "frame_max", "channel_max", "connection_timeout", "auth_mechanism"];
/// A host that vanishes without a word is noticed within twice this.
const HEARTBEAT_S: u16 = 20;
/// Our own retry engine buries an item long before; this only keeps a message that nothing can
/// settle from going round for ever.
const DELIVERY_LIMIT: i64 = 1000;

pub(super) struct Broker {
    /// Of one cluster; any will do.
    nodes: Vec<AMQPUri>,
    /// The node to begin with.
    next: AtomicUsize,
    tls: OwnedTLSConfig,
    pub(super) prefix: String,
    /// The URL, fit to be shown.
    pub(super) shown: String,
}

impl Broker {
    /// `amqps://USER:PASSWORD@HOST:PORT/VHOST?prefix=NAME&nodes=HOST:PORT,HOST:PORT&cacertfile=FILE`: the prefix begins
    /// the names of all queues, `nodes` are others of the same cluster.
    pub(super) fn read(url: &Url) -> Result<Self> {
        let shown = redacted(url.as_str());
        let wrong = |why: String| Error::new(Kind::Config, format!("reading {shown}"), anyhow!(why));
        let mut url = url.clone();
        let certificates = Certificates::take(&mut url)?;
        let prefix = query::take(&mut url, "prefix").unwrap_or_else(|| "swath".into());
        let nodes = query::nodes(&mut url)?;
        query::check(&url, &OF_CLIENT, &OURS)?;
        let node = |url: &Url| {
            let mut uri: AMQPUri = url.as_str().parse().map_err(wrong)?;
            // The client takes whatever is no name for localhost.
            uri.authority.host = host(url).ok_or_else(|| wrong("it names no host".into()))?;
            uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
            Ok(uri)
        };
        let nodes = nodes.iter().map(node).collect::<Result<Vec<_>>>()?;
        let identity = certificates.client.map(|(certificate, key)| OwnedIdentity::PKCS8 {
            pem: certificate.into_bytes(),
            key: key.into_bytes(),
        });
        let tls = OwnedTLSConfig { identity, cert_chain: certificates.ca };
        Ok(Self { nodes, next: AtomicUsize::new(0), tls, prefix, shown })
    }

    pub(super) fn queue(&self, lane: Lane) -> String {
        format!("{}.{}", self.prefix, lane.name())
    }

    /// Holds what was handed out [`DELIVERY_LIMIT`] times and settled by nobody.
    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    pub(super) fn failed(&self, verb: &str, error: &lapin::Error) -> Error {
        self.error(verb, error, false)
    }

    fn error(&self, verb: &str, error: &lapin::Error, is_login: bool) -> Error {
        let mut why = anyhow!("{error}");
        if let Some(advice) = refusal::advice(error, is_login) {
            why = anyhow!("{error}: {advice}");
        }
        Error::new(refusal::kind(error), format!("{verb} at {}", self.shown), why)
    }

    pub(super) fn silent(&self, verb: &str, waited: Duration) -> Error {
        let why = anyhow!(
            "no answer within {} s: is the broker up, and has it raised an alarm (rabbitmq-diagnostics alarms)?",
            waited.as_secs()
        );
        Error::new(Kind::Transient, format!("{verb} at {}", self.shown), why)
    }

    /// To the node that worked the last time, or the next that does.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let n = self.nodes.len();
        // Whoever is cut off in the middle begins with another node.
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let patience = CONNECT_WITHIN / n as u32;
        let mut failed = self.silent("connecting", patience);
        for at in (first..first + n).map(|at| at % n) {
            let connected = tokio::time::timeout(patience, self.connect_to(&self.nodes[at])).await;
            match connected.unwrap_or_else(|_| Err(self.silent("connecting", patience))) {
                Ok(connection) => {
                    self.next.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) if error.kind == Kind::Transient => failed = error,
                refused => return refused,
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, node: &AMQPUri) -> Result<Connection> {
        let failed = |error| self.error("connecting", &error, true);
        let properties = ConnectionProperties::default().with_connection_name("swath".into());
        let runtime = lapin::runtime::default_runtime().map_err(failed)?;
        Connection::connect_uri_with_config(node.clone(), properties, self.tls.clone(), runtime)
            .await
            .map_err(failed)
    }

    /// All our queues, whoever made them first.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<()> {
        let failed = |error| self.failed("declaring queues", &error);
        let dead = self.dead();
        let mut arguments = quorum();
        channel.queue_declare(dead.as_str().into(), DURABLE, arguments.clone()).await.map_err(failed)?;
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
        arguments.insert("x-dead-letter-exchange".into(), text(""));
        arguments.insert("x-dead-letter-routing-key".into(), text(&dead));
        // Dead-lettering that loses nothing needs a queue that refuses what it can't keep.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish"));
        for lane in Lane::ALL {
            let queue = self.queue(lane);
            channel.queue_declare(queue.as_str().into(), DURABLE, arguments.clone()).await.map_err(failed)?;
        }
        Ok(())
    }
}

pub(super) const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

/// A queue that outlives any one of its nodes.
pub(super) fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn host(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Domain("") => None,
        Host::Domain(name) => Some(name.to_owned()),
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(address.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Broker> {
        Broker::read(&url.parse().expect("a URL"))
    }

    #[test]
    fn a_url_names_nodes_a_virtual_host_and_a_prefix() {
        let url = "amqp://us%65r:p%40ss@first/a%2Fb?prefix=mine&nodes=second:1,[2001:db8::1],127.0.0.1:3&frame_max=4096";
        let broker = read(url).expect("a broker");
        let places: Vec<_> =
            broker.nodes.iter().map(|uri| (uri.authority.host.as_str(), uri.authority.port)).collect();
        assert_eq!(places, [("first", 5672), ("second", 1), ("2001:db8::1", 5672), ("127.0.0.1", 3)]);
        for uri in &broker.nodes {
            assert_eq!(uri.vhost, "a/b");
            assert_eq!(
                (&*uri.authority.userinfo.username, &*uri.authority.userinfo.password),
                ("user", "p@ss")
            );
            assert_eq!((uri.query.heartbeat, uri.query.frame_max), (Some(HEARTBEAT_S), Some(4096)));
        }
        assert_eq!((broker.prefix.as_str(), broker.dead().as_str()), ("mine", "mine.dead"));
        assert!(!broker.shown.contains("p%40ss"), "{}", broker.shown);
        let broker = read("amqp://[::1]:7?heartbeat=3").expect("a broker");
        let uri = &broker.nodes[0];
        assert_eq!((uri.authority.host.as_str(), uri.authority.port, uri.vhost.as_str()), ("::1", 7, "/"));
        assert_eq!(uri.query.heartbeat, Some(3));
    }

    #[test]
    fn a_url_that_cannot_be_meant_is_wrong() {
        for (url, word) in [
            ("amqp://h/?nodes=a:b", "nodes"),
            ("amqp://h/?hartbeat=3", "heartbeat"),
            ("amqp:///vhost", "no host"),
            ("amqp://h/?heartbeat=often", "invalid digit"),
        ] {
            let error = read(url).err().unwrap_or_else(|| panic!("{url} was read"));
            assert_eq!(error.kind, Kind::Config, "{url}");
            let words = error.told();
            assert!(words.contains(word), "{words}");
        }
    }
}
