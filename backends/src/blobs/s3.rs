//! Blobs in S3 and in stores that speak like it. A new object is written on the condition that there
//! is none; composed objects go up in parts and become visible at once, on the same condition.

use std::{ops::Range, time::Duration};

use anyhow::anyhow;
use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{ProvideCredentials as _, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream::BoxStream};

use super::{Blobs, Listed, Meta, Piece, Put};
use crate::{Error, Kind, Result};

/// Parts of a composed object; S3 takes 10,000 of them, so this reaches 156 GiB.
const PART: usize = 16 << 20;
/// Reads under way at a time while composing: bounds the memory together with the pieces' length.
const READS: usize = 8;
/// A longer range is read in pieces of this length.
const READ: u64 = 4 << 20;

/// A server that has taken a request and says nothing is given up, and asked again by the SDK.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// With its body: a part at a slow hundred KiB/s.
const TRANSFER_WITHIN: Duration = Duration::from_secs(180);

#[derive(Clone)]
pub struct S3Blobs {
    client: Client,
    bucket: String,
    /// Empty, or ends with a slash.
    prefix: String,
}

impl S3Blobs {
    pub async fn open(bucket: &str, prefix: &str) -> Result<Self> {
        let config = aws_config::load_from_env().await;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(ANSWER_WITHIN)
            .operation_attempt_timeout(TRANSFER_WITHIN)
            .build();
        let mut s3 = aws_sdk_s3::config::Builder::from(&config).timeout_config(timeouts);
        let has_endpoint =
            ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].iter().any(|name| std::env::var(name).is_ok());
        if has_endpoint {
            s3 = s3.force_path_style(true);
        }
        if config.region().is_none() {
            s3 = s3.region(aws_sdk_s3::config::Region::new("us-east-1"));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let this = Self { client: Client::from_conf(s3.build()), bucket: bucket.into(), prefix };
        // Seen now and not in the middle of a run: a wrong bucket, wrong credentials, no server.
        let doing = || format!("opening s3://{bucket}");
        let list = this.client.list_objects_v2().bucket(bucket).prefix(&this.prefix).max_keys(1).send();
        match list.await {
            Ok(_) => Ok(this),
            Err(error) if error.raw_response().is_none() && !has_credentials(&config).await => {
                let why = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";
                Err(Error::new(Kind::Config, doing(), anyhow!(why)))
            }
            Err(error) => Err(failed(doing(), error)),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn doing(&self, verb: &str, key: &str) -> String {
        format!("{verb} {}", self.uri(key))
    }

    /// Reads a piece of an object, or hands on bytes that are there.
    async fn piece(&self, piece: Piece) -> Result<Bytes> {
        match piece {
            Piece::Bytes(bytes) => Ok(bytes),
            Piece::Range { key, range } => self.get_range(&key, range).await,
        }
    }

    async fn upload(&self, key: &str, id: &str, pieces: Vec<Piece>) -> Result<Put> {
        let mut parts = Vec::new();
        let mut part = BytesMut::new();
        // In a list and boxed: the compiler can't see otherwise that these may move between threads.
        let reads: Vec<_> = short(pieces).into_iter().map(|piece| self.piece(piece).boxed()).collect();
        let mut reads = std::pin::pin!(futures::stream::iter(reads).buffered(READS));
        while let Some(bytes) = reads.try_next().await? {
            part.extend_from_slice(&bytes);
            while part.len() >= PART {
                let full = part.split_to(PART).freeze();
                parts.push(self.upload_part(key, id, parts.len() as i32 + 1, full).await?);
            }
        }
        if !part.is_empty() {
            parts.push(self.upload_part(key, id, parts.len() as i32 + 1, part.freeze()).await?);
        }
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.key(key))
            .upload_id(id)
            .if_none_match("*")
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await;
        match completed {
            Ok(_) => Ok(Put::Created),
            Err(error) if is_taken(&error) => {
                self.abort(key, id).await;
                Ok(Put::Exists)
            }
            Err(error) => Err(failed(self.doing("completing", key), error)),
        }
    }

    async fn upload_part(&self, key: &str, id: &str, number: i32, body: Bytes) -> Result<CompletedPart> {
        let sent = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(self.key(key))
            .upload_id(id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| failed(self.doing("writing a part of", key), error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    /// Gives up an upload, so that its parts do not cost money for ever.
    async fn abort(&self, key: &str, id: &str) {
        let abort =
            self.client.abort_multipart_upload().bucket(&self.bucket).key(self.key(key)).upload_id(id);
        if let Err(error) = abort.send().await {
            tracing::debug!(key, error = error.code().unwrap_or("unknown"), "an upload could not be aborted");
        }
    }
}

async fn has_credentials(config: &aws_config::SdkConfig) -> bool {
    match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.is_ok(),
        None => false,
    }
}

/// Ranges cut to lengths that may be held in memory a few at a time.
fn short(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out = Vec::new();
    for piece in pieces {
        let Piece::Range { key, range } = piece else {
            out.push(piece);
            continue;
        };
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + READ);
            out.push(Piece::Range { key: key.clone(), range: start..end });
            start = end;
        }
    }
    out
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
                    tokio::time::sleep(std::time::Duration::from_millis(50 * conflicts)).await;
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
        let get = self.client.get_object().bucket(&self.bucket).key(self.key(key)).send().await;
        let object = get.map_err(|error| failed(self.doing("reading", key), error))?;
        let body = object.body.collect().await;
        let torn = |error| Error::new(Kind::Transient, self.doing("reading", key), anyhow::Error::new(error));
        Ok(body.map_err(torn)?.into_bytes())
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let get = self.client.get_object().bucket(&self.bucket).key(self.key(key)).range(header).send().await;
        let doing = || self.doing("reading", key);
        let object = get.map_err(|error| failed(doing(), error))?;
        let body = object.body.collect().await;
        let bytes = body.map_err(|error| Error::new(Kind::Transient, doing(), error))?.into_bytes();
        let wanted = range.end - range.start;
        if bytes.len() as u64 != wanted {
            let why = anyhow!("it ends before byte {}", range.end);
            return Err(Error::new(Kind::Corrupt, doing(), why));
        }
        Ok(bytes)
    }

    async fn head(&self, key: &str) -> Result<Option<Meta>> {
        match self.client.head_object().bucket(&self.bucket).key(self.key(key)).send().await {
            Ok(head) => {
                let len = u64::try_from(head.content_length.unwrap_or(0)).unwrap_or(0);
                Ok(Some(Meta { len, tag: head.e_tag.unwrap_or_default().trim_matches('"').to_owned() }))
            }
            Err(error) => {
                let error = failed(self.doing("looking at", key), error);
                if error.kind == Kind::NotFound { Ok(None) } else { Err(error) }
            }
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
        // What fits into one part goes up in one request.
        if pieces.iter().map(Piece::len).sum::<u64>() <= PART as u64 {
            let reads: Vec<_> = pieces.into_iter().map(|piece| self.piece(piece).boxed()).collect();
            let read: Vec<Bytes> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
            return self.put_new(key, read.concat().into()).await;
        }
        let create = self.client.create_multipart_upload().bucket(&self.bucket).key(self.key(key));
        let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
        let upload = create.map_err(|error| failed(self.doing("beginning", key), error))?;
        let id = upload.upload_id.unwrap_or_default();
        let put = self.upload(key, &id, pieces).await;
        if put.is_err() {
            self.abort(key, &id).await;
        }
        put
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(key))
    }
}

/// 412: there is one already.
fn is_taken<E>(error: &SdkError<E>) -> bool {
    status(error) == Some(412)
}

/// 409: two conditional writes met.
fn is_conflict<E>(error: &SdkError<E>) -> bool {
    status(error) == Some(409)
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    Some(error.raw_response()?.status().as_u16())
}

fn failed<E>(doing: String, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let kind = match (status(&error), code.as_str()) {
        (_, "NoSuchBucket" | "PermanentRedirect" | "InvalidBucketName") => Kind::Config,
        // Credentials that have run out are fetched anew.
        (_, "SlowDown" | "RequestTimeout" | "InternalError" | "ExpiredToken") => Kind::Transient,
        (_, "InvalidRange") | (Some(416), _) => Kind::Corrupt,
        (Some(404), _) => Kind::NotFound,
        (Some(401 | 403), _) => Kind::Refused,
        (Some(400), _) => Kind::Config,
        // No answer at all, because no credentials were found to ask with.
        (None, _) if matches!(error, SdkError::ConstructionFailure(_)) => Kind::Config,
        _ => Kind::Transient,
    };
    let text = aws_sdk_s3::error::DisplayErrorContext(&error).to_string();
    // The display ends with a dump of the whole response.
    let text = text.split(" (").next().unwrap_or_default().to_owned();
    let why = if code.is_empty() { text } else { format!("{code}: {}", error.message().unwrap_or(&text)) };
    Error::new(kind, doing, anyhow!(why))
}
