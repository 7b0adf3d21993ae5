//! S3 as it is in the world: stores in trouble, and what comes of them.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use swath_backends::{
    Kind,
    blobs::{Piece, Put, SharedBlobs, ranges::read_all},
    open::open_buckets,
    outside::Outside,
};
use swath_proto::access::{Access, Pass};
use swath_raster::{Raster, remote::with_passes};
use swath_tests::{
    s3::BUCKET,
    s3_faults::{Fault, Faults, Seen},
};

use crate::{shared_servers::shared, site::scene};

/// A proxy before the store, and buckets behind it.
async fn faulty() -> (Faults, SharedBlobs) {
    let faults = Faults::before(shared().s3.port());
    let access = Access { prefix: "s3://b".into(), endpoint: Some(faults.url()), ..Access::default() };
    let bucket = open_buckets(Some(&access)).await.expect("settling").bucket(BUCKET);
    (faults, bucket)
}

pub(crate) fn prefix(name: &str) -> String {
    format!("s3-{name}-{:08x}", rand::random::<u32>())
}

fn any(_: &Seen) -> bool {
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_trouble_is_asked_again_until_it_answers_whole() {
    let (faults, blobs) = faulty().await;
    let prefix = prefix("trouble");
    let key = format!("{prefix}/body");
    let body: Bytes = (0..300_000_u32).map(|n| (n * 7 % 251) as u8).collect::<Vec<_>>().into();
    let long: Bytes = body.repeat(70).into();
    assert_eq!(blobs.put_new(&key, body.clone()).await.expect("writing"), Put::Created);
    blobs.put(&format!("{prefix}/long"), long.clone()).await.expect("writing");
    for fault in [
        Fault::Answer(503, "SlowDown", ""),
        Fault::Answer(500, "InternalError", ""),
        Fault::Answer(400, "RequestTimeout", ""),
        Fault::HangUp,
        Fault::Cut(0),
        Fault::Cut(2),
    ] {
        let plan = || faults.next(2, fault.clone(), any);
        plan();
        assert!(blobs.get(&key).await.expect("reading") == body, "{fault:?}");
        plan();
        assert!(blobs.get_range(&key, 1000..5000).await.expect("reading") == body[1000..5000], "{fault:?}");
        plan();
        assert!(blobs.get(&format!("{prefix}/long")).await.expect("reading") == long, "{fault:?}");
        plan();
        let listed: Vec<_> = blobs.list(&prefix).try_collect().await.expect("listing");
        assert_eq!(listed.len(), 2, "{fault:?}");
        plan();
        blobs.put(&key, body.clone()).await.expect("writing");
        if !matches!(fault, Fault::Cut(_)) {
            plan();
            let head = blobs.head(&key).await.expect("looking").expect("it is there");
            assert_eq!(head.len, body.len() as u64, "{fault:?}");
        }
        faults.begin_anew();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_always_breaks_off_is_an_error_and_never_short_data() {
    let (faults, blobs) = faulty().await;
    let key = format!("{}/body", prefix("torn"));
    blobs.put(&key, vec![7; 100_000].into()).await.expect("writing");
    faults.next(usize::MAX, Fault::Cut(60_000), |request| request.verb == "GET");
    for error in [
        blobs.get(&key).await.expect_err("it is whole"),
        blobs.get_range(&key, 0..90_000).await.expect_err("it is whole"),
    ] {
        assert_eq!(error.kind, Kind::Transient, "{error:?}");
    }
}

/// As proxies answer: the end of the connection is the end of the body.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_an_answer_without_a_length_is_what_was_asked_for() {
    let (faults, blobs) = faulty().await;
    let key = format!("{}/body", prefix("unmeasured"));
    let body: Bytes = (0..100_000_u32).map(|n| (n * 7 % 251) as u8).collect::<Vec<_>>().into();
    blobs.put(&key, body.clone()).await.expect("writing");
    let range = 10..90_000;
    // How many answers are without a length, and how much comes of them; how often it is asked for then.
    for (n, bytes, asked) in [(1, usize::MAX, 1), (2, 60_000, 3)] {
        faults.begin_anew();
        faults.next(n, Fault::CutUnmeasured(bytes), |request| request.verb == "GET");
        let part = blobs.get_range(&key, range.start as u64..range.end as u64).await.expect("reading");
        assert!(part == body[range.clone()], "{n} answers of {bytes} bytes");
        assert_eq!((faults.left(), faults.seen().len()), (0, asked), "{n} answers of {bytes} bytes");
    }
    // A look tells the length of the whole.
    for bytes in [usize::MAX, 60_000] {
        faults.begin_anew();
        faults.next(1, Fault::CutUnmeasured(bytes), |request| request.verb == "GET");
        assert!(blobs.get(&key).await.expect("reading") == body, "{bytes} bytes");
        let verbs: Vec<_> = faults.seen().into_iter().map(|request| request.verb).collect();
        assert_eq!(verbs, ["GET", "HEAD", "GET"], "{bytes} bytes");
    }
    faults.begin_anew();
    faults.next(1, Fault::CutUnmeasured(usize::MAX), |request| request.verb == "GET");
    faults.next(1, Fault::Answer(404, "", ""), |request| request.verb == "HEAD");
    assert_eq!(blobs.get(&key).await.expect_err("it is gone").kind, Kind::NotFound);
    faults.begin_anew();
    faults.next(1, Fault::CutUnmeasured(usize::MAX), |request| request.verb == "GET");
    assert_eq!(blobs.get_range(&key, 10..200_000).await.expect_err("it is shorter").kind, Kind::Corrupt);
    assert_eq!(faults.seen().len(), 1);
    faults.begin_anew();
    faults.next(usize::MAX, Fault::CutUnmeasured(0), |request| request.verb == "HEAD");
    assert_eq!(blobs.head(&key).await.expect_err("no length is told").kind, Kind::Config);
    faults.begin_anew();
    faults.next(usize::MAX, Fault::CutUnmeasured(60_000), |request| request.verb == "GET");
    for error in [
        blobs.get(&key).await.expect_err("it is whole"),
        blobs.get_range(&key, 0..90_000).await.expect_err("it is whole"),
    ] {
        assert_eq!(error.kind, Kind::Transient, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_not_done_twice() {
    let (faults, blobs) = faulty().await;
    let key = format!("{}/body", prefix("lost"));
    faults.next(1, Fault::Lost, |request| request.verb == "PUT");
    // Its own first try was first: whoever asks is told that somebody was.
    assert_eq!(blobs.put_new(&key, "mine".into()).await.expect("writing"), Put::Exists);
    assert_eq!(blobs.get(&key).await.expect("reading"), "mine");
    let composed = format!("{key}-composed");
    let completes = |request: &Seen| request.verb == "POST" && request.path.contains("uploadId=");
    faults.next(1, Fault::Lost, completes);
    let pieces = vec![Piece::Bytes(vec![5; 20 << 20].into())];
    blobs.compose_new(&composed, pieces).await.expect("composing");
    assert_eq!(blobs.head(&composed).await.expect("looking").expect("it is there").len, 20 << 20);
}

/// Waits for a condition; against hanging for ever, not a measure of speed.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: never");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_abort(request: &Seen) -> bool {
    request.verb == "DELETE" && request.path.contains("uploadId=")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_or_is_let_go_of_is_aborted() {
    let (faults, blobs) = faulty().await;
    let prefix = prefix("abandoned");
    let long = || Piece::Bytes(vec![1; 17 << 20].into());
    let missing = Piece::Range { key: format!("{prefix}/not"), range: 0..9 };
    let error = blobs.compose_new(&format!("{prefix}/torn"), vec![long(), missing]).await;
    assert_eq!(error.expect_err("a piece is missing").kind, Kind::NotFound);
    assert!(faults.seen().iter().any(is_abort), "it failed");

    faults.begin_anew();
    faults.next(usize::MAX, Fault::Silence, |request| request.path.contains("partNumber="));
    let (composer, key) = (blobs.clone(), format!("{prefix}/let-go"));
    let composing = tokio::spawn(async move { composer.compose_new(&key, vec![long()]).await });
    until("a part goes up", || faults.seen().iter().any(|request| request.path.contains("partNumber=")))
        .await;
    assert!(!faults.seen().iter().any(is_abort));
    composing.abort();
    until("it is aborted", || faults.seen().iter().any(is_abort)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn near_ranges_take_one_request() {
    let (faults, blobs) = faulty().await;
    let key = format!("{}/shard", prefix("near"));
    let body: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    blobs.put(&key, body.clone().into()).await.expect("writing");
    faults.begin_anew();
    let chips: Vec<(&str, Range<u64>)> = (0..16)
        .map(|n| (key.as_str(), n * 20_000..n * 20_000 + 18_000))
        .chain([(&*key, 1_900_000..1_900_010)])
        .collect();
    let found = read_all(&*blobs, &chips).await.expect("reading");
    for ((_, range), bytes) in chips.iter().zip(found) {
        assert!(bytes == body[range.start as usize..range.end as usize], "{range:?}");
    }
    assert_eq!(faults.seen().len(), 2, "{:?}", faults.seen());
}

/// One test at a time looks at what GDAL asks: its settings are the process's.
static GDAL: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A scene behind a proxy, and how it is read from there.
async fn remote_scene(name: &str) -> (Faults, String, Vec<Pass>) {
    let (faults, blobs) = faulty().await;
    let key = format!("{}/scene.tif", prefix(name));
    let body = std::fs::read(scene().join("scene-1.tif")).expect("a drawn scene");
    blobs.put(&key, body.into()).await.expect("uploading");
    let labels = std::fs::read(scene().join("scene-1.geojson")).expect("drawn labels");
    blobs.put(&key.replace(".tif", ".geojson"), labels.into()).await.expect("uploading");
    let uri = format!("s3://{BUCKET}/{key}");
    let access =
        Access { prefix: format!("s3://{BUCKET}"), endpoint: Some(faults.url()), ..Access::default() };
    let passes = Outside::new(&[access]).passes([uri.as_str()], "/no/bucket").await.expect("settling");
    faults.begin_anew();
    (faults, uri, passes)
}

#[tokio::test(flavor = "multi_thread")]
async fn pixels_and_labels_come_whole_through_trouble() {
    let _alone = GDAL.lock().await;
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let local = Raster::open(scene().join("scene-1.tif").to_str().expect("UTF-8")).expect("the scene");
    let wanted = local.read(0, 0, local.size(), &[1, 2, 3]).expect("reading");
    for (number, fault) in [
        Fault::Answer(503, "SlowDown", ""),
        Fault::Answer(500, "InternalError", ""),
        Fault::HangUp,
        Fault::Cut(0),
        Fault::Cut(1000),
    ]
    .into_iter()
    .enumerate()
    {
        // A name of its own each time: GDAL remembers.
        let (faults, uri, passes) = remote_scene(&format!("whole-{number}")).await;
        let read = || {
            with_passes(passes.clone(), || {
                faults.next(2, fault.clone(), |request| request.verb == "GET");
                let raster = Raster::open(&uri).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
                faults.next(2, fault.clone(), |request| request.verb == "GET");
                raster
                    .read(0, 0, raster.size(), &[1, 2, 3])
                    .unwrap_or_else(|error| panic!("{fault:?}: {error}"))
            })
        };
        assert!(read() == wanted, "{fault:?}");
        assert_eq!(faults.left(), 0, "{fault:?} has not come to pass");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pixels_of_a_store_that_always_breaks_off_are_an_error() {
    let _alone = GDAL.lock().await;
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let (faults, uri, passes) = remote_scene("torn").await;
    with_passes(passes, || {
        let raster = Raster::open(&uri).expect("the scene");
        faults.next(usize::MAX, Fault::Cut(500), |request| request.verb == "GET");
        let error = raster.read(0, 0, raster.size(), &[1]).expect_err("it is whole");
        assert_eq!(
            error.kind,
            swath_raster::Kind::Transient,
            "{error}: no scene is buried for its store's sake"
        );
    });
}
