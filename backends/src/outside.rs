//! Files outside the root: the scenes and labels of users, which Swath reads and never writes.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use futures::TryStreamExt as _;
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

    /// Files below a folder or prefix that ends in `/`, in the order of their names; only those
    /// directly in it, unless `deep`.
    pub async fn list(&self, prefix: &str, deep: bool) -> Result<Vec<String>> {
        let mut found = Vec::new();
        if let Some((bucket, key)) = s3_parts(prefix) {
            let mut listed = self.bucket(&bucket).await?.list(key);
            while let Some(object) = listed.try_next().await? {
                let below = object.key.strip_prefix(key).unwrap_or_default();
                if !below.is_empty() && !below.ends_with('/') && (deep || !below.contains('/')) {
                    found.push(format!("{bucket}/{}", object.key));
                }
            }
        } else {
            let folder = PathBuf::from(prefix);
            let walked = tokio::task::spawn_blocking(move || {
                let mut found = Vec::new();
                walk(&folder, deep, &mut HashSet::new(), &mut found).map(|()| found)
            });
            let doing = || format!("listing {prefix}");
            found = walked
                .await
                .map_err(|error| Error::new(Kind::Transient, doing(), error))?
                .map_err(|error| Error::new(Kind::Config, doing(), error))?;
        }
        found.sort();
        Ok(found)
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

/// Hidden files are left alone; a folder that links lead back to is seen once. Of names that are not
/// UTF-8 none can be told to a worker.
fn walk(
    folder: &Path,
    deep: bool,
    seen: &mut HashSet<PathBuf>,
    found: &mut Vec<String>,
) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    if !seen.insert(folder.canonicalize()?) {
        return Ok(());
    }
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.to_str() else { continue };
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_file() {
            found.push(name.to_owned());
        } else if deep && path.is_dir() {
            walk(&path, deep, seen, found)?;
        }
    }
    Ok(())
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
