//! Servers that say no, or that would lose what is trusted to them: told at the start, with what to do, by the right
//! exit code, and in words without a password.

use std::io::{Read as _, Write as _};

use swath_backends::{
    Kind, contract,
    open::{open_ledger, open_queue},
    queue::Lane,
};
use swath_tests::redis::{PASSWORD, Redis};

use crate::{
    contracts::said,
    shared_servers::{shared, urls},
    site::{Kind as SiteKind, Site},
};

const ROOT: &str = "unused";

async fn queue_refusal(url: &str) -> (Kind, String) {
    open_queue(url, ROOT).await.err().map(said).unwrap_or_else(|| panic!("{url} was opened"))
}

async fn ledger_refusal(url: &str) -> (Kind, String) {
    open_ledger(url, ROOT).await.err().map(said).unwrap_or_else(|| panic!("{url} was opened"))
}

fn assert_says((kind, words): (Kind, String), wanted_kind: Kind, wanted: &str) {
    assert_eq!(kind, wanted_kind, "{words}");
    assert!(words.contains(wanted), "{words}");
}

/// The rights of docs/servers.md, and nothing beyond.
const RABBITMQ_RIGHTS: [&str; 3] = [r"^least.*", r"^(least.*|amq\.default)$", r"^least.*"];

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_says_no_is_told_with_what_to_do() {
    let broker = &shared().rabbitmq;
    broker.control(&["add_vhost", "a/place"]);
    broker.control(&["add_user", "least", "hunter2"]);
    broker.control(&[&["set_permissions", "-p", "a/place", "least"], &RABBITMQ_RIGHTS[..]].concat());
    let url = |prefix: &str, place: &str| {
        broker.url(prefix).replace("guest:guest", "least:hunter2").replace("/%2f", &format!("/{place}"))
    };
    // Least rights are enough, in a virtual host whose name needs to be encoded.
    let queue =
        open_queue(&url("least-rights", "a%2Fplace"), ROOT).await.expect("connecting with least rights");
    queue.publish(Lane::Cpu, vec![b"one".to_vec()]).await.expect("publishing");
    let mut receiver = queue.receive(Lane::Cpu, 1).await.expect("receiving");
    assert!(receiver.next().await.expect("a message").done().await.expect("settling"));
    assert_eq!(queue.check().await.expect("checking"), Vec::<String>::new());
    queue.purge(Lane::Cpu).await.expect("purging");

    assert_says(queue_refusal(&url("other", "a%2Fplace")).await, Kind::Refused, "set_permissions");
    assert_says(queue_refusal(&url("least-rights", "no-such-place")).await, Kind::Refused, "list_vhosts");
    let wrong = url("least-rights", "a%2Fplace").replace("hunter2", "hunter3");
    let refusal = queue_refusal(&wrong).await;
    assert!(!refusal.1.contains("hunter3"), "{}", refusal.1);
    assert_says(refusal, Kind::Refused, "wrong user or password");
    let mut site = Site::new(SiteKind::Embedded);
    site.queue = url("least-rights", "no-such-place");
    site.swath(&["coordinator"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_in_the_place_of_redis_is_told_from_one_that_is_away() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        let mut clients = Vec::new();
        for mut client in listener.incoming().flatten() {
            if client.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {
                let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
            // One that is hung up on may not see the answer.
            clients.push(client);
        }
    });
    assert_says(ledger_refusal(&format!("redis://{address}")).await, Kind::Config, "it is not Redis");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_nobody_could_settle_are_pointed_at() {
    let (_, url, _) = urls("dead");
    let queue = open_queue(&url, ROOT).await.expect("connecting");
    assert_eq!(queue.check().await.expect("checking"), Vec::<String>::new());
    // Published where the broker would put them.
    let expression = r#"rabbit_basic:publish(rabbit_exchange:lookup_or_die({resource,<<"/">>,exchange,<<>>}), <<"dead.dead">>, [], <<"x">>)."#;
    shared().rabbitmq.control(&["eval", expression]);
    let started = std::time::Instant::now();
    loop {
        let told = queue.check().await.expect("checking").join("\n");
        if told.contains("1 messages in the queue dead.dead") {
            break;
        }
        assert!(started.elapsed().as_secs() < 30, "{told}");
    }
}

/// The ACL line of docs/servers.md.
pub fn least_rights(user: &str, password: &str) -> String {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/servers.md"));
    let docs = docs.expect("docs/servers.md");
    let line = docs.lines().find(|line| line.starts_with("ACL SETUSER swath ")).expect("an ACL line");
    line.replace("SETUSER swath ", &format!("SETUSER {user} ")).replace(">PASSWORD", &format!(">{password}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_keeps_the_contract_for_a_user_with_least_rights() {
    let redis = &shared().redis;
    let made = redis.asked(&least_rights("least", "hunter2"));
    assert!(!made.contains("-ERR"), "{made}");
    let open = async || open_ledger(&redis.url_of("least", "hunter2"), ROOT).await.expect("connecting");
    contract::ledger::all(open().await, open().await).await;

    let refusal = ledger_refusal(&redis.url_of("least", "hunter3")).await;
    assert!(!refusal.1.contains("hunter3"), "{}", refusal.1);
    assert_says(refusal, Kind::Refused, "wrong user or password");
    let nobody = redis.url().replace(&format!(":{PASSWORD}@"), "");
    assert_says(ledger_refusal(&nobody).await, Kind::Refused, "asks for a password");
    redis.asked("ACL SETUSER looker on >hunter2 ~* resetchannels -@all +info +evalsha +script|load");
    let looker = open_ledger(&redis.url_of("looker", "hunter2"), ROOT).await.expect("connecting");
    let run = "r".parse().expect("a run's name");
    // Shut by itself, and inside a script.
    for shut in [looker.leader("office").await.map(drop), looker.snapshot(&run).await.map(drop)] {
        assert_says(said(shut.expect_err("it was let in")), Kind::Refused, "ACL line");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_would_forget_is_refused() {
    let (primary, redis) = (Redis::start(), Redis::start());
    redis.asked("CONFIG SET maxmemory-policy allkeys-lru");
    assert_says(ledger_refusal(&redis.url()).await, Kind::Config, "CONFIG SET maxmemory-policy noeviction");
    redis.asked("CONFIG SET maxmemory-policy noeviction");
    redis.asked(&format!("CONFIG SET masterauth {PASSWORD}"));
    redis.asked(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let of_primary = format!("primary (127.0.0.1:{})", primary.port());
    assert_says(ledger_refusal(&redis.url()).await, Kind::Config, &of_primary);
    let lone = format!("{}?nodes=127.0.0.1:9", primary.url());
    assert_says(ledger_refusal(&lone).await, Kind::Config, "in none");
}

#[test]
fn doctor_goes_on_after_the_first_failure_and_tells_all() {
    let mut site = Site::new(SiteKind::Embedded);
    let told = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let well = told(site.swath(&["doctor"], 0));
    assert!(!well.contains("FAILED") && well.matches("  ok ").count() > 15, "{well}");

    site.queue = "amqp://user:hunter2@127.0.0.1:9/%2f".into();
    site.ledger = "redis://user:hunter2@127.0.0.1:9".into();
    let ill = told(site.swath(&["doctor"], 4));
    assert_eq!(ill.matches("FAILED   connect").count(), 2, "{ill}");
    assert!(ill.contains("is the broker up") && ill.contains("rediss://"), "{ill}");
    assert!(ill.contains("  ok       delete an object"), "{ill}");
    assert!(!ill.contains("hunter2"), "{ill}");

    site.queue = "amqp://127.0.0.1:9/?heartbeet=3".into();
    let wrong = told(site.swath(&["doctor"], 2));
    assert!(wrong.contains("'heartbeet'"), "{wrong}");
}

#[test]
fn doctor_finds_real_servers_well_and_leaves_nothing_behind() {
    let site = Site::new(SiteKind::Servers);
    let redis = &shared().redis;
    let keys = || redis.asked("KEYS swath:{doctor*");
    site.swath(&["doctor"], 0);
    assert!(!keys().contains("doctor-"), "{}", keys());
    let queues = shared().rabbitmq.control(&["list_queues", "--no-table-headers", "name"]);
    assert!(!queues.contains(".doctor-"), "{queues}");
}
