//! How an object that is put together goes up: what is long is copied inside the store, and none of its bytes pass
//! through here; what is short, or too short to be a part by itself, is sent together with its neighbours.

use std::ops::Range;

use crate::blobs::Piece;

/// S3's rule: every part but the last is at least this long.
const LEAST: u64 = 5 << 20;
/// What is sent of one part, and its end that is too short to be one: a few parts are in memory at a time.
const LONGEST_SENT: u64 = 8 << 20;

#[derive(Clone, Debug)]
pub(super) enum Part {
    Copied { key: String, range: Range<u64> },
    Sent(Vec<Piece>),
}

impl Part {
    pub(super) fn len(&self) -> u64 {
        match self {
            Part::Copied { range, .. } => range.end - range.start,
            Part::Sent(pieces) => pieces.iter().map(Piece::len).sum(),
        }
    }
}

/// The parts of an object, from its first byte to its last, however many that are. What is sent as one part is never
/// longer for their number: it is held in memory.
pub(super) fn parts(pieces: &[Piece], longest_copied: u64) -> Vec<Part> {
    cut(&joined(pieces), longest_copied)
}

/// Ranges that follow each other in one object are one.
fn joined(pieces: &[Piece]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        match (out.last_mut(), piece) {
            (Some(Piece::Range { key, range }), Piece::Range { key: next_key, range: next })
                if key == next_key && range.end == next.start =>
            {
                range.end = next.end;
            }
            _ => out.push(piece.clone()),
        }
    }
    out
}

fn cut(pieces: &[Piece], longest_copied: u64) -> Vec<Part> {
    let mut cut = Cut { done: Vec::new(), open: Vec::new(), len: 0 };
    for piece in pieces {
        // What is too short to be a part goes with that before it, if that is sent too. If not, it takes from the
        // range behind it, if enough of that is left.
        if cut.len < LEAST && matches!(piece, Piece::Range { .. }) && piece.len() >= LEAST {
            cut.join();
        }
        let taken = if cut.len == 0 { 0 } else { LEAST.saturating_sub(cut.len) };
        match piece {
            Piece::Range { key, range } if piece.len() >= taken + LEAST => {
                cut.send(piece, 0..taken);
                cut.close();
                cut.copy(key, range.start + taken..range.end, longest_copied);
            }
            _ => cut.send(piece, 0..piece.len()),
        }
    }
    cut.close();
    cut.done
}

struct Cut {
    done: Vec<Part>,
    /// What the next part that is sent has so far.
    open: Vec<Piece>,
    len: u64,
}

impl Cut {
    /// Sends these bytes of a piece.
    fn send(&mut self, piece: &Piece, bytes: Range<u64>) {
        let mut at = bytes.start;
        while at < bytes.end {
            let end = bytes.end.min(at + LONGEST_SENT - self.len);
            self.open.push(match piece {
                Piece::Bytes(whole) => Piece::Bytes(whole.slice(at as usize..end as usize)),
                Piece::Range { key, range } => {
                    Piece::Range { key: key.clone(), range: range.start + at..range.start + end }
                }
            });
            self.len += end - at;
            at = end;
            if self.len == LONGEST_SENT {
                self.close();
            }
        }
    }

    /// Makes what is open the end of the part before it, if that is sent.
    fn join(&mut self) {
        if let Some(Part::Sent(pieces)) = self.done.last_mut() {
            pieces.append(&mut self.open);
            self.len = 0;
        }
    }

    fn close(&mut self) {
        if self.len > 0 {
            self.done.push(Part::Sent(std::mem::take(&mut self.open)));
            self.len = 0;
        }
    }

    /// In parts of like length, so that none is too short.
    fn copy(&mut self, key: &str, range: Range<u64>, longest: u64) {
        let len = range.end - range.start;
        let step = len.div_ceil(len.div_ceil(longest));
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + step);
            self.done.push(Part::Copied { key: key.to_owned(), range: start..end });
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    const MIB: u64 = 1 << 20;
    const LONGEST_COPIED: u64 = 128 * MIB;

    fn parts(pieces: &[Piece]) -> Vec<Part> {
        super::parts(pieces, LONGEST_COPIED)
    }

    fn range(key: &str, range: Range<u64>) -> Piece {
        Piece::Range { key: key.into(), range }
    }

    fn sent(part: &Part) -> u64 {
        match part {
            Part::Sent(_) => part.len(),
            Part::Copied { .. } => 0,
        }
    }

    /// What the parts are of, joined again.
    fn pieces_of(parts: &[Part]) -> Vec<(String, Range<u64>)> {
        let mut out: Vec<(String, Range<u64>)> = Vec::new();
        let pieces = parts.iter().flat_map(|part| match part {
            Part::Copied { key, range: bytes } => vec![range(key, bytes.clone())],
            Part::Sent(pieces) => pieces.clone(),
        });
        for piece in pieces {
            let Piece::Range { key, range } = piece else { panic!("bytes") };
            match out.last_mut() {
                Some((last, bytes)) if *last == key && bytes.end == range.start => bytes.end = range.end,
                _ => out.push((key, range)),
            }
        }
        out
    }

    #[test]
    fn all_parts_together_are_all_pieces_and_keep_to_the_rules_of_s3() {
        let mut rng = StdRng::seed_from_u64(8);
        for round in 0..300 {
            let lens = [3 * MIB, 12 * MIB, 400 * MIB];
            let pieces: Vec<_> = (0..rng.random_range(1..40))
                .map(|number| {
                    let start = rng.random_range(0..1000);
                    range(&format!("{number}"), start..start + rng.random_range(1..lens[round % 3]))
                })
                .collect();
            let parts = parts(&pieces);
            let wanted: Vec<_> = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Range { key, range } => (key.clone(), range.clone()),
                    Piece::Bytes(_) => panic!("bytes"),
                })
                .collect();
            assert_eq!(pieces_of(&parts), wanted);
            for (at, part) in parts.iter().enumerate() {
                assert!(part.len() >= LEAST || at + 1 == parts.len(), "{part:?}");
                assert!(sent(part) < LONGEST_SENT + LEAST && part.len() <= LONGEST_COPIED, "{part:?}");
            }
        }
    }

    #[test]
    fn runs_of_8_mib_and_more_are_copied_and_a_short_head_takes_5_mib_at_most() {
        let head = Piece::Bytes(Bytes::from(vec![0; 3]));
        let runs = (0..100).map(|number| range(&format!("{number}"), 7..7 + 12 * MIB));
        let parts = parts(&[vec![head], runs.collect()].concat());
        assert_eq!(parts.iter().map(sent).sum::<u64>(), LEAST);
        assert_eq!(parts.len(), 101);
        // Where the first run can't spare so much, it is sent as it is, and nothing else.
        let head = Piece::Bytes(Bytes::from(vec![0; 3]));
        let runs = (0..100).map(|number| range(&format!("{number}"), 7..7 + 8 * MIB));
        let all = super::parts(&[vec![head], runs.collect()].concat(), LONGEST_COPIED);
        assert!(all.iter().map(sent).sum::<u64>() <= 3 + 16 * MIB);
    }

    #[test]
    fn neighbours_in_one_object_are_one_run() {
        let parts =
            parts(&(0..1000).map(|at| range("a", at * MIB / 4..(at + 1) * MIB / 4)).collect::<Vec<_>>());
        assert_eq!(parts.iter().map(sent).sum::<u64>(), 0);
        assert_eq!(parts.len(), 2);
    }
}
