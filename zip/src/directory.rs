//! Where a zip file's directory is, and what it says of each member: whatever is read here may be a lie.

use std::{collections::BTreeMap, ops::Range};

use crate::{
    END, ENTRY,
    error::{Result, at_most, malformed, shown},
    source::Source,
};

pub(crate) const ENTRY_LEN: usize = 46;
const END_LEN: usize = 22;
pub(crate) const END_64_LOCATOR: &[u8] = b"PK\x06\x07";
const END_64_LOCATOR_LEN: usize = 20;
pub(crate) const END_64: &[u8] = b"PK\x06\x06";
const END_64_LEN: u64 = 56;
const MAX_COMMENT_LEN: usize = u16::MAX as usize;
/// Stands for a number that is elsewhere, in 64 bits.
const ELSEWHERE: u64 = u32::MAX as u64;

/// How much a directory may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub members: u64,
    pub directory_len: u64,
}

/// Of one member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) flags: u64,
    pub(crate) method: u64,
    pub(crate) crc32: u32,
    pub(crate) packed_len: u64,
    pub(crate) len: u64,
    pub(crate) mode: u64,
    pub(crate) header_at: u64,
}

/// All that a directory names.
pub(crate) fn members(source: &Source, limits: Limits) -> Result<BTreeMap<String, Member>> {
    let directory = directory(source)?;
    at_most(directory.n_members, limits.members, "members of a zip file")?;
    let len = directory.bytes.end.checked_sub(directory.bytes.start);
    at_most(len.unwrap_or(u64::MAX), limits.directory_len, "bytes of a zip file's directory")?;
    let bytes = source.read(directory.bytes)?;
    let mut rest = bytes.as_slice();
    let mut members = BTreeMap::new();
    for _ in 0..directory.n_members {
        let (name, member) = take_entry(&mut rest)?;
        if members.contains_key(&name) {
            return malformed(format!("two members of one name, such as '{}'", shown(&name)));
        }
        members.insert(name, member);
    }
    if !rest.is_empty() {
        return malformed("a zip file with more of a directory than it says");
    }
    Ok(members)
}

struct Directory {
    n_members: u64,
    bytes: Range<u64>,
}

/// From the record at the end of the file, or the one of 64 bits that it leads to.
fn directory(source: &Source) -> Result<Directory> {
    let tail_at = source.len().saturating_sub((END_LEN + MAX_COMMENT_LEN + END_64_LOCATOR_LEN) as u64);
    let tail = source.read(tail_at..source.len())?;
    let is_end = |at: &usize| {
        let comment_len = number(&tail, at + 20, 2);
        tail[*at..].starts_with(END)
            && comment_len.is_ok_and(|len| *at + END_LEN + len as usize == tail.len())
    };
    let Some(at) = (0..=tail.len().saturating_sub(END_LEN)).rev().find(is_end) else {
        return malformed("a zip file without its end");
    };
    let locator = at.checked_sub(END_64_LOCATOR_LEN).filter(|at| tail[*at..].starts_with(END_64_LOCATOR));
    let (n_members, len, from) = match locator {
        Some(locator) => {
            let from = number(&tail, locator + 8, 8)?;
            let end = source.read(from..from.saturating_add(END_64_LEN))?;
            if !end.starts_with(END_64) {
                return malformed("a zip file whose 64 bit end is elsewhere");
            }
            (number(&end, 32, 8)?, number(&end, 40, 8)?, number(&end, 48, 8)?)
        }
        None => (number(&tail, at + 10, 2)?, number(&tail, at + 12, 4)?, number(&tail, at + 16, 4)?),
    };
    match from.checked_add(len) {
        Some(end) if end <= tail_at + at as u64 => Ok(Directory { n_members, bytes: from..end }),
        _ => malformed("a zip file whose directory is not before its end"),
    }
}

fn take_entry(rest: &mut &[u8]) -> Result<(String, Member)> {
    let entry = *rest;
    if !entry.starts_with(ENTRY) {
        return malformed("a zip file with less of a directory than it says");
    }
    let field = |at, len| number(entry, at, len);
    let name_end = ENTRY_LEN + field(28, 2)? as usize;
    let extra_end = name_end + field(30, 2)? as usize;
    let end = extra_end + field(32, 2)? as usize;
    let (Some(name), Some(mut extra), Some(behind)) =
        (entry.get(ENTRY_LEN..name_end), entry.get(name_end..extra_end), entry.get(end..))
    else {
        return malformed("a zip file whose directory ends within a member");
    };
    *rest = behind;
    let Ok(name) = std::str::from_utf8(name) else {
        return malformed("a zip member whose name is not UTF-8");
    };
    let mut wide = wide_numbers(&mut extra)?;
    let mut widened = |narrow: u64| match narrow {
        ELSEWHERE => {
            let value = number(wide, 0, 8)?;
            wide = &wide[8..];
            Ok(value)
        }
        _ => Ok(narrow),
    };
    let len = widened(field(24, 4)?)?;
    let packed_len = widened(field(20, 4)?)?;
    let header_at = widened(field(42, 4)?)?;
    let member = Member {
        flags: field(8, 2)?,
        method: field(10, 2)?,
        crc32: field(16, 4)? as u32,
        packed_len,
        len,
        mode: field(40, 2)?,
        header_at,
    };
    Ok((name.to_owned(), member))
}

/// The extra field of 64-bit numbers; empty if there is none.
fn wide_numbers<'a>(extra: &mut &'a [u8]) -> Result<&'a [u8]> {
    const WIDE: u64 = 1;
    while extra.len() >= 4 {
        let (kind, len) = (number(extra, 0, 2)?, number(extra, 2, 2)? as usize);
        let Some(body) = extra.get(4..4 + len) else {
            return malformed("a zip member with a field that does not end");
        };
        if kind == WIDE {
            return Ok(body);
        }
        *extra = &extra[4 + len..];
    }
    Ok(&[])
}

/// The little-endian number of `len` bytes, eight at most.
pub(crate) fn number(bytes: &[u8], at: usize, len: usize) -> Result<u64> {
    match at.checked_add(len).and_then(|end| bytes.get(at..end)) {
        Some(field) => Ok(field.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))),
        None => malformed("a zip file that ends too early"),
    }
}
