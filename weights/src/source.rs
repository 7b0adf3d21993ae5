//! Bytes that are read by range. Not a memory map: a file that shrinks while it is read gives an error
//! here, a map would end the process.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, path::Path};

use crate::error::{Problem, Result, malformed};

#[derive(Debug)]
pub(crate) enum Source {
    File { file: File, len: u64 },
    Bytes(Vec<u8>),
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let doing = Problem::io("it can't be opened");
        // Asked first: to open a pipe is to wait for its writer.
        match std::fs::metadata(path).map(|metadata| metadata.is_file()) {
            Ok(false) => Err(Problem::NotWeights("this is no file: give the path of a file of weights")),
            Ok(true) => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                opened.map(|(len, file)| Self::File { file, len }).map_err(doing)
            }
            Err(error) => Err(doing(error)),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Exactly `range`; nothing is allocated for one that the source does not have.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        if range.start > range.end || range.end > self.len() {
            return malformed(format!("bytes {}..{} are wanted of {}", range.start, range.end, self.len()));
        }
        match self {
            Self::File { file, .. } => {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start).map_err(Problem::io("it can't be read"))?;
                Ok(bytes)
            }
            Self::Bytes(bytes) => Ok(bytes[range.start as usize..range.end as usize].to_vec()),
        }
    }

    /// The first bytes, as many as there are up to `len`.
    pub(crate) fn prefix(&self, len: u64) -> Result<Vec<u8>> {
        self.read(0..len.min(self.len()))
    }
}
