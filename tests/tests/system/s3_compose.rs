//! Objects that are put together inside a store: what is asked of it, and what is left there.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use swath_backends::{
    Kind,
    blobs::{Piece, Put, SharedBlobs, s3::Reach},
    outside::Buckets as _,
};
use swath_proto::{access::Access, keys};
use swath_tests::{
    s3::BUCKET,
    s3_faults::{Fault, Faults, Seen},
    s3_sums::{Parts, Sums, made_up},
};

use crate::shared_servers::shared;

const MIB: u64 = 1 << 20;
const STRETCH: u64 = 6 * MIB;

async fn reached(faults: &Faults) -> Reach {
    let access = Access { prefix: "s3://b".into(), endpoint: Some(faults.url()), ..Access::default() };
    Reach::settle(Some(&access)).await.expect("settling")
}

fn prefix(name: &str) -> String {
    format!("compose-{name}-{:08x}", rand::random::<u32>())
}

fn stretch(prefix: &str, number: u8) -> Piece {
    Piece::Range { key: format!("{prefix}/source-{number}"), range: 0..STRETCH }
}

/// Puts so many sources into the store; gives a stretch of each, and their bytes.
async fn stretches(blobs: &SharedBlobs, prefix: &str, n: u8) -> (Vec<Piece>, Vec<u8>) {
    let mut wanted = Vec::new();
    for number in 0..n {
        let body: Bytes = (0..STRETCH).map(|at| (at % 251) as u8 ^ number).collect::<Vec<_>>().into();
        wanted.extend_from_slice(&body);
        blobs.put(&format!("{prefix}/source-{number}"), body).await.expect("writing");
    }
    ((0..n).map(|number| stretch(prefix, number)).collect(), wanted)
}

fn is_begin(request: &Seen) -> bool {
    request.verb == "POST" && request.query("uploads").is_some()
}

fn is_abort(request: &Seen) -> bool {
    request.verb == "DELETE" && request.query("uploadId").is_some()
}

fn count(faults: &Faults, is: impl Fn(&Seen) -> bool) -> usize {
    faults.seen().iter().filter(|request| is(request)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_sums_as_it_copies_is_named_when_the_upload_is_completed() {
    let sums = Sums::before(shared().s3.port());
    let faults = Faults::before(sums.port());
    let blobs = reached(&faults).await.bucket(BUCKET);
    let prefix = prefix("summed");
    let (stretches, bytes) = stretches(&blobs, &prefix, 3).await;
    faults.begin_anew();
    // The head is too short to be a part: the first stretch is sent with it, and two are copied.
    let pieces = [vec![Piece::Bytes("head".into())], stretches].concat();
    let key = format!("{prefix}/target");
    assert_eq!(blobs.compose_new(&key, pieces).await.expect("composing"), Put::Created);
    let sent = faults.seen().iter().find_map(|request| {
        request.query("partNumber").filter(|number| *number == "1")?;
        request.header("x-amz-checksum-crc32").map(str::to_owned)
    });
    let wanted: Parts =
        [(1, sent.expect("the first part is sent with its checksum")), (2, made_up(2)), (3, made_up(3))]
            .into();
    assert_eq!(sums.named(), [wanted]);
    assert_eq!((count(&faults, is_begin), count(&faults, is_abort)), (1, 0), "it was done at once");
    assert!(blobs.get(&key).await.expect("reading") == [b"head".to_vec(), bytes].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_sums_no_copies_is_asked_to_once_and_not_for_every_object() {
    let faults = Faults::before(shared().s3.port());
    let reach = reached(&faults).await;
    let prefix = prefix("unsummed");
    let (stretches, bytes) = stretches(&reach.bucket(BUCKET), &prefix, 3).await;
    faults.begin_anew();
    for (number, begun) in [(0, 2), (1, 3), (2, 4)] {
        // What is known of a store is known to all who reach it in the same way.
        let blobs = reach.bucket(BUCKET);
        let key = format!("{prefix}/target-{number}");
        assert_eq!(blobs.compose_new(&key, stretches.clone()).await.expect("composing"), Put::Created);
        assert_eq!((count(&faults, is_begin), count(&faults, is_abort)), (begun, 1));
        assert!(blobs.get(&key).await.expect("reading") == bytes);
    }
}

/// The keys of what was joined on the way, as they were seen in requests of a kind.
fn joined(faults: &Faults, is: impl Fn(&Seen) -> bool) -> BTreeSet<String> {
    let folder = format!("/{BUCKET}/{}", keys::JOINING);
    let seen = faults.seen();
    let paths = seen.iter().filter(|request| is(request)).map(|request| request.path.as_str());
    let paths = paths.map(|path| path.split('?').next().unwrap_or_default());
    paths.filter_map(|path| path.strip_prefix(&folder)).map(str::to_owned).collect()
}

fn is_delete(request: &Seen) -> bool {
    request.verb == "DELETE" && request.query("uploadId").is_none()
}

async fn assert_none_is_left(blobs: &SharedBlobs, joined: &BTreeSet<String>) {
    for key in joined {
        let listed: Vec<_> =
            blobs.list(&format!("{}{key}", keys::JOINING)).try_collect().await.expect("listing");
        assert!(listed.is_empty(), "{listed:?} is left behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_more_parts_than_an_upload_takes_is_joined_on_the_way() {
    let faults = Faults::before(shared().s3.port());
    let blobs = reached(&faults).await.with_most_parts(4).bucket(BUCKET);
    let prefix = prefix("many");
    let (stretches, bytes) = stretches(&blobs, &prefix, 9).await;
    let key = format!("{prefix}/target");
    faults.begin_anew();
    assert_eq!(blobs.compose_new(&key, stretches.clone()).await.expect("composing"), Put::Created);
    assert!(faults.passed() < MIB, "{} bytes have passed through", faults.passed());
    let seen = faults.seen();
    let number = |request: &Seen| request.query("partNumber")?.parse::<u32>().ok();
    assert_eq!(seen.iter().filter_map(number).max(), Some(3), "nine stretches, three by three");
    let begun = joined(&faults, is_begin);
    assert_eq!(begun.len(), 3);
    assert_eq!(joined(&faults, is_delete), begun);
    assert_none_is_left(&blobs, &begun).await;
    assert!(blobs.get(&key).await.expect("reading") == bytes);

    faults.begin_anew();
    assert_eq!(blobs.compose_new(&key, stretches).await.expect("composing"), Put::Exists);
    assert_eq!(count(&faults, is_begin), 0, "it was there, and all was copied again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_joined_is_taken_away_when_the_object_can_not_be_made() {
    let faults = Faults::before(shared().s3.port());
    let blobs = reached(&faults).await.with_most_parts(4).bucket(BUCKET);
    let prefix = prefix("torn");
    let (mut stretches, _) = stretches(&blobs, &prefix, 8).await;
    stretches.push(stretch(&prefix, 200));
    let key = format!("{prefix}/target");
    faults.begin_anew();
    let error = blobs.compose_new(&key, stretches).await.expect_err("a source is missing");
    assert_eq!(error.kind, Kind::NotFound);
    let begun = joined(&faults, is_begin);
    assert_eq!(begun.len(), 3, "all but the last could be joined");
    assert_eq!(joined(&faults, is_delete), begun);
    assert_none_is_left(&blobs, &begun).await;
    assert!(blobs.head(&key).await.expect("looking").is_none());
}

/// Waits for a condition; against hanging for ever, not a measure of speed.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: never");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_joined_is_taken_away_when_nobody_waits_for_the_object() {
    let faults = Faults::before(shared().s3.port());
    let blobs = reached(&faults).await.with_most_parts(4).bucket(BUCKET);
    let prefix = prefix("let-go");
    let (stretches, _) = stretches(&blobs, &prefix, 9).await;
    let key = format!("{prefix}/target");
    faults.begin_anew();
    let path = format!("/{BUCKET}/{key}");
    let whole = path.clone();
    let is_last =
        move |request: &Seen| request.path.starts_with(&whole) && request.query("partNumber").is_some();
    faults.next(usize::MAX, Fault::Silence, is_last.clone());
    let composing = tokio::spawn(async move { blobs.compose_new(&key, stretches).await });
    until("the whole is copied", || count(&faults, &is_last) > 0).await;
    assert_eq!(joined(&faults, is_delete), BTreeSet::new());
    composing.abort();
    let begun = joined(&faults, is_begin);
    until("all are taken away", || joined(&faults, is_delete) == begun).await;
    until("the upload is aborted", || {
        count(&faults, |request| is_abort(request) && request.path.starts_with(&path)) > 0
    })
    .await;
}
