//! Reads the directories of a little-endian TIFF or BigTIFF that is in memory: how the tags of a
//! place on the ground get from a file that GDAL has written into one of ours.

use super::tag::{GEO, Tag, bytes_per_value};

const MAX_DIRECTORIES: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTiff {
    #[error("this is no little-endian TIFF")]
    Signature,
    #[error("the TIFF is cut off: nothing at byte {0}")]
    CutOff(u64),
    #[error("tag {code} of the TIFF has the unknown type {kind}")]
    Kind { code: u16, kind: u16 },
    #[error("the TIFF has more than {MAX_DIRECTORIES} directories, or they go in a circle")]
    TooMany,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    pub offset: u64,
    pub tags: Vec<Tag>,
}

impl Directory {
    pub fn tag(&self, code: u16) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.code == code)
    }
}

/// The tags that place the first image of a TIFF on the ground.
pub fn geo_tags(tiff: &[u8]) -> Result<Vec<Tag>, BadTiff> {
    let first = directories(tiff)?.into_iter().next().ok_or(BadTiff::CutOff(0))?;
    Ok(first.tags.into_iter().filter(|tag| GEO.contains(&tag.code)).collect())
}

/// All directories, in the order in which they refer to each other.
pub fn directories(tiff: &[u8]) -> Result<Vec<Directory>, BadTiff> {
    let file = match tiff {
        [b'I', b'I', 42, 0, ..] => File { bytes: tiff, word: 4 },
        [b'I', b'I', 43, 0, 8, 0, 0, 0, ..] => File { bytes: tiff, word: 8 },
        _ => return Err(BadTiff::Signature),
    };
    let mut at = file.number(file.word, file.word)?;
    let mut out = Vec::new();
    while at != 0 {
        if out.len() == MAX_DIRECTORIES {
            return Err(BadTiff::TooMany);
        }
        let (directory, next) = file.directory(at)?;
        out.push(directory);
        at = next;
    }
    Ok(out)
}

struct File<'a> {
    bytes: &'a [u8],
    /// Bytes of an offset: 4, or 8 in a BigTIFF.
    word: u64,
}

impl<'a> File<'a> {
    fn slice(&self, at: u64, len: u64) -> Result<&'a [u8], BadTiff> {
        let range = at.checked_add(len).map(|end| at as usize..end as usize);
        range.and_then(|range| self.bytes.get(range)).ok_or(BadTiff::CutOff(at))
    }

    fn number(&self, at: u64, len: u64) -> Result<u64, BadTiff> {
        Ok(self.slice(at, len)?.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    /// A directory, and where the next one is.
    fn directory(&self, offset: u64) -> Result<(Directory, u64), BadTiff> {
        let count_len = if self.word == 4 { 2 } else { 8 };
        let count = self.number(offset, count_len)?;
        let entry_len = 4 + 2 * self.word;
        let len = count.checked_mul(entry_len).ok_or(BadTiff::CutOff(offset))?;
        let entries = offset + count_len;
        self.slice(entries, len)?;
        let tags = (0..count).map(|i| self.tag(entries + i * entry_len)).collect::<Result<_, _>>()?;
        Ok((Directory { offset, tags }, self.number(entries + len, self.word)?))
    }

    fn tag(&self, at: u64) -> Result<Tag, BadTiff> {
        let (code, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
        let count = self.number(at + 4, self.word)?;
        let width = bytes_per_value(kind).ok_or(BadTiff::Kind { code, kind })? as u64;
        let len = count.checked_mul(width).ok_or(BadTiff::CutOff(at))?;
        let value = at + 4 + self.word;
        let from = if len <= self.word { value } else { self.number(value, self.word)? };
        Ok(Tag { code, kind, count, bytes: self.slice(from, len)?.to_vec() })
    }
}
