//! Blobs, for threads that compute and may wait.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_backends::{
    Kind as BlobKind,
    blobs::{Meta, SharedBlobs, ranges::read_all},
};
use tokio::{runtime::Handle, task::JoinError};

use crate::error::{Kind, Result, TrainError};

/// Objects that are looked at side by side.
const LOOKS: usize = 16;

#[derive(Clone)]
pub struct Store {
    blobs: SharedBlobs,
    runtime: Handle,
}

impl Store {
    /// To be used by threads that are not the runtime's own: its own drive what those wait for.
    pub fn new(blobs: SharedBlobs, runtime: Handle) -> Self {
        Self { blobs, runtime }
    }

    /// In their order; neighbours in one read, the others side by side.
    pub(crate) fn read_all(&self, ranges: &[(&str, Range<u64>)]) -> Result<Vec<Bytes>> {
        let blobs = self.blobs.clone();
        let ranges: Vec<_> = ranges.iter().map(|(key, range)| ((*key).to_owned(), range.clone())).collect();
        // On the runtime, where what comes is read too: this one would be woken for each piece of it.
        let read = self.runtime.spawn(async move {
            let ranges: Vec<_> = ranges.iter().map(|(key, range)| (key.as_str(), range.clone())).collect();
            read_all(&*blobs, &ranges).await
        });
        let read = self.runtime.block_on(read);
        // Where the runtime ends, so does what was asked of it.
        let ended = |error: JoinError| {
            let kind = if error.is_cancelled() { Kind::Transient } else { Kind::Internal };
            TrainError::new(kind, format!("reading chips: {error}"))
        };
        Ok(read.map_err(ended)??)
    }

    /// `None` where there is no such object.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Bytes>> {
        match self.runtime.block_on(self.blobs.get(key)) {
            Err(error) if error.kind == BlobKind::NotFound => Ok(None),
            got => Ok(Some(got?)),
        }
    }

    /// Keys that begin so.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<String>> {
        // Some list on threads of the runtime.
        let listed = async { self.blobs.list(prefix).map_ok(|object| object.key).try_collect().await };
        Ok(self.runtime.block_on(listed)?)
    }

    /// What there is under each of these keys, in their order.
    pub(crate) fn look(&self, keys: impl IntoIterator<Item = String>) -> Result<Vec<Option<Meta>>> {
        let looks = keys.into_iter().map(|key| {
            let blobs = self.blobs.clone();
            async move { blobs.head(&key).await }
        });
        Ok(self.runtime.block_on(futures::stream::iter(looks).buffered(LOOKS).try_collect())?)
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.runtime.block_on(self.blobs.head(key))?.is_some())
    }

    /// Whole or not at all, in the place of what was there.
    pub(crate) fn put(&self, key: &str, body: impl Into<Bytes>) -> Result<()> {
        Ok(self.runtime.block_on(self.blobs.put(key, body.into()))?)
    }

    /// Gone afterwards, whether or not it was there.
    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.blobs.delete(key))?)
    }

    /// Where people find it.
    pub(crate) fn uri(&self, key: &str) -> String {
        self.blobs.uri(key)
    }
}
