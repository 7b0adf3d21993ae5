//! Reads whole objects and ranges. A body that breaks off is asked for again; what is long comes in parts, side
//! by side.

use std::{ops::Range, time::Duration};

use anyhow::anyhow;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::{Meta, S3Blobs, error::failed};
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
    /// The whole is long, or its answer does not tell how long; nothing of it was read yet.
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
        let due = match &wanted.range {
            Some(range) => {
                check(range, object.content_range.as_deref(), told)
                    .map_err(|why| Error::new(Kind::Corrupt, self.doing("reading", key), why))?;
                range.end - range.start
            }
            None => match told {
                Some(len) if len > LONG => return Ok(Got::Long { len, tag: object.e_tag }),
                Some(len) => len,
                // Where it ends can't be told from where it breaks off.
                None => match self.look(key).await? {
                    Some(Meta { len: 0, .. }) => 0,
                    Some(Meta { len, .. }) => return Ok(Got::Long { len, tag: object.e_tag }),
                    None => {
                        let why = anyhow!("it was deleted meanwhile");
                        return Err(Error::new(Kind::NotFound, self.doing("reading", key), why));
                    }
                },
            },
        };
        Ok(match collected(object.body, due).await {
            Ok(bytes) if bytes.len() as u64 > due => Got::Torn(anyhow!("more than {due} bytes have come")),
            Ok(bytes) if (bytes.len() as u64) < due => {
                Got::Torn(anyhow!("{} of {due} bytes have come", bytes.len()))
            }
            Ok(bytes) => Got::Bytes(bytes.into()),
            Err(error) => Got::Torn(error.into()),
        })
    }

    fn torn(&self, key: &str, why: anyhow::Error) -> Error {
        Error::new(Kind::Transient, self.doing("reading", key), why)
    }
}

/// Whether an answer holds what was asked for, by what it tells of itself: which bytes it has, and how many.
fn check(wanted: &Range<u64>, content_range: Option<&str>, told: Option<u64>) -> anyhow::Result<()> {
    let other = || anyhow!("the store sends other bytes than it was asked for: it knows no ranges");
    let Some(content_range) = content_range else {
        // The whole object, and no more than that was asked for.
        let is_all = wanted.start == 0 && told == Some(wanted.end);
        return if is_all { Ok(()) } else { Err(other()) };
    };
    let (held, len) = held(content_range).ok_or_else(other)?;
    if held == *wanted {
        return Ok(());
    }
    let is_short = held.start == wanted.start && held.end < wanted.end;
    if is_short && len.is_none_or(|len| len <= held.end) {
        return Err(anyhow!("it ends before byte {}", wanted.end));
    }
    Err(other())
}

/// The bytes, and the object's length where that is known: `bytes 10-19/100`, `bytes 10-19/*`.
fn held(content_range: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (bytes, len) = content_range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = bytes.split_once('-')?;
    let len = if len == "*" { None } else { Some(len.parse().ok()?) };
    Some((first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?, len))
}

/// Copied as it comes, so that the client may read the next bytes into the memory of those before. Stops once more has come
/// than is due.
async fn collected(mut body: ByteStream, due: u64) -> std::result::Result<Vec<u8>, ByteStreamError> {
    let mut bytes = Vec::with_capacity(due.min(LONG) as usize);
    while bytes.len() as u64 <= due
        && let Some(chunk) = body.try_next().await?
    {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_what_was_asked_for_or_is_refused() {
        let ask = |content_range, told| check(&(10..20), content_range, told);
        assert!(ask(Some("bytes 10-19/100"), Some(10)).is_ok());
        assert!(ask(Some("bytes 10-19/*"), None).is_ok());
        for (short, told) in [("bytes 10-14/15", Some(5)), ("bytes 10-14/15", None), ("bytes 10-14/*", None)]
        {
            assert_eq!(ask(Some(short), told).unwrap_err().to_string(), "it ends before byte 20", "{short}");
        }
        for other in [
            "bytes 0-9/100",
            "bytes 11-19/100",
            "bytes 10-20/100",
            "bytes 10-14/100",
            "10-19/100",
            "bytes 10-19",
            "bytes 10-18446744073709551615/1",
        ] {
            let error = ask(Some(other), Some(10)).unwrap_err().to_string();
            assert!(error.contains("other bytes"), "{other}: {error}");
        }
        // Of as many bytes as were asked for, but from the first.
        assert!(ask(None, Some(10)).is_err());
        assert!(check(&(0..10), None, Some(10)).is_ok());
        assert!(check(&(0..10), None, Some(11)).is_err());
        assert!(check(&(0..10), None, None).is_err());
        assert!(check(&(0..10), Some("all"), Some(10)).is_err());
    }
}
