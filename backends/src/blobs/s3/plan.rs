//! In how many uploads an object goes up, so that none has more parts than a store takes.

use super::parts::{Part, parts};
use crate::blobs::Piece;

/// S3's rule.
pub(super) const MOST_PARTS: usize = 10_000;
/// What is copied as one part, if an object is not too long for that: several side by side are faster than one that is long.
const LONGEST_COPIED: u64 = 128 << 20;
/// S3's rule.
const LONGEST_OF_ALL: u64 = 5 << 30;

pub(super) enum Plan {
    Direct(Vec<Part>),
    /// Each of these is an upload and an object by itself; the whole is copied from them. All its bytes are copied twice, and
    /// no more of them are sent, nor held in memory, than if there were no limit.
    Joined(Vec<Vec<Part>>),
}

pub(super) fn plan(pieces: &[Piece], most: usize) -> Plan {
    let parts = in_one(pieces, most);
    if parts.len() <= most {
        return Plan::Direct(parts);
    }
    // Of like length, so that none is too short to be a part of the whole.
    let groups = parts.len().div_ceil(most);
    Plan::Joined(parts.chunks(parts.len().div_ceil(groups)).map(<[Part]>::to_vec).collect())
}

/// As one upload. Length by itself takes half of the parts at most; the other half is for the stretches.
pub(super) fn in_one(pieces: &[Piece], most: usize) -> Vec<Part> {
    let len: u64 = pieces.iter().map(Piece::len).sum();
    let longest = len.div_ceil((most as u64 / 2).max(1)).clamp(LONGEST_COPIED, LONGEST_OF_ALL);
    parts(pieces, longest)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const MIB: u64 = 1 << 20;
    /// S3's rule, of every part but the last.
    const LEAST: u64 = 5 * MIB;
    /// A part that is sent, and the end that is joined to it.
    const LONGEST_SENT: u64 = 13 * MIB;

    fn sum(parts: &[Part]) -> u64 {
        parts.iter().map(Part::len).sum()
    }

    fn sent(parts: &[Part]) -> impl Iterator<Item = u64> {
        parts.iter().filter(|part| matches!(part, Part::Sent(_))).map(Part::len)
    }

    /// A header, and a stretch of each of so many items.
    fn file_of(stretches: usize, len: u64) -> Vec<Piece> {
        let head = Piece::Bytes(Bytes::from(vec![0; 1000]));
        let stretch = |number: usize| Piece::Range { key: format!("{number}"), range: 7..7 + len };
        std::iter::once(head).chain((0..stretches).map(stretch)).collect()
    }

    /// All of it, by the rules of S3, in bounded memory. Gives the groups.
    fn assert_joined(pieces: &[Piece]) -> Vec<Vec<Part>> {
        let Plan::Joined(groups) = plan(pieces, MOST_PARTS) else { panic!("it is one upload") };
        assert_eq!(
            groups.iter().map(|parts| sum(parts)).sum::<u64>(),
            pieces.iter().map(Piece::len).sum::<u64>()
        );
        let joined: Vec<_> = groups
            .iter()
            .enumerate()
            .map(|(number, parts)| Piece::Range { key: format!("joined {number}"), range: 0..sum(parts) })
            .collect();
        let whole = in_one(&joined, MOST_PARTS);
        assert_eq!(sum(&whole), pieces.iter().map(Piece::len).sum::<u64>());
        assert_eq!(sent(&whole).count(), 0, "what is joined passes through here once more");
        for parts in groups.iter().chain([&whole]) {
            assert!(parts.len() <= MOST_PARTS, "{} parts", parts.len());
            assert!(sent(parts).all(|len| len < LONGEST_SENT), "a part is long in memory");
            assert!(parts.iter().all(|part| part.len() <= LONGEST_OF_ALL), "a part is too long");
            let (_, all_but_last) = parts.split_last().expect("parts");
            assert!(all_but_last.iter().all(|part| part.len() >= LEAST), "a part is too short");
        }
        groups
    }

    #[test]
    fn of_very_many_stretches_no_more_is_sent_than_the_head_takes() {
        for (stretches, groups) in [(12_000, 2), (100_000, 11)] {
            let joined = assert_joined(&file_of(stretches, 30 * MIB));
            assert_eq!(joined.len(), groups);
            assert_eq!(joined.iter().flat_map(|parts| sent(parts)).sum::<u64>(), LEAST);
        }
    }

    #[test]
    fn what_has_to_be_sent_is_sent_in_short_parts_however_many_they_are() {
        assert_joined(&file_of(40_000, 3 * MIB));
    }

    #[test]
    fn what_one_upload_takes_is_one_upload() {
        let Plan::Direct(parts) = plan(&file_of(9_999, 30 * MIB), MOST_PARTS) else {
            panic!("it is joined in between")
        };
        assert_eq!(parts.len(), 10_000);
    }

    #[test]
    fn an_object_that_is_long_in_few_stretches_is_copied_in_longer_parts() {
        let Plan::Direct(parts) = plan(&file_of(3, 1 << 40), MOST_PARTS) else {
            panic!("it is joined in between")
        };
        assert!(parts.len() <= MOST_PARTS && parts.iter().all(|part| part.len() <= LONGEST_OF_ALL));
        assert_eq!(sent(&parts).sum::<u64>(), LEAST);
    }
}
