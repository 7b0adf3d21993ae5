//! Bytes that are read by range. Not a memory map: a file that shrinks while it is read gives an error
//! here, a map would end the process.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use bytes::Bytes;

use crate::error::{Result, ZipError, malformed};

/// Read at a time where all is read.
const PIECE: u64 = 1 << 20;

/// A file, bytes in memory, or a section of either. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Source {
    store: Arc<Store>,
    range: Range<u64>,
}

#[derive(Debug)]
enum Store {
    File(File),
    Memory(Bytes),
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self { range: 0..bytes.len() as u64, store: Arc::new(Store::Memory(bytes)) }
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl Source {
    pub fn open(path: &Path) -> Result<Self> {
        let doing = ZipError::io("it can't be opened");
        // Asked first: to open a pipe is to wait for its writer.
        match std::fs::metadata(path).map(|metadata| metadata.is_file()) {
            Ok(false) => Err(ZipError::NotAFile),
            Ok(true) => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                opened
                    .map(|(len, file)| Self { store: Arc::new(Store::File(file)), range: 0..len })
                    .map_err(doing)
            }
            Err(error) => Err(doing(error)),
        }
    }

    pub const fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in a file may be others when they are read again.
    pub fn lies_in_memory(&self) -> bool {
        matches!(*self.store, Store::Memory(_))
    }

    /// A part of it as a source of its own.
    pub fn section(&self, range: Range<u64>) -> Result<Self> {
        Ok(Self { range: self.place(range)?, store: self.store.clone() })
    }

    /// Exactly `range`; nothing is allocated for one that the source does not have.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let Range { start, end } = self.place(range)?;
        match &*self.store {
            Store::File(file) => {
                let mut bytes = vec![0; (end - start) as usize];
                file.read_exact_at(&mut bytes, start).map_err(ZipError::io("it can't be read"))?;
                Ok(bytes)
            }
            Store::Memory(bytes) => Ok(bytes[start as usize..end as usize].to_vec()),
        }
    }

    /// All of it; what lies in memory is not copied.
    pub fn bytes(&self) -> Result<Bytes> {
        match &*self.store {
            Store::File(_) => self.read(0..self.len()).map(Bytes::from),
            Store::Memory(bytes) => Ok(bytes.slice(self.range.start as usize..self.range.end as usize)),
        }
    }

    /// The first bytes, as many as there are up to `len`.
    pub fn prefix(&self, len: u64) -> Result<Vec<u8>> {
        self.read(0..len.min(self.len()))
    }

    /// All of it, in order.
    pub fn for_each_piece<E: From<ZipError>>(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let file = match &*self.store {
            Store::Memory(bytes) => return take(&bytes[self.range.start as usize..self.range.end as usize]),
            Store::File(file) => file,
        };
        let mut buffer = vec![0; self.len().min(PIECE) as usize];
        for at in (0..self.len()).step_by(PIECE as usize) {
            let piece = &mut buffer[..(self.len() - at).min(PIECE) as usize];
            file.read_exact_at(piece, self.range.start + at).map_err(ZipError::io("it can't be read"))?;
            take(piece)?;
        }
        Ok(())
    }

    /// Where a range lies in the store.
    fn place(&self, range: Range<u64>) -> Result<Range<u64>> {
        if range.start > range.end || range.end > self.len() {
            return malformed(format!("bytes {}..{} are wanted of {}", range.start, range.end, self.len()));
        }
        Ok(self.range.start + range.start..self.range.start + range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_a_source_that_does_not_reach_outside() {
        let bytes: Bytes = (0..10).collect();
        let whole = Source::from(bytes.clone());
        let section = whole.section(3..8).unwrap();
        assert_eq!((section.len(), section.read(1..3).unwrap()), (5, vec![4, 5]));
        assert_eq!(section.section(4..5).unwrap().prefix(9).unwrap(), [7]);
        assert!(section.read(0..6).is_err() && section.section(5..6).is_err());
        let same = section.bytes().unwrap();
        assert_eq!((&*same, same.as_ptr()), (&[3, 4, 5, 6, 7][..], bytes[3..].as_ptr()), "no copy");
        let mut all = Vec::new();
        let take = |piece: &[u8]| {
            all.extend_from_slice(piece);
            Ok::<_, ZipError>(())
        };
        section.for_each_piece(take).unwrap();
        assert_eq!(all, [3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_section_of_a_file_comes_piece_by_piece() {
        let bytes: Vec<u8> = (0..PIECE + 4).map(|at| (at % 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let section = Source::open(file.path()).unwrap().section(1..PIECE + 3).unwrap();
        let (mut all, mut lengths) = (Vec::new(), Vec::new());
        let take = |piece: &[u8]| {
            all.extend_from_slice(piece);
            lengths.push(piece.len() as u64);
            Ok::<_, ZipError>(())
        };
        section.for_each_piece(take).unwrap();
        assert!(all == bytes[1..PIECE as usize + 3]);
        assert_eq!(lengths, [PIECE, 2]);
        assert!(section.bytes().unwrap() == all);
    }
}
