//! Blobs with a clock.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};

use super::{Blobs, Listed, Meta, Piece, Put, SharedBlobs};
use crate::{
    Result,
    metrics::{BYTES_READ, BYTES_WRITTEN, calls},
};

calls!(Calls of "blobs": put_new put get get_range head list delete compose_new);

pub(crate) struct CountedBlobs {
    inner: SharedBlobs,
    calls: Calls,
}

impl CountedBlobs {
    pub(crate) fn new(inner: SharedBlobs) -> Self {
        Self { inner, calls: Calls::default() }
    }
}

#[async_trait]
impl Blobs for CountedBlobs {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put> {
        let bytes = body.len() as u64;
        let put = self.calls.put_new.of(self.inner.put_new(key, body)).await?;
        if put == Put::Created {
            BYTES_WRITTEN.inc_by(bytes);
        }
        Ok(put)
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let bytes = body.len() as u64;
        self.calls.put.of(self.inner.put(key, body)).await?;
        BYTES_WRITTEN.inc_by(bytes);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        let body = self.calls.get.of(self.inner.get(key)).await?;
        BYTES_READ.inc_by(body.len() as u64);
        Ok(body)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let body = self.calls.get_range.of(self.inner.get_range(key, range)).await?;
        BYTES_READ.inc_by(body.len() as u64);
        Ok(body)
    }

    async fn head(&self, key: &str) -> Result<Option<Meta>> {
        self.calls.head.of(self.inner.head(key)).await
    }

    /// To the end of the listing, or to where nobody wanted more of it.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed>> {
        let mut call = self.calls.list.begin();
        call.end(None);
        let heard = move |listed: &Result<Listed>| {
            if let Err(error) = listed {
                call.end(Some(error));
            }
        };
        self.inner.list(prefix).inspect(heard).boxed()
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.calls.delete.of(self.inner.delete(key)).await
    }

    /// What a store copies by itself is neither read nor written here.
    async fn compose_new(&self, key: &str, pieces: Vec<Piece>) -> Result<Put> {
        let in_hand = pieces.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Range { .. } => 0,
        });
        let bytes: u64 = in_hand.sum();
        let put = self.calls.compose_new.of(self.inner.compose_new(key, pieces)).await?;
        if put == Put::Created {
            BYTES_WRITTEN.inc_by(bytes);
        }
        Ok(put)
    }

    fn uri(&self, key: &str) -> String {
        self.inner.uri(key)
    }
}
