//! Reads whole objects and ranges. A body that breaks off is asked for again; what is long comes in parts, side
//! by side.

use std::{ops::Range, time::Duration};

use anyhow::anyhow;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::{S3Blobs, error::failed};
use crate::{Error, Kind, Result};

/// What is longer comes in parts: one connection carries less than a machine can take.
const LONG: u64 = 16 << 20;
const PART: u64 = 8 << 20;
const PARTS: usize = 8;
/// The SDK asks again where there was no answer. It does not where an answer breaks off in its middle.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What is asked for: a whole object, or a part of it as it is in one state.
#[derive(Clone)]
struct Wanted {
    range: Option<Range<u64>>,
    tag: Option<String>,
}

enum Got {
    Bytes(Bytes),
    /// The whole is long; nothing of it was read yet.
    Long {
        len: u64,
        tag: Option<String>,
    },
    /// It broke off.
    Torn(anyhow::Error),
}

impl S3Blobs {
    pub(super) async fn read_whole(&self, key: &str) -> Result<Bytes> {
        match self.read(key, Wanted { range: None, tag: None }).await? {
            Got::Long { len, tag } => self.read_parts(key, 0..len, tag).await,
            Got::Bytes(bytes) => Ok(bytes),
            Got::Torn(why) => Err(self.torn(key, why)),
        }
    }

    pub(super) async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end - range.start > LONG {
            return self.read_parts(key, range, None).await;
        }
        match self.read(key, Wanted { range: Some(range), tag: None }).await? {
            Got::Bytes(bytes) => Ok(bytes),
            Got::Torn(why) => Err(self.torn(key, why)),
            Got::Long { .. } => Err(self.torn(key, anyhow!("the store sends more than it was asked for"))),
        }
    }

    /// The tag keeps parts of two states from being put together.
    async fn read_parts(&self, key: &str, range: Range<u64>, tag: Option<String>) -> Result<Bytes> {
        let part = |start| {
            let range = start..range.end.min(start + PART);
            let wanted = Wanted { range: Some(range), tag: tag.clone() };
            async move {
                match self.read(key, wanted).await? {
                    Got::Bytes(bytes) => Ok(bytes),
                    Got::Torn(why) => Err(self.torn(key, why)),
                    Got::Long { .. } => {
                        Err(self.torn(key, anyhow!("the store sends more than it was asked for")))
                    }
                }
            }
            .boxed()
        };
        let parts: Vec<_> = range.clone().step_by(PART as usize).map(part).collect();
        let mut parts = futures::stream::iter(parts).buffered(PARTS);
        let mut whole = Vec::with_capacity((range.end - range.start) as usize);
        while let Some(bytes) = parts.try_next().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.into())
    }

    async fn read(&self, key: &str, wanted: Wanted) -> Result<Got> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.read_once(key, &wanted).await? {
                Got::Torn(why) => {
                    tracing::debug!(key, %why, "an answer broke off and is asked for again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                got => return Ok(got),
            }
        }
        self.read_once(key, &wanted).await
    }

    async fn read_once(&self, key: &str, wanted: &Wanted) -> Result<Got> {
        let get =
            self.client.get_object().bucket(&self.bucket).key(self.key(key)).set_if_match(wanted.tag.clone());
        let header = wanted.range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let object = get.set_range(header).send().await;
        let object = object.map_err(|error| failed(self.doing("reading", key), error))?;
        let told = object.content_length.and_then(|len| u64::try_from(len).ok());
        let corrupt = |why| Err(Error::new(Kind::Corrupt, self.doing("reading", key), why));
        let too_much = || corrupt(anyhow!("the store sends more than it was asked for: it knows no ranges"));
        match (&wanted.range, told) {
            (None, Some(len)) if len > LONG => return Ok(Got::Long { len, tag: object.e_tag }),
            (Some(range), Some(len)) if len > range.end - range.start => return too_much(),
            (Some(range), Some(len)) if len < range.end - range.start => {
                return corrupt(anyhow!("it ends before byte {}", range.end));
            }
            _ => {}
        }
        // Where an answer does not tell its length, its range does.
        let due = told.or(wanted.range.as_ref().map(|range| range.end - range.start));
        match (collected(object.body, due).await, due) {
            (Ok(bytes), Some(due)) if bytes.len() as u64 > due => too_much(),
            (Ok(bytes), Some(due)) if (bytes.len() as u64) < due => {
                Ok(Got::Torn(anyhow!("{} of {due} bytes have come", bytes.len())))
            }
            (Ok(bytes), _) => Ok(Got::Bytes(bytes.into())),
            (Err(error), _) => Ok(Got::Torn(error.into())),
        }
    }

    fn torn(&self, key: &str, why: anyhow::Error) -> Error {
        Error::new(Kind::Transient, self.doing("reading", key), why)
    }
}

/// Copied as it comes, so that the client may read the next bytes into the memory of those before. Nothing after those that
/// show that more comes than is due.
async fn collected(mut body: ByteStream, due: Option<u64>) -> std::result::Result<Vec<u8>, ByteStreamError> {
    let mut bytes = Vec::with_capacity(due.map_or(0, |len| len.min(LONG) as usize));
    while bytes.len() as u64 <= due.unwrap_or(u64::MAX)
        && let Some(chunk) = body.try_next().await?
    {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
