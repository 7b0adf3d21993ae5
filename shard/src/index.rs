//! Where each chip of a shard lies, and what it holds: enough to fetch one by one ranged read, and to
//! weigh samples without opening the tar.

use std::{collections::HashSet, ops::Range};

use serde::{Deserialize, Serialize};

use crate::{BLOCK, TAR_END, chip::ClassCounts, image::Shape, key::ChipKey};

/// A chip takes some 230 bytes: these are the entries of 290,000, and a sensible shard has a few
/// thousand.
const MAX_INDEX_LEN: usize = 1 << 26;
/// No encoder makes an image larger than this.
const fn max_encoded(len: u64) -> u64 {
    2 * len + (1 << 16)
}
pub(crate) const MAX_META_LEN: u64 = 1 << 16;

#[derive(Debug, thiserror::Error)]
pub enum BadIndex {
    #[error("an index of {0} bytes; at most {MAX_INDEX_LEN} are read and written")]
    TooLong(usize),
    #[error("the index of a shard can't be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the index does not add up at chip {chip}: {what}")]
    Chip { chip: usize, what: String },
    #[error("chips end at byte {end}, so the tar has {wanted} bytes; the index says {got}")]
    TarLength { end: u64, wanted: u64, got: u64 },
    #[error("the tar has {got} bytes; its index was made for one of {wanted}")]
    OtherTar { got: u64, wanted: u64 },
}

/// An index that adds up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    tar_len: u64,
    chips: Vec<Entry>,
}

/// The JSON of version 1.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<Chips> {
    version: Version,
    tar_len: u64,
    chips: Chips,
}

#[derive(Serialize, Deserialize)]
enum Version {
    #[serde(rename = "1")]
    V1,
}

/// One chip. Its members follow each other: image, label, json.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub(crate) key: ChipKey,
    pub(crate) shape: Shape,
    pub(crate) counts: ClassCounts,
    pub(crate) image: Member,
    pub(crate) label: Member,
    pub(crate) json: Member,
}

/// Data of a file in the tar; its header is the block before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub at: u64,
    pub len: u64,
}

impl Member {
    /// Where the next header begins.
    pub(crate) const fn end(self) -> u64 {
        self.at.saturating_add(self.len).saturating_add(BLOCK - 1) / BLOCK * BLOCK
    }
}

impl Entry {
    pub const fn key(&self) -> &ChipKey {
        &self.key
    }

    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Labels by class.
    pub const fn counts(&self) -> &ClassCounts {
        &self.counts
    }

    pub const fn image(&self) -> Member {
        self.image
    }

    pub const fn label(&self) -> Member {
        self.label
    }

    pub const fn json(&self) -> Member {
        self.json
    }

    /// The bytes of the tar that [`crate::read_chip`] reads: all three members with their headers.
    pub const fn range(&self) -> Range<u64> {
        self.image.at.saturating_sub(BLOCK)..self.json.end()
    }

    /// `Ok` is where the chip ends, given where it must begin.
    fn check(&self, begin: u64) -> Result<u64, String> {
        let image_len = self.shape.byte_len().map_err(|e| e.to_string())?;
        if self.key.window.size().pixels() == 0 {
            return Err("a window without pixels".into());
        }
        let labels = self.counts.values().try_fold(0_u64, |sum, &n| sum.checked_add(n));
        if labels != Some(self.shape.pixels()) || self.counts.values().any(|&n| n == 0) {
            return Err(format!("{:?} are not the labels of {} pixels", self.counts, self.shape.pixels()));
        }
        let limits = [max_encoded(image_len), max_encoded(self.shape.pixels()), MAX_META_LEN];
        let members = [self.image, self.label, self.json];
        members.into_iter().zip(limits).try_fold(begin, |begin, (member, limit)| {
            if member.at != begin + BLOCK || !(1..=limit).contains(&member.len) {
                return Err(format!("{member:?} can't follow byte {begin}"));
            }
            Ok(member.end())
        })
    }
}

impl Index {
    /// Entries in the order of the tar.
    pub(crate) fn of(chips: Vec<Entry>) -> Result<Self, BadIndex> {
        let tar_len = chips.last().map_or(0, |last| last.json.end()) + TAR_END;
        Self::check(tar_len, chips)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, BadIndex> {
        if bytes.len() > MAX_INDEX_LEN {
            return Err(BadIndex::TooLong(bytes.len()));
        }
        let Document::<Vec<Entry>> { version: Version::V1, tar_len, chips } = serde_json::from_slice(bytes)?;
        Self::check(tar_len, chips)
    }

    fn check(tar_len: u64, chips: Vec<Entry>) -> Result<Self, BadIndex> {
        let (mut end, mut keys) = (0, HashSet::new());
        for (chip, entry) in chips.iter().enumerate() {
            end = entry.check(end).map_err(|what| BadIndex::Chip { chip, what })?;
            if !keys.insert(&entry.key) {
                return Err(BadIndex::Chip { chip, what: format!("{} is there twice", entry.key) });
            }
        }
        if tar_len != end + TAR_END {
            return Err(BadIndex::TarLength { end, wanted: end + TAR_END, got: tar_len });
        }
        Ok(Self { tar_len, chips })
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, BadIndex> {
        let document = Document { version: Version::V1, tar_len: self.tar_len, chips: &self.chips };
        let bytes = serde_json::to_vec(&document)?;
        if bytes.len() > MAX_INDEX_LEN { Err(BadIndex::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// Holds the index against the length of the tar that lies beside it.
    pub const fn check_tar(&self, len: u64) -> Result<(), BadIndex> {
        if len == self.tar_len { Ok(()) } else { Err(BadIndex::OtherTar { got: len, wanted: self.tar_len }) }
    }

    pub const fn tar_len(&self) -> u64 {
        self.tar_len
    }

    pub fn chips(&self) -> &[Entry] {
        &self.chips
    }
}

/// For `cargo fuzz`: whatever the bytes are, an index that is read adds up and reads back.
pub fn fuzz_index(bytes: &[u8]) {
    let Ok(index) = Index::parse(bytes) else { return };
    let again = index.to_bytes().and_then(|bytes| Index::parse(&bytes));
    assert!(again.is_ok_and(|again| again == index));
    let mut end = 0;
    for entry in index.chips() {
        let range = entry.range();
        assert!(range.start == end && range.start < range.end && range.end <= index.tar_len());
        end = range.end;
    }
}
