//! Blobs in S3 and in stores that speak like it. A new object is written on the condition that there
//! is none; composed objects go up in parts and become visible at once, on the same condition.
//!
//! `reach` settles how a store is asked and as whom, `role` and `error` say what is wrong and what to do, `read` and
//! `upload` move bytes; `parts` is what an upload is made of, `plan` how many uploads it takes, `joins` what lies in
//! the store between them.

mod error;
mod joins;
mod parts;
mod payer;
mod plan;
mod reach;
mod read;
mod role;
mod upload;

use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::anyhow;
use async_trait::async_trait;
use aws_sdk_s3::{Client, primitives::ByteStream};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};

use self::error::{failed, is_conflict, is_taken};
pub use self::reach::Reach;
use super::{Blobs, Listed, Meta, Piece, Put};
use crate::{Error, Kind, Result};

#[derive(Clone)]
pub struct S3Blobs {
    client: Client,
    bucket: String,
    /// Empty, or ends with a slash.
    prefix: String,
    /// What one upload takes.
    most_parts: usize,
    /// Whether the store was seen to tell no checksum of what it copies: known to all who reach it alike.
    sums_no_copies: Arc<AtomicBool>,
}

impl S3Blobs {
    /// As the environment says. Wrong names, keys and rights are seen now and not in the middle of a run.
    pub async fn open(bucket: &str, prefix: &str) -> Result<Self> {
        let reach = Reach::settle(None).await?;
        reach
            .keys()
            .await
            .map_err(|error| Error { doing: format!("opening s3://{bucket}: {}", error.doing), ..error })?;
        let this = Self::new(&reach, bucket, prefix);
        let list = this.client.list_objects_v2().bucket(bucket).prefix(&this.prefix).max_keys(1);
        let listed = list.customize().config_override(reach::impatient()).send();
        let doing = || format!("opening s3://{bucket} at {}", reach.endpoint());
        let listed = listed.await.map_err(|error| failed(doing(), error));
        listed.map(|_| this)
    }

    /// Asks for nothing yet.
    fn new(reach: &Reach, bucket: &str, prefix: &str) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self {
            client: reach.client(),
            bucket: bucket.into(),
            prefix,
            most_parts: reach.most_parts(),
            sums_no_copies: reach.sums_no_copies(),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn look(&self, key: &str) -> Result<Option<Meta>> {
        match self.client.head_object().bucket(&self.bucket).key(self.key(key)).send().await {
            Ok(head) => {
                let Some(len) = head.content_length.and_then(|len| u64::try_from(len).ok()) else {
                    let why = anyhow!(
                        "no Content-Length comes: whatever stands before the store has to let it through"
                    );
                    return Err(Error::new(Kind::Config, self.doing("looking at", key), why));
                };
                Ok(Some(Meta { len, tag: head.e_tag.unwrap_or_default().trim_matches('"').to_owned() }))
            }
            Err(error) => match failed(self.doing("looking at", key), error) {
                error if error.kind == Kind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    fn doing(&self, verb: &str, key: &str) -> String {
        format!("{verb} {}", self.uri(key))
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put> {
        let mut conflicts = 0;
        loop {
            let put = self.client.put_object().bucket(&self.bucket).key(self.key(key)).if_none_match("*");
            match put.body(ByteStream::from(body.clone())).send().await {
                Ok(_) => return Ok(Put::Created),
                // Another writer is at it: ask again whether it has won.
                Err(error) if is_conflict(&error) && conflicts < 10 => {
                    conflicts += 1;
                    tokio::time::sleep(Duration::from_millis(50 * conflicts)).await;
                }
                Err(error) if is_taken(&error) => return Ok(Put::Exists),
                Err(error) => return Err(failed(self.doing("writing", key), error)),
            }
        }
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let put =
            self.client.put_object().bucket(&self.bucket).key(self.key(key)).body(ByteStream::from(body));
        put.send().await.map(drop).map_err(|error| failed(self.doing("writing", key), error))
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        self.read_whole(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.read_range(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<Meta>> {
        match self.look(key).await {
            // A look is answered with a number alone: reading says why it is refused, or that it passes.
            Err(error) if matches!(error.kind, Kind::Refused | Kind::Config) => {
                self.read_range(key, 0..1).await?;
                self.look(key).await
            }
            looked => looked,
        }
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed>> {
        let this = self.clone();
        let prefix = prefix.to_owned();
        // What is left to ask: nothing, the first page, or the page after a token.
        let first = Some(None::<String>);
        let pages = futures::stream::try_unfold((this, first), move |(this, ask)| {
            let prefix = prefix.clone();
            async move {
                let Some(token) = ask else { return Ok::<_, Error>(None) };
                let list = this.client.list_objects_v2().bucket(&this.bucket).prefix(this.key(&prefix));
                let page = list.set_continuation_token(token).send().await;
                let page = page.map_err(|error| failed(this.doing("listing", &prefix), error))?;
                let objects: Vec<Result<Listed>> = page
                    .contents()
                    .iter()
                    .filter_map(|object| {
                        let key = object.key()?.strip_prefix(&this.prefix)?.to_owned();
                        Some(Ok(Listed { key, len: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0) }))
                    })
                    .collect();
                let next = page.next_continuation_token().map(|token| Some(token.to_owned()));
                Ok(Some((futures::stream::iter(objects), (this, next))))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(key)).send().await;
        match delete.map_err(|error| failed(self.doing("deleting", key), error)) {
            Err(error) if error.kind != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn compose_new(&self, key: &str, pieces: Vec<Piece>) -> Result<Put> {
        self.compose(key, pieces).await
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(key))
    }
}
