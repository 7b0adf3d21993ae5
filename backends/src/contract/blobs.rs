//! The contract of [`Blobs`].

use bytes::Bytes;
use futures::TryStreamExt as _;

use crate::{
    Kind,
    blobs::{Blobs, Piece, Put, SharedBlobs},
};

/// `races`: what is composed at the same moment can be told apart. A test server that checks and
/// completes in two steps can't; what it composes then is the same bytes all the same.
pub async fn all(blobs: SharedBlobs, races: bool) {
    what_is_put_can_be_read_listed_and_deleted(&*blobs).await;
    of_many_writers_the_first_wins(blobs.clone()).await;
    a_range_is_exact_or_an_error(&*blobs).await;
    a_listing_is_whole_and_in_order(&*blobs).await;
    pieces_become_one_object(&*blobs).await;
    long_ranges_become_one_object(&*blobs).await;
    if races {
        of_many_composers_the_first_wins(blobs).await;
    }
}

/// Keys that no other check uses.
fn prefix(name: &str) -> String {
    format!("contract/{name}-{:08x}", rand::random::<u32>())
}

pub async fn what_is_put_can_be_read_listed_and_deleted(blobs: &dyn Blobs) {
    let prefix = prefix("plain");
    for (name, body) in
        [("empty", Bytes::new()), ("large", vec![7; 20 << 20].into()), ("small", "abc".into())]
    {
        let key = format!("{prefix}/{name}");
        assert!(blobs.head(&key).await.expect("looking").is_none(), "{name} is there before it was written");
        assert_eq!(blobs.get(&key).await.expect_err("reading nothing").kind, Kind::NotFound);
        assert_eq!(blobs.put_new(&key, body.clone()).await.expect("writing"), Put::Created);
        assert_eq!(blobs.put_new(&key, "other".into()).await.expect("writing"), Put::Exists);
        assert!(
            blobs.get(&key).await.expect("reading") == body,
            "{name} reads otherwise than it was written"
        );
        let meta = blobs.head(&key).await.expect("looking").expect("it is there");
        assert_eq!(meta.len, body.len() as u64);
        blobs.put(&key, "replaced".into()).await.expect("replacing");
        assert_eq!(blobs.get(&key).await.expect("reading"), "replaced");
        assert_ne!(
            blobs.head(&key).await.expect("looking").expect("it is there").tag,
            meta.tag,
            "the tag stayed"
        );
        blobs.delete(&key).await.expect("deleting");
        blobs.delete(&key).await.expect("deleting again");
        assert!(blobs.head(&key).await.expect("looking").is_none(), "{name} is there after it was deleted");
    }
}

pub async fn of_many_writers_the_first_wins(blobs: SharedBlobs) {
    for _ in 0..5 {
        let key = format!("{}/race", prefix("race"));
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..32_u8 {
            let (blobs, key) = (blobs.clone(), key.clone());
            let body = Bytes::from(vec![number; 10_000]);
            writers.spawn(async move { (number, blobs.put_new(&key, body).await.expect("writing")) });
        }
        let ended = writers.join_all().await;
        let winners: Vec<u8> =
            ended.iter().filter(|(_, put)| *put == Put::Created).map(|(number, _)| *number).collect();
        assert_eq!(winners.len(), 1, "{winners:?} were all told that they were first");
        assert!(
            blobs.get(&key).await.expect("reading") == vec![winners[0]; 10_000],
            "the winner's body is not there"
        );
    }
}

pub async fn a_range_is_exact_or_an_error(blobs: &dyn Blobs) {
    let key = format!("{}/range", prefix("range"));
    blobs.put(&key, "0123456789".into()).await.expect("writing");
    assert_eq!(blobs.get_range(&key, 3..6).await.expect("reading"), "345");
    assert_eq!(blobs.get_range(&key, 4..4).await.expect("reading"), "");
    assert_eq!(blobs.get_range(&key, 0..10).await.expect("reading"), "0123456789");
    for range in [5..11, 10..12, 40..50] {
        let kind = blobs.get_range(&key, range.clone()).await.expect_err("reading beyond the end").kind;
        assert_eq!(kind, Kind::Corrupt, "{range:?}");
    }
    assert_eq!(
        blobs.get_range(&format!("{key}-not"), 0..1).await.expect_err("reading nothing").kind,
        Kind::NotFound
    );
}

pub async fn a_listing_is_whole_and_in_order(blobs: &dyn Blobs) {
    const N: usize = 2300;
    let prefix = prefix("list");
    let mut wanted: Vec<String> =
        (0..N).map(|number| format!("{prefix}/{:02}/{number}", number % 7)).collect();
    wanted.extend([format!("{prefix}/00-sibling"), format!("{prefix}/00.sibling"), format!("{prefix}0")]);
    for chunk in wanted.chunks(64) {
        futures::future::try_join_all(chunk.iter().map(|key| blobs.put(key, "x".into())))
            .await
            .expect("writing");
    }
    let list = async |prefix: &str| {
        let listed: Vec<_> = blobs.list(prefix).try_collect().await.expect("listing");
        listed.into_iter().map(|object| object.key).collect::<Vec<_>>()
    };
    wanted.sort();
    assert!(list(&prefix).await == wanted, "a listing lacks keys, or is out of order");
    let inside: Vec<_> =
        wanted.iter().filter(|key| key.starts_with(&format!("{prefix}/00"))).cloned().collect();
    assert!(list(&format!("{prefix}/00")).await == inside, "a prefix that ends within a name");
    assert_eq!(list(&format!("{prefix}/none/")).await, [""; 0]);
}

pub async fn pieces_become_one_object(blobs: &dyn Blobs) {
    let prefix = prefix("compose");
    let source = |number: u8| format!("{prefix}/source-{number}");
    for number in 0..3 {
        blobs.put(&source(number), vec![number; 9 << 20].into()).await.expect("writing");
    }
    let range = |number, range| Piece::Range { key: source(number), range };
    for (name, long) in [("short", 100_u64), ("long", 9 << 20)] {
        let target = format!("{prefix}/{name}");
        let pieces = vec![
            Piece::Bytes("head".into()),
            range(0, 0..long),
            range(1, 5..long),
            Piece::Bytes("mid".into()),
            range(2, 0..long),
        ];
        assert_eq!(blobs.compose_new(&target, pieces.clone()).await.expect("composing"), Put::Created);
        let (first, second) = (vec![0; long as usize], vec![1; long as usize - 5]);
        let wanted = [b"head".to_vec(), first, second, b"mid".to_vec(), vec![2; long as usize]].concat();
        assert!(
            blobs.get(&target).await.expect("reading") == wanted,
            "{name}: the pieces are not as they were"
        );
        assert_eq!(blobs.compose_new(&target, pieces).await.expect("composing"), Put::Exists);
    }
    let missing = vec![
        Piece::Bytes(vec![1; 17 << 20].into()),
        Piece::Range { key: format!("{prefix}/not"), range: 0..9 },
    ];
    let target = format!("{prefix}/torn");
    let error = blobs.compose_new(&target, missing).await.expect_err("composing what is not there");
    assert_eq!(error.kind, Kind::NotFound);
    assert!(
        blobs.head(&target).await.expect("looking").is_none(),
        "something half-composed has the final name"
    );
}

/// Such as a store may copy by itself, with what is too short for that before, between and behind them.
pub async fn long_ranges_become_one_object(blobs: &dyn Blobs) {
    const LEN: u64 = 24 << 20;
    let prefix = prefix("compose \u{e4}");
    let body: Bytes = (0..LEN).map(|at| (at % 251) as u8 ^ (at >> 18) as u8).collect::<Vec<_>>().into();
    let source = format!("{prefix}/a source+1");
    blobs.put(&source, body.clone()).await.expect("writing");
    let ranges = [3..LEN, 0..20 << 20, 100..200, 1 << 20..LEN - 5];
    let (mut pieces, mut wanted) = (vec![Piece::Bytes("head".into())], b"head".to_vec());
    for range in ranges {
        wanted.extend_from_slice(&body[range.start as usize..range.end as usize]);
        wanted.extend_from_slice(b"between");
        pieces.extend([Piece::Range { key: source.clone(), range }, Piece::Bytes("between".into())]);
    }
    let target = format!("{prefix}/target");
    assert_eq!(blobs.compose_new(&target, pieces.clone()).await.expect("composing"), Put::Created);
    assert!(blobs.get(&target).await.expect("reading") == wanted, "the ranges are not as they were");
    assert_eq!(blobs.compose_new(&target, pieces).await.expect("composing"), Put::Exists);
    let missing = vec![Piece::Range { key: format!("{prefix}/not"), range: 0..LEN }];
    let error = blobs.compose_new(&format!("{prefix}/torn"), missing).await.expect_err("it is not there");
    assert_eq!(error.kind, Kind::NotFound);
}

pub async fn of_many_composers_the_first_wins(blobs: SharedBlobs) {
    let key = format!("{}/race", prefix("composers"));
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..6_u8 {
        let (blobs, key) = (blobs.clone(), key.clone());
        let pieces = vec![Piece::Bytes(vec![number; 17 << 20].into())];
        writers.spawn(async move { (number, blobs.compose_new(&key, pieces).await.expect("composing")) });
    }
    let ended = writers.join_all().await;
    let winners: Vec<u8> =
        ended.iter().filter(|(_, put)| *put == Put::Created).map(|(number, _)| *number).collect();
    assert_eq!(winners.len(), 1, "{winners:?} were all told that they were first");
    assert!(
        blobs.get(&key).await.expect("reading") == vec![winners[0]; 17 << 20],
        "the winner's body is not there"
    );
}
