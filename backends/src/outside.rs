//! Files outside the root: the scenes and labels of users, which Swath reads and never writes.

use std::{collections::HashMap, path::Path};

use tokio::sync::Mutex;

use crate::{Error, Kind, Result, blobs::SharedBlobs, open::open_blobs};

/// Looks at files, and remembers the buckets that it has opened.
#[derive(Default)]
pub struct Outside {
    buckets: Mutex<HashMap<String, SharedBlobs>>,
}

impl Outside {
    /// The state that a file is in: changes when its content does. `None`: there is no such file.
    pub async fn tag(&self, uri: &str) -> Result<Option<String>> {
        match s3_parts(uri) {
            Some((bucket, key)) => Ok(self.bucket(&bucket).await?.head(key).await?.map(|meta| meta.tag)),
            None => tag_of_path(Path::new(uri)).await,
        }
    }

    async fn bucket(&self, url: &str) -> Result<SharedBlobs> {
        let mut buckets = self.buckets.lock().await;
        if let Some(open) = buckets.get(url) {
            return Ok(open.clone());
        }
        let open = open_blobs(url).await?;
        buckets.insert(url.to_owned(), open.clone());
        Ok(open)
    }
}

/// Splits `s3://bucket/key` into what opens the bucket and the key.
pub fn s3_parts(uri: &str) -> Option<(String, &str)> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    Some((format!("s3://{bucket}"), key))
}

async fn tag_of_path(path: &Path) -> Result<Option<String>> {
    let failed = |error: std::io::Error| {
        let refused = error.kind() == std::io::ErrorKind::PermissionDenied;
        let kind = if refused { Kind::Refused } else { Kind::Transient };
        Error::new(kind, format!("looking at {}", path.display()), error)
    };
    match tokio::fs::metadata(path).await {
        Ok(found) if found.is_file() => {
            let changed = found.modified().map_err(failed)?.duration_since(std::time::UNIX_EPOCH);
            Ok(Some(format!("{}-{}", found.len(), changed.unwrap_or_default().as_nanos())))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
