//! Many ranges of many objects in few requests: those that lie near each other are read at once, and what is
//! left side by side. A request costs more than the bytes in a small gap.

use std::ops::Range;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::Blobs;
use crate::Result;

/// What a store sends in the time that it takes to answer another request.
const GAP: u64 = 256 << 10;
/// Ends what is joined, so that reads side by side are of like length; a range that is longer stays whole.
const LONGEST: u64 = 8 << 20;
const AT_A_TIME: usize = 16;

/// One read, and what of it was asked for: the number of the range, and where it lies in what was read.
#[derive(Debug, PartialEq, Eq)]
struct Read<'a> {
    key: &'a str,
    range: Range<u64>,
    parts: Vec<(usize, Range<usize>)>,
}

/// Exactly the bytes of each range of each object, in the order in which they were asked for.
pub async fn read_all(blobs: &dyn Blobs, wanted: &[(&str, Range<u64>)]) -> Result<Vec<Bytes>> {
    let reads = joined(wanted, GAP, LONGEST);
    // In a list and boxed: the compiler can't see otherwise that these may move between threads.
    let reads: Vec<_> = reads
        .into_iter()
        .map(|read| async move { Ok((blobs.get_range(read.key, read.range).await?, read.parts)) }.boxed())
        .collect();
    let mut found = vec![Bytes::new(); wanted.len()];
    let mut reads = futures::stream::iter(reads).buffer_unordered(AT_A_TIME);
    while let Some((bytes, parts)) = reads.try_next().await? {
        for (number, part) in parts {
            found[number] = bytes.slice(part);
        }
    }
    Ok(found)
}

/// Fewer reads that hold all ranges; never one that begins or ends where nothing was asked for.
fn joined<'a>(wanted: &[(&'a str, Range<u64>)], gap: u64, longest: u64) -> Vec<Read<'a>> {
    let mut order: Vec<usize> = (0..wanted.len()).filter(|number| !wanted[*number].1.is_empty()).collect();
    order.sort_by_key(|number| (wanted[*number].0, wanted[*number].1.start));
    let mut reads: Vec<Read<'a>> = Vec::new();
    for number in order {
        let (key, range) = &wanted[number];
        let into = reads.last_mut().filter(|read| {
            let is_near = read.key == *key && range.start <= read.range.end.saturating_add(gap);
            is_near && range.end.max(read.range.end) - read.range.start <= longest
        });
        match into {
            Some(read) => {
                read.range.end = read.range.end.max(range.end);
                let start = (range.start - read.range.start) as usize;
                read.parts.push((number, start..start + (range.end - range.start) as usize));
            }
            None => {
                let whole = 0..(range.end - range.start) as usize;
                reads.push(Read { key, range: range.clone(), parts: vec![(number, whole)] });
            }
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_of_one_object_are_read_at_once() {
        let wanted =
            [("a", 100..200), ("b", 0..10), ("a", 0..50), ("a", 1000..1100), ("a", 150..210), ("b", 12..12)];
        let reads = joined(&wanted, 60, 1000);
        let ranges: Vec<_> = reads.iter().map(|read| (read.key, read.range.clone())).collect();
        assert_eq!(ranges, [("a", 0..210), ("a", 1000..1100), ("b", 0..10)]);
        assert_eq!(reads[0].parts, [(2, 0..50), (0, 100..200), (4, 150..210)]);
    }

    #[test]
    fn a_read_is_no_longer_than_it_may_be_unless_a_range_is() {
        let wanted: Vec<_> = (0..10).map(|n| ("a", n * 10..n * 10 + 10)).chain([("a", 200..900)]).collect();
        let lengths: Vec<u64> =
            joined(&wanted, 1000, 35).iter().map(|read| read.range.end - read.range.start).collect();
        assert_eq!(lengths, [30, 30, 30, 10, 700]);
    }

    #[tokio::test]
    async fn each_range_comes_with_its_own_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = crate::blobs::folder::Folder::open(folder.path()).expect("opening");
        let body: Vec<u8> = (0..2_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        blobs.put("a", body.clone().into()).await.expect("writing");
        blobs.put("b", body[1000..].to_vec().into()).await.expect("writing");
        let wanted = [
            ("b", 5..9),
            ("a", 1_999_990..2_000_000),
            ("a", 0..3),
            ("a", 2..400_000),
            ("b", 7..7),
            ("a", 1..2),
        ];
        let found = read_all(&blobs, &wanted).await.expect("reading");
        for ((key, range), bytes) in wanted.iter().zip(found) {
            let from = if *key == "a" { 0 } else { 1000 };
            assert!(bytes == body[from + range.start as usize..from + range.end as usize], "{key} {range:?}");
        }
        let error = read_all(&blobs, &[("a", 0..3), ("c", 0..1)]).await.expect_err("there is no c");
        assert_eq!(error.kind, crate::Kind::NotFound);
    }
}
