//! Each server unreachable, silent, slow, and cut off again and again.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use swath_tests::proxy::{Answer, Proxy, Road};

use super::{Exposed, Server, port};
use crate::shared_servers::shared;

/// How long servers are away when there is time to wait for them.
const MINUTE: Duration = Duration::from_secs(60);

/// One after another, so that each is missed on its own.
#[test]
fn servers_that_nobody_reaches_for_seconds_are_waited_for() {
    let exposed = Exposed::start();
    for server in Server::ALL {
        exposed.wait_for_more(40);
        for road in [Road::Refused, Road::Silent] {
            exposed.roads.of(server).set(road);
            exposed.is_at_work(&format!("{server:?} {road:?}"));
            std::thread::sleep(Duration::from_secs(2));
        }
        exposed.roads.of(server).set(Road::Open);
    }
    exposed.ends_well("each server away for seconds");
}

fn away(server: Server, road: Road) {
    let exposed = Exposed::start();
    exposed.wait_for_more(20);
    exposed.roads.of(server).set(road);
    exposed.is_at_work("a road was blocked");
    std::thread::sleep(MINUTE);
    exposed.is_at_work("a road is blocked");
    exposed.roads.of(server).set(Road::Open);
    exposed.ends_well(&format!("{server:?} {road:?} for a minute"));
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_broker_that_refuses_for_a_minute_is_waited_for() {
    away(Server::Broker, Road::Refused);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_broker_that_says_nothing_for_a_minute_is_waited_for() {
    away(Server::Broker, Road::Silent);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_redis_that_refuses_for_a_minute_is_waited_for() {
    away(Server::Ledger, Road::Refused);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_redis_that_says_nothing_for_a_minute_is_waited_for() {
    away(Server::Ledger, Road::Silent);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_store_that_refuses_for_a_minute_is_waited_for() {
    away(Server::Store, Road::Refused);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn a_store_that_says_nothing_for_a_minute_is_waited_for() {
    away(Server::Store, Road::Silent);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn all_servers_away_at_once_for_a_minute_are_waited_for() {
    let exposed = Exposed::start();
    exposed.wait_for_more(20);
    exposed.roads.set(Road::Refused);
    exposed.is_at_work("all roads were blocked");
    std::thread::sleep(MINUTE);
    exposed.roads.set(Road::Open);
    exposed.ends_well("all servers away for a minute");
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn servers_that_are_slow_only_take_longer() {
    for server in Server::ALL {
        let exposed = Exposed::start();
        exposed.roads.of(server).set(Road::Slow { pause: Duration::from_millis(100) });
        exposed.wait_for_more(40);
        exposed.is_at_work("a road is slow");
        exposed.ends_well(&format!("a slow {server:?}"));
    }
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn servers_that_cut_every_connection_again_and_again_lose_nothing() {
    for server in Server::ALL {
        let exposed = Exposed::start();
        for _ in 0..12 {
            exposed.wait_for_more(15);
            exposed.roads.of(server).cut();
        }
        exposed.is_at_work("connections were cut");
        exposed.ends_well(&format!("connections to {server:?} cut"));
    }
}

/// In the middle of whatever is being said, a frame of the broker's or an answer of the ledger's.
#[test]
#[ignore = "minutes long: make test-faults"]
fn connections_that_break_in_the_middle_of_a_word_lose_nothing() {
    for (server, after) in [(Server::Broker, 5_000), (Server::Ledger, 3_001)] {
        let exposed = Exposed::start();
        exposed.wait_for_more(20);
        let road = exposed.roads.of(server);
        road.tear(20, after);
        road.cut();
        exposed.is_at_work("connections break");
        exposed.ends_well(&format!("connections to {server:?} that break"));
        assert!(road.n_struck() >= 5, "{server:?}: only {} connections broke", road.n_struck());
    }
}

/// What a client of the store would see, byte by byte: a road that only claimed to be broken would let every
/// test pass.
#[test]
fn each_answer_of_a_broken_road_is_what_it_says() {
    let road = Proxy::before_http(port(&shared().s3.environment()[0].1));
    let ask = |verb: &str, path: &str, body: &str| -> (String, Option<std::io::ErrorKind>) {
        let mut stream = TcpStream::connect(("127.0.0.1", road.port())).expect("a road");
        let request = format!(
            "{verb} /{}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n{body}",
            swath_tests::s3::BUCKET,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sending");
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).err().map(|error| error.kind());
        (String::from_utf8_lossy(&answer).into_owned(), end)
    };
    let reset = Some(std::io::ErrorKind::ConnectionReset);
    let body = "0123456789".repeat(4000);

    road.answer(vec![
        Answer::Lost,
        Answer::InternalError,
        Answer::SlowDown,
        Answer::Reset,
        Answer::Truncated,
    ]);
    assert_eq!(ask("PUT", "a-road", &body), (String::new(), reset), "the answer is lost");
    let (answer, end) = ask("GET", "a-road", "");
    assert!(answer.starts_with("HTTP/1.1 500 ") && end.is_none(), "{answer}");
    let (answer, end) = ask("GET", "a-road", "");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("<Code>SlowDown</Code>"), "{answer}");
    assert_eq!(end, None);
    assert_eq!(ask("GET", "a-road", ""), (String::new(), reset));
    let told = |answer: &str| answer.split_once("\r\n\r\n").map(|(_, body)| body.len());
    let (answer, end) = ask("GET", "a-road", "");
    assert_eq!((told(&answer), end), (Some(body.len() / 2), None), "half a body, and no word of it");
    assert!(answer.to_ascii_lowercase().contains(&format!("content-length: {}", body.len())), "{answer}");
    // The first request has reached the server, and with the budget used up everything passes.
    let (answer, end) = ask("GET", "a-road", "");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&body) && end.is_none());
    assert_eq!(road.n_struck(), 5);

    road.set(Road::Refused);
    let refused = || TcpStream::connect(("127.0.0.1", road.port())).err().map(|error| error.kind());
    while refused() != Some(std::io::ErrorKind::ConnectionRefused) {
        std::thread::sleep(Duration::from_millis(5));
    }
    road.set(Road::Open);
    while refused().is_some() {
        std::thread::sleep(Duration::from_millis(5));
    }
    road.set(Road::Silent);
    let mut stream = TcpStream::connect(("127.0.0.1", road.port())).expect("it takes connections");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("sending");
    let silence = stream.read(&mut [0]).err().map(|error| error.kind());
    assert_eq!(silence, Some(std::io::ErrorKind::WouldBlock), "it says something");
    road.set(Road::Open);
    stream.set_read_timeout(None).expect("no time-out");
    assert!(stream.read(&mut [0]).is_ok_and(|n| n == 1), "it never speaks again");
}
