//! The way to one Redis, or to a cluster of them: which it is, the server itself says. Both are made again by
//! themselves when they are lost.

use std::time::Duration;

use anyhow::anyhow;
use redis::{
    Client, ClientTlsConfig, Cmd, ConnectionInfo, IntoConnectionInfo as _, Pipeline, RedisError, RedisFuture,
    TlsCertificates, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};
use url::Url;

use super::{
    fitness::Info,
    refusal::{failed, greeted, shut},
};
use crate::{Error, Kind, Result, open::redacted, query, tls::Certificates};

const OURS: [&str; 4] = ["nodes", "cacertfile", "certfile", "keyfile"];
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that nobody has acknowledged for so long end the connection: its other end is gone.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);
/// Tries of a cluster's client before it gives up; callers have a patience of their own.
const CLUSTER_TRIES: u32 = 3;
const CLUSTER_PAUSE_MS: (u64, u64) = (50, 500);

#[derive(Clone)]
pub(super) enum Connection {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

/// `rediss://USER:PASSWORD@HOST:PORT/DATABASE?cacertfile=FILE&nodes=HOST:PORT,HOST:PORT`; `nodes` are others of the same
/// cluster.
pub(super) async fn open(url: &Url) -> Result<Connection> {
    let shown = redacted(url.as_str());
    let wrong = |why| Error::new(Kind::Config, format!("reading {shown}"), why);
    let mut url = url.clone();
    let certificates = certificates(Certificates::take(&mut url)?);
    let nodes = query::nodes(&mut url)?;
    query::check(&url, &["protocol"], &OURS)?;
    if let Some(fragment) = url.fragment() {
        return Err(wrong(anyhow!("'#{fragment}': certificates are always looked at")));
    }
    let nodes = nodes.into_iter().map(|node| {
        let info = node.into_connection_info().map_err(|error| wrong(error.into()))?;
        let tcp = info.tcp_settings().clone().set_user_timeout(ACKNOWLEDGED_WITHIN);
        Ok(info.set_tcp_settings(tcp))
    });
    let nodes = nodes.collect::<Result<Vec<_>>>()?;
    let (one, told) = first(&nodes, certificates.as_ref(), &shown).await?;
    told.check(&shown)?;
    match told.is_cluster() {
        true => open_cluster(nodes, certificates, &shown).await,
        false if nodes.len() > 1 => {
            Err(wrong(anyhow!("nodes are those of a cluster, and this Redis is in none")))
        }
        false => Ok(Connection::One(one)),
    }
}

/// The first node that answers, and what it tells of itself.
async fn first(
    nodes: &[ConnectionInfo],
    certificates: Option<&TlsCertificates>,
    shown: &str,
) -> Result<(ConnectionManager, Info)> {
    let connecting = format!("connecting to {shown}");
    let mut silent = Err(Error::new(Kind::Config, &connecting, anyhow!("there is no node")));
    for node in nodes {
        let client = match certificates {
            Some(certificates) => Client::build_with_tls(node.clone(), certificates.clone()),
            None => Client::open(node.clone()),
        };
        let client = client.map_err(|error| failed(&connecting, error))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_number_of_retries(2);
        match ConnectionManager::new_with_config(client, config).await {
            Ok(mut one) => {
                let told = redis::cmd("INFO").query_async(&mut one).await;
                return Ok((one, Info::new(told.map_err(|error| greeted(&connecting, error))?)));
            }
            Err(error) => silent = Err(shut(&connecting, error)),
        }
    }
    silent
}

async fn open_cluster(
    nodes: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
    shown: &str,
) -> Result<Connection> {
    let connecting = format!("connecting to the cluster of {shown}");
    let failed = |error| failed(&connecting, error);
    let tcp = nodes.first().map(|node| node.tcp_settings().clone()).unwrap_or_default();
    let mut builder = ClusterClientBuilder::new(nodes)
        .tcp_settings(tcp)
        .connection_timeout(CONNECT_WITHIN)
        .response_timeout(ANSWER_WITHIN)
        .retries(CLUSTER_TRIES)
        .min_retry_wait(CLUSTER_PAUSE_MS.0)
        .max_retry_wait(CLUSTER_PAUSE_MS.1);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    let client = builder.build().map_err(failed)?;
    let mut cluster = client.get_async_connection().await.map_err(failed)?;
    let of_all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let told = cluster.route_command(redis::cmd("INFO"), of_all).await.map_err(failed)?;
    let told: Vec<(String, String)> =
        redis::from_redis_value(told).map_err(|error| failed(RedisError::from(error)))?;
    for (node, told) in told {
        Info::new(told).check(&format!("{node}, of the cluster of {shown}"))?;
    }
    Ok(Connection::Cluster(cluster))
}

fn certificates(given: Certificates) -> Option<TlsCertificates> {
    (given.ca.is_some() || given.client.is_some()).then(|| TlsCertificates {
        client_tls: given.client.map(|(certificate, key)| ClientTlsConfig {
            client_cert: certificate.into_bytes(),
            client_key: key.into_bytes(),
        }),
        root_cert: given.ca.map(String::into_bytes),
    })
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
