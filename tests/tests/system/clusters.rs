//! Clusters that lose the node on which all depends, in the middle of a run: another takes its place, and the same bytes
//! come out.

use swath_backends::{contract, open::open_ledger};
use swath_tests::{rabbitmq::Cluster, redis_cluster::RedisCluster};

use crate::{
    heals::{Busy, block_on},
    refusals::least_rights,
    site::{Kind, Site},
};

#[test]
fn a_broker_cluster_that_loses_the_leader_of_the_queue_loses_nothing() {
    let mut cluster = Cluster::start();
    let mut site = Site::new(Kind::Servers);
    site.queue = cluster.url("own");
    // Asking who leads takes seconds, in which the run would go on. Whoever opens the queues makes them.
    block_on(async { drop(site.doors().await) });
    let leader = cluster.leader("own.cpu");
    let busy = Busy::start(site);
    busy.wait_for_some();
    cluster.nodes[leader].0.kill();
    busy.is_at_work("the leader was killed");
    busy.ends_with_the_same_bytes("the leader was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_keeps_the_contract_for_a_user_with_least_rights() {
    let cluster = RedisCluster::start();
    cluster.tell_all(&least_rights("least", "hunter2"));
    let url = cluster.url_of("least", "hunter2");
    let open = async || open_ledger(&url, "unused").await.expect("connecting");
    contract::ledger::all(open().await, open().await).await;
    cluster.tell_all("CONFIG SET maxmemory-policy allkeys-lfu");
    let refused = open_ledger(&cluster.url(), "unused").await.err().expect("it was opened");
    assert_eq!(refused.kind, swath_backends::Kind::Config);
}

#[test]
fn a_redis_cluster_that_loses_the_node_of_a_run_goes_on_with_its_replica() {
    let mut cluster = RedisCluster::start();
    let mut site = Site::new(Kind::Servers);
    site.ledger = cluster.url_of_all();
    let busy = Busy::start(site);
    busy.wait_for_some();
    cluster.kill_owner(&format!("swath:{{{}}}:meta", busy.run));
    busy.is_at_work("the node was killed");
    busy.ends_with_the_same_bytes("the node was killed");
}
