//! Objects that go up in parts and are there at once when all parts are. An upload that is let go of before that
//! is aborted, so that its parts don't cost money for ever.

use std::{ops::Range, sync::atomic::Ordering};

use anyhow::anyhow;
use aws_sdk_s3::{
    Config,
    config::RequestChecksumCalculation,
    error::ProvideErrorMetadata as _,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::{
    S3Blobs,
    error::{failed, is_taken},
    parts::Part,
    plan::{Plan, plan},
    reach::patient,
};
use crate::{
    Error, Kind, Result,
    blobs::{Blobs as _, Piece, Put},
};

/// What is no longer goes up in one request.
const SHORT: u64 = 16 << 20;
/// Parts under way at a time: bounds the memory together with the length of those that are sent.
const PARTS: usize = 4;
/// Reads under way at a time for one part.
const READS: usize = 8;

/// An upload that was begun.
struct Upload {
    blobs: S3Blobs,
    key: String,
    id: String,
    /// Whether every part has a checksum, which completing it has to name.
    is_summed: bool,
    is_over: bool,
}

impl S3Blobs {
    pub(super) async fn compose(&self, key: &str, pieces: Vec<Piece>) -> Result<Put> {
        if pieces.iter().map(Piece::len).sum::<u64>() <= SHORT {
            let body = self.pieces(&pieces).await?;
            return self.put_new(key, body).await;
        }
        match plan(&pieces, self.most_parts) {
            Plan::Direct(parts) => self.upload_parts(key, &parts).await,
            Plan::Joined(groups) => self.join(key, &groups).await,
        }
    }

    /// As one upload: with checksums, unless the store was seen to tell none of what it copies.
    pub(super) async fn upload_parts(&self, key: &str, parts: &[Part]) -> Result<Put> {
        let is_copied = parts.iter().any(|part| matches!(part, Part::Copied { .. }));
        if !is_copied || !self.sums_no_copies.load(Ordering::Relaxed) {
            if let Some(put) = self.upload(key, parts, true).await? {
                return Ok(put);
            }
            self.sums_no_copies.store(true, Ordering::Relaxed);
            tracing::debug!(key, "this store tells no checksums of what it copies: uploads go without");
        }
        let put = self.upload(key, parts, false).await?;
        let doing = || self.doing("composing", key);
        put.ok_or_else(|| {
            Error::new(Kind::Corrupt, doing(), anyhow!("an upload without checksums asks for them"))
        })
    }

    /// None where the store tells no checksums of what it copies, and could not complete it for want of them.
    async fn upload(&self, key: &str, parts: &[Part], is_summed: bool) -> Result<Option<Put>> {
        let mut upload = self.begin(key, is_summed).await?;
        let put = upload.write(parts).await;
        match &put {
            Ok(Some(Put::Created)) => upload.is_over = true,
            Ok(Some(Put::Exists) | None) | Err(_) => upload.abort().await,
        }
        put
    }

    async fn begin(&self, key: &str, is_summed: bool) -> Result<Upload> {
        let create = self.client.create_multipart_upload().bucket(&self.bucket).key(self.key(key));
        let begun = create.set_checksum_algorithm(is_summed.then_some(ChecksumAlgorithm::Crc32)).send().await;
        let begun = begun.map_err(|error| failed(self.doing("beginning", key), error))?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Upload { blobs: self.clone(), key: key.to_owned(), id, is_summed, is_over: false })
    }

    /// The bytes of all pieces, one after the other.
    async fn pieces(&self, pieces: &[Piece]) -> Result<Bytes> {
        // In a list and boxed: the compiler can't see otherwise that these may move between threads.
        let reads: Vec<_> = pieces.iter().cloned().map(|piece| self.piece(piece).boxed()).collect();
        let mut reads = futures::stream::iter(reads).buffered(READS);
        if let [_] = pieces {
            return Ok(reads.try_next().await?.unwrap_or_default());
        }
        let mut all = BytesMut::with_capacity(pieces.iter().map(Piece::len).sum::<u64>() as usize);
        while let Some(bytes) = reads.try_next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// Reads a piece of an object, or hands on bytes that are there.
    async fn piece(&self, piece: Piece) -> Result<Bytes> {
        match piece {
            Piece::Bytes(bytes) => Ok(bytes),
            Piece::Range { key, range } => self.get_range(&key, range).await,
        }
    }
}

impl Upload {
    async fn write(&self, parts: &[Part]) -> Result<Option<Put>> {
        let mut numbered: Vec<_> = (1_i32..).zip(parts).collect();
        let mut done = Vec::new();
        // Before any byte is sent, one copy shows whether the store tells checksums of copies.
        let copied = numbered.iter().position(|(_, part)| matches!(part, Part::Copied { .. }));
        if let Some(at) = copied.filter(|_| self.is_summed) {
            let (number, part) = numbered.remove(at);
            let part = self.part(number, part).await?;
            if part.checksum_crc32().is_none() {
                return Ok(None);
            }
            done.push(part);
        }
        let rest: Vec<_> =
            numbered.into_iter().map(|(number, part)| self.part(number, part).boxed()).collect();
        let mut rest = futures::stream::iter(rest).buffered(PARTS);
        while let Some(part) = rest.try_next().await? {
            done.push(part);
        }
        done.sort_by_key(CompletedPart::part_number);
        self.complete(done).await.map(Some)
    }

    async fn part(&self, number: i32, part: &Part) -> Result<CompletedPart> {
        match part {
            Part::Sent(pieces) => {
                let body = self.blobs.pieces(pieces).await?;
                self.send(number, body).await
            }
            Part::Copied { key, range } => self.copy(number, key, range.clone()).await,
        }
    }

    async fn send(&self, number: i32, body: Bytes) -> Result<CompletedPart> {
        let blobs = &self.blobs;
        let upload = blobs.client.upload_part().bucket(&blobs.bucket).key(blobs.key(&self.key));
        let upload = upload.upload_id(&self.id).part_number(number).body(ByteStream::from(body));
        let upload =
            upload.set_checksum_algorithm(self.is_summed.then_some(ChecksumAlgorithm::Crc32)).customize();
        let upload = match self.is_summed {
            true => upload,
            // The client sums by itself what nobody asks it to, and the store would refuse that here.
            false => {
                let unasked = RequestChecksumCalculation::WhenRequired;
                upload.config_override(Config::builder().request_checksum_calculation(unasked))
            }
        };
        let sent = upload.send().await;
        let sent = sent.map_err(|error| failed(blobs.doing("writing a part of", &self.key), error))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        Ok(part.set_checksum_crc32(sent.checksum_crc32.filter(|_| self.is_summed)).build())
    }

    /// Inside the store: no byte passes through here.
    async fn copy(&self, number: i32, key: &str, range: Range<u64>) -> Result<CompletedPart> {
        let blobs = &self.blobs;
        let copy = blobs.client.upload_part_copy().bucket(&blobs.bucket).key(blobs.key(&self.key));
        let copied = copy
            .upload_id(&self.id)
            .part_number(number)
            .copy_source(escaped(&format!("{}/{}", blobs.bucket, blobs.key(key))))
            .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1))
            .customize()
            .config_override(patient())
            .send()
            .await
            .map_err(|error| failed(blobs.doing("copying", key), error))?;
        let (e_tag, checksum) = copied.copy_part_result.map(|part| (part.e_tag, part.checksum_crc32)).unzip();
        let part = CompletedPart::builder().part_number(number).set_e_tag(e_tag.flatten());
        Ok(part.set_checksum_crc32(checksum.flatten().filter(|_| self.is_summed)).build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>) -> Result<Put> {
        let blobs = &self.blobs;
        let complete =
            blobs.client.complete_multipart_upload().bucket(&blobs.bucket).key(blobs.key(&self.key));
        let completed = complete
            .upload_id(&self.id)
            .if_none_match("*")
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .customize()
            // Some stores put the parts together only now.
            .config_override(patient())
            .send()
            .await;
        match completed {
            Ok(_) => Ok(Put::Created),
            Err(error) if is_taken(&error) => Ok(Put::Exists),
            // It was completed, and the answer was lost: whoever asks once more is told that it is gone.
            Err(error) if error.code() == Some("NoSuchUpload") && blobs.head(&self.key).await?.is_some() => {
                Ok(Put::Exists)
            }
            Err(error) => Err(failed(blobs.doing("completing", &self.key), error)),
        }
    }

    async fn abort(&mut self) {
        self.is_over = true;
        if let Err(error) = abort(&self.blobs, &self.key, &self.id).await {
            tracing::debug!(key = self.key, error = format!("{error:#}"), "an upload could not be aborted");
        }
    }
}

impl Drop for Upload {
    /// Whoever composed has stopped in the middle: nobody waits for it any more.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_over {
            return;
        }
        let (blobs, key, id) = (self.blobs.clone(), self.key.clone(), self.id.clone());
        runtime.spawn(async move {
            if let Err(error) = abort(&blobs, &key, &id).await {
                tracing::debug!(key, error = format!("{error:#}"), "an upload could not be aborted");
            }
        });
    }
}

async fn abort(blobs: &S3Blobs, key: &str, id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::new(
            Kind::Corrupt,
            blobs.doing("aborting", key),
            anyhow!("the upload has no name"),
        ));
    }
    let abort = blobs.client.abort_multipart_upload().bucket(&blobs.bucket).key(blobs.key(key)).upload_id(id);
    abort.send().await.map(drop).map_err(|error| failed(blobs.doing("aborting", key), error))
}

/// As a header of HTTP wants the name of an object.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_name_with_spaces_and_umlauts_is_escaped() {
        assert_eq!(escaped("bucket/a b/\u{e4}+1.tif"), "bucket/a%20b/%C3%A4%2B1.tif");
    }
}
