//! Blobs: everything that matters lies here, under keys that [`swath_proto::keys`] spells.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Result;

pub(crate) mod counted;
pub mod folder;
pub mod ranges;
#[cfg(feature = "s3")]
pub mod s3;

/// Contract, held against every implementation by [`crate::contract::blobs`]. Nothing half-written
/// is ever seen under a key, whatever dies.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Writes a new object; of several writers, the first wins and the others are told.
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put>;

    /// Writes or replaces an object.
    async fn put(&self, key: &str, body: Bytes) -> Result<()>;

    /// `Kind::NotFound` where there is none.
    async fn get(&self, key: &str) -> Result<Bytes>;

    /// Exactly the bytes of `range`; `Kind::Corrupt` where the object is shorter.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes>;

    /// `None` where there is no such object.
    async fn head(&self, key: &str) -> Result<Option<Meta>>;

    /// Objects whose key begins with `prefix`, in the order of keys.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed>>;

    /// Gone afterwards, whether or not it was there.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Writes a new object from pieces of others and bytes in hand, of any length, in bounded
    /// memory; like `put_new`, the first writer wins. `Kind::NotFound` names a missing source.
    async fn compose_new(&self, key: &str, pieces: Vec<Piece>) -> Result<Put>;

    /// Where other programs find the object: a path, or `s3://bucket/key`.
    fn uri(&self, key: &str) -> String;
}

pub type SharedBlobs = Arc<dyn Blobs>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Created,
    /// Somebody was first; this body was dropped.
    Exists,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub len: u64,
    /// Changes when the content does.
    pub tag: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub len: u64,
}

#[derive(Clone, Debug)]
pub enum Piece {
    Bytes(Bytes),
    Range { key: String, range: Range<u64> },
}

impl Piece {
    pub fn len(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Range { range, .. } => range.end - range.start,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
