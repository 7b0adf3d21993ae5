//! A Redis that fails over, and one that has no memory left.

use std::time::Duration;

use swath_tests::redis::Redis;

use super::{Exposed, port};
use crate::{
    shared_servers::Mortal,
    site::{Kind, Site},
};

/// The replica is a little behind when its master dies, as replicas are: what it lacks is lost, though the
/// coordinator has heard of it.
#[test]
fn a_redis_that_fails_over_to_a_replica_that_lags_behind_loses_no_item() {
    let (mut master, replica) = (Redis::start(), Redis::start());
    replica.follow(&master);
    let mut site = Site::new(Kind::Servers);
    site.ledger = master.url();
    let mut exposed = Exposed::start_on(site);
    exposed.wait_for_more(60);
    replica.lead();
    exposed.wait_for_more(20);
    master.server.kill();
    exposed.is_at_work("the master has died");
    exposed.site.ledger = replica.url();
    exposed.roads.ledger.lead_to(port(&replica.url()));
    exposed.ends_well("Redis has failed over");
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_redis_without_memory_is_waited_for() {
    let servers = Mortal::start();
    let exposed = Exposed::start_on(Site::on(&servers));
    exposed.wait_for_more(20);
    servers.redis.keep_at_most(1);
    exposed.is_at_work("Redis has no memory");
    std::thread::sleep(Duration::from_secs(10));
    assert!(exposed.site.log().contains("OOM"), "nobody has noticed");
    exposed.is_at_work("Redis has no memory");
    servers.redis.keep_at_most(0);
    exposed.ends_well("Redis had no memory");
}
