//! TLS to broker and ledger: whoever is not who they should be is not talked to, and a person is told why.

use std::path::Path;

use swath_backends::{
    Kind,
    open::{open_ledger, open_queue},
    queue::Lane,
};
use swath_tests::{
    certificates::{Authority, Certified},
    rabbitmq::RabbitMq,
    redis::Redis,
};

use crate::{
    contracts::said,
    site::{Kind as SiteKind, Site},
};

const ROOT: &str = "unused";
/// What the servers are certified for; the address that it leads to is another name.
const NAME: &str = "localhost";
const ADDRESS: &str = "127.0.0.1";

fn trusting(url: &str, authority: &Authority) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}cacertfile={}", authority.certificate().display())
}

fn as_client(url: &str, client: &Certified) -> String {
    format!("{url}&certfile={}&keyfile={}", client.certificate.display(), client.key.display())
}

async fn queue_refusal(url: &str) -> (Kind, String) {
    open_queue(url, ROOT).await.err().map(said).unwrap_or_else(|| panic!("{url} was opened"))
}

async fn ledger_refusal(url: &str) -> (Kind, String) {
    open_ledger(url, ROOT).await.err().map(said).unwrap_or_else(|| panic!("{url} was opened"))
}

fn assert_says((kind, words): (Kind, String), wanted: &str) {
    assert_eq!(kind, Kind::Refused, "{words}");
    assert!(words.contains(wanted), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_who_its_certificate_says_or_is_not_talked_to() {
    let (authority, stranger) = (Authority::found(), Authority::found());
    let broker = RabbitMq::start_with_tls(&authority.certificate(), &authority.certify(NAME));
    let url = broker.tls_url(NAME, "tls");
    let queue = open_queue(&trusting(&url, &authority), ROOT).await.expect("connecting by TLS");
    queue.publish(Lane::Cpu, vec![b"in secret".to_vec()]).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    assert_eq!(receiver.next().await.expect("a message").body, b"in secret");

    assert_says(queue_refusal(&trusting(&url, &stranger)).await, "cacertfile=FILE");
    // The system trusts nobody like that either.
    assert_says(queue_refusal(&url).await, "cacertfile=FILE");
    let by_address = broker.tls_url(ADDRESS, "tls");
    assert_says(queue_refusal(&trusting(&by_address, &authority)).await, "another name");
    let plain = trusting(&broker.url("tls").replace("amqp://", "amqps://"), &authority);
    assert_says(queue_refusal(&plain).await, "does not speak TLS");

    let known = as_client(&trusting(&url, &authority), &authority.certify("client"));
    open_queue(&known, ROOT).await.expect("connecting as one who is known");
    let unknown = as_client(&trusting(&url, &authority), &stranger.certify("client"));
    queue_refusal(&unknown).await;
    as_a_program(&url, None, &authority.certificate());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_is_who_its_certificate_says_or_is_not_talked_to() {
    let (authority, stranger) = (Authority::found(), Authority::found());
    let redis = Redis::start_with_tls(&authority.certificate(), &authority.certify(NAME), false);
    let url = redis.tls_url(NAME);
    let ledger = open_ledger(&trusting(&url, &authority), ROOT).await.expect("connecting by TLS");
    assert_eq!(ledger.leader("nobody").await.expect("asking"), None);

    assert_says(ledger_refusal(&trusting(&url, &stranger)).await, "cacertfile=FILE");
    assert_says(ledger_refusal(&url).await, "cacertfile=FILE");
    assert_says(ledger_refusal(&trusting(&redis.tls_url(ADDRESS), &authority)).await, "another name");
    let plain = redis.url().replace("redis://", "rediss://");
    // It waits for the rest of what it takes for a command.
    let (kind, words) = ledger_refusal(&trusting(&plain, &authority)).await;
    assert!(kind == Kind::Transient && words.contains("speak TLS"), "{words}");
    as_a_program("local:", Some(&url), &authority.certificate());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_asks_who_clients_are_is_told() {
    let (authority, stranger) = (Authority::found(), Authority::found());
    let redis = Redis::start_with_tls(&authority.certificate(), &authority.certify(NAME), true);
    let url = trusting(&redis.tls_url(NAME), &authority);
    let known = as_client(&url, &authority.certify("client"));
    open_ledger(&known, ROOT).await.expect("connecting as one who is known");
    ledger_refusal(&url).await;
    ledger_refusal(&as_client(&url, &stranger.certify("client"))).await;
}

/// The program says so with its exit code, and trusts whom the environment says.
fn as_a_program(queue: &str, ledger: Option<&str>, authority: &Path) {
    let mut site = Site::new(SiteKind::Embedded);
    site.queue = queue.into();
    site.ledger = ledger.unwrap_or("local:").into();
    let shut = site.swath(&["doctor"], 4);
    let shut = String::from_utf8_lossy(&shut.stdout).into_owned();
    assert!(shut.contains("FAILED   connect") && shut.contains("SSL_CERT_FILE"), "{shut}");
    let open = site.command(&["doctor"]).env("SSL_CERT_FILE", authority).output().expect("starting swath");
    assert!(open.status.success(), "{}", String::from_utf8_lossy(&open.stdout));
}
