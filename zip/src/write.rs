//! A zip file whose bytes depend on nothing but its members: stored, dated 1980, readable by all.

use std::io::Write;

use crate::{
    END, ENTRY, LOCAL,
    error::{Result, ZipError, at_most},
    source::Source,
};

/// What a reader must know: version 1.0 of the format.
const VERSION_NEEDED: u16 = 10;
/// Unix, and so that attributes are a file's mode.
const MADE_BY: u16 = 3 << 8 | VERSION_NEEDED;
/// The first of January 1980, the earliest there is.
const DATE: u16 = 1 << 5 | 1;
/// A plain file that all may read.
const MODE: u32 = 0o100_644 << 16;
/// Beyond them come records of 64 bits, which no member of ours needs.
const MAX_LEN: u64 = u32::MAX as u64 - 1;
const MAX_MEMBERS: u64 = u16::MAX as u64 - 1;
const MAX_NAME_LEN: u64 = 1024;

/// Writes from the first byte to the last: nothing is sought, and a member is never in memory whole.
#[derive(Debug)]
pub struct ZipWriter<W> {
    into: W,
    at: u64,
    directory: Vec<u8>,
    n_members: u64,
}

impl<W: Write> ZipWriter<W> {
    pub const fn new(into: W) -> Self {
        Self { into, at: 0, directory: Vec::new(), n_members: 0 }
    }

    /// The body is read twice: its check sum comes first.
    pub fn member(&mut self, name: &str, body: &Source) -> Result<()> {
        let mut sum = crc32fast::Hasher::new();
        body.for_each_piece(|piece| -> Result<()> {
            sum.update(piece);
            Ok(())
        })?;
        let sum = sum.finalize();
        let at = self.at;
        at_most(at, MAX_LEN, "bytes of a zip file before a member")?;
        at_most(body.len(), MAX_LEN, "bytes of a member of a zip file")?;
        at_most(name.len() as u64, MAX_NAME_LEN, "bytes of a member's name")?;
        let about = self.about(name, sum, body.len() as u32);
        self.write(&[LOCAL, &about, name.as_bytes()].concat())?;
        let mut written = crc32fast::Hasher::new();
        body.for_each_piece(|piece| {
            written.update(piece);
            self.write(piece)
        })?;
        if written.finalize() != sum {
            return Err(ZipError::Changed);
        }
        // No comment, on the first disk, not marked as text.
        let behind = [&[0; 6], MODE.to_le_bytes().as_slice(), &(at as u32).to_le_bytes()].concat();
        let entry = [ENTRY, &MADE_BY.to_le_bytes(), &about, &behind, name.as_bytes()];
        self.directory.extend(entry.concat());
        self.n_members += 1;
        Ok(())
    }

    /// What a member's header and its entry in the directory have in common: stored, without flags.
    fn about(&self, name: &str, sum: u32, len: u32) -> Vec<u8> {
        let short = [VERSION_NEEDED, 0, 0, 0, DATE].map(u16::to_le_bytes).concat();
        let long = [sum, len, len].map(u32::to_le_bytes).concat();
        let lens = [name.len() as u16, 0].map(u16::to_le_bytes).concat();
        [short, long, lens].concat()
    }

    pub fn finish(mut self) -> Result<W> {
        at_most(self.at, MAX_LEN, "bytes of a zip file before its directory")?;
        at_most(self.directory.len() as u64, MAX_LEN, "bytes of a zip file's directory")?;
        at_most(self.n_members, MAX_MEMBERS, "members of a zip file")?;
        let n = (self.n_members as u16).to_le_bytes();
        let place = [self.directory.len() as u32, self.at as u32].map(u32::to_le_bytes).concat();
        let directory = std::mem::take(&mut self.directory);
        self.write(&directory)?;
        self.write(&[END, &[0; 4], &n, &n, &place, &[0; 2]].concat())?;
        self.into.flush().map_err(ZipError::io("it can't be written"))?;
        Ok(self.into)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.into.write_all(bytes).map_err(ZipError::io("it can't be written"))
    }
}
