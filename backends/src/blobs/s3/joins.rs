//! Objects that lie in the store only while one of very many parts is put together from them.

use swath_proto::keys;

use super::{S3Blobs, parts::Part, plan::in_one};
use crate::{
    Result,
    blobs::{Blobs as _, Piece, Put},
};

/// What was begun, and is taken away however it ends.
struct Joins {
    blobs: S3Blobs,
    keys: Vec<String>,
}

impl S3Blobs {
    pub(super) async fn join(&self, key: &str, groups: &[Vec<Part>]) -> Result<Put> {
        // Otherwise all would be copied before the last request tells.
        if self.head(key).await?.is_some() {
            return Ok(Put::Exists);
        }
        let mut joins = Joins { blobs: self.clone(), keys: Vec::new() };
        let put = joins.write(key, groups).await;
        joins.clear().await;
        put
    }
}

impl Joins {
    async fn write(&mut self, key: &str, groups: &[Vec<Part>]) -> Result<Put> {
        // Nobody else's: two that compose the same object don't take away each other's.
        let name = format!("{:032x}", rand::random::<u128>());
        let mut pieces = Vec::new();
        for (number, parts) in groups.iter().enumerate() {
            let joined = keys::joining(&name, number);
            // Even if it fails: the object may be there, and the answer lost.
            self.keys.push(joined.clone());
            self.blobs.upload_parts(&joined, parts).await?;
            let len: u64 = parts.iter().map(Part::len).sum();
            pieces.push(Piece::Range { key: joined, range: 0..len });
        }
        self.blobs.upload_parts(key, &in_one(&pieces, self.blobs.most_parts)).await
    }

    async fn clear(&mut self) {
        // One is forgotten when it is gone: whoever is let go of here leaves the others to `drop`.
        while let Some(key) = self.keys.last() {
            delete(&self.blobs, key).await;
            self.keys.pop();
        }
    }
}

impl Drop for Joins {
    /// Whoever composed has stopped in the middle: nobody waits for it any more.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.keys.is_empty() {
            return;
        }
        let (blobs, keys) = (self.blobs.clone(), std::mem::take(&mut self.keys));
        runtime.spawn(async move {
            for key in &keys {
                delete(&blobs, key).await;
            }
        });
    }
}

/// The object that was composed is as good without this.
async fn delete(blobs: &S3Blobs, key: &str) {
    if let Err(error) = blobs.delete(key).await {
        tracing::warn!(key, error = error.told(), "what was joined on the way could not be deleted");
    }
}
