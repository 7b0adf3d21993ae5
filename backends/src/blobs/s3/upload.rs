//! Objects that go up in parts and are there at once when all parts are. An upload that is let go of before that
//! is aborted, so that its parts don't cost money for ever.

use anyhow::anyhow;
use aws_sdk_s3::{
    error::ProvideErrorMetadata as _,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::{
    S3Blobs,
    error::{failed, is_taken},
};
use crate::{
    Error, Kind, Result,
    blobs::{Blobs as _, Piece, Put},
};

/// Parts of a composed object; S3 takes 10,000 of them, so this reaches 156 GiB.
const PART: usize = 16 << 20;
/// Reads under way at a time while composing: bounds the memory together with the pieces' length.
const READS: usize = 8;
/// A longer range is read in pieces of this length.
const READ: u64 = 4 << 20;

/// An upload that was begun.
struct Upload {
    blobs: S3Blobs,
    key: String,
    id: String,
    is_over: bool,
}

impl S3Blobs {
    pub(super) async fn compose(&self, key: &str, pieces: Vec<Piece>) -> Result<Put> {
        // What fits into one part goes up in one request.
        if pieces.iter().map(Piece::len).sum::<u64>() <= PART as u64 {
            let reads: Vec<_> = pieces.into_iter().map(|piece| self.piece(piece).boxed()).collect();
            let read: Vec<Bytes> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
            return self.put_new(key, read.concat().into()).await;
        }
        let mut upload = self.begin(key).await?;
        let put = upload.write(pieces).await;
        match &put {
            Ok(Put::Created) => upload.is_over = true,
            Ok(Put::Exists) | Err(_) => upload.abort().await,
        }
        put
    }

    async fn begin(&self, key: &str) -> Result<Upload> {
        let create = self.client.create_multipart_upload().bucket(&self.bucket).key(self.key(key));
        let begun = create.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
        let begun = begun.map_err(|error| failed(self.doing("beginning", key), error))?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Upload { blobs: self.clone(), key: key.to_owned(), id, is_over: false })
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
    async fn write(&self, pieces: Vec<Piece>) -> Result<Put> {
        let mut parts = Vec::new();
        let mut part = BytesMut::new();
        // In a list and boxed: the compiler can't see otherwise that these may move between threads.
        let reads: Vec<_> = short(pieces).into_iter().map(|piece| self.blobs.piece(piece).boxed()).collect();
        let mut reads = std::pin::pin!(futures::stream::iter(reads).buffered(READS));
        while let Some(bytes) = reads.try_next().await? {
            part.extend_from_slice(&bytes);
            while part.len() >= PART {
                let full = part.split_to(PART).freeze();
                parts.push(self.part(parts.len() as i32 + 1, full).await?);
            }
        }
        if !part.is_empty() {
            parts.push(self.part(parts.len() as i32 + 1, part.freeze()).await?);
        }
        self.complete(parts).await
    }

    async fn part(&self, number: i32, body: Bytes) -> Result<CompletedPart> {
        let upload =
            self.blobs.client.upload_part().bucket(&self.blobs.bucket).key(self.blobs.key(&self.key));
        let sent = upload
            .upload_id(&self.id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| failed(self.blobs.doing("writing a part of", &self.key), error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>) -> Result<Put> {
        let blobs = &self.blobs;
        let complete =
            blobs.client.complete_multipart_upload().bucket(&blobs.bucket).key(blobs.key(&self.key));
        let completed = complete
            .upload_id(&self.id)
            .if_none_match("*")
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
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
