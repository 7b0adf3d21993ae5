//! Files outside the root: the scenes and labels of users, which Swath reads and never writes.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use swath_proto::access::{Access, Pass};
use tokio::sync::Mutex;

use crate::{
    Error, Kind, Result,
    beside::beside,
    blobs::{Blobs, SharedBlobs},
    open::open_buckets,
};

/// What was settled, by the entry that says how.
type Reached = HashMap<Option<Access>, Arc<dyn Buckets>>;

/// Looks at files, and remembers the stores that it has asked. How a store is reached is each run's own.
#[derive(Clone, Default)]
pub struct Outside {
    access: Vec<Access>,
    /// By how they are reached; `None` is the environment's way.
    reached: Arc<Mutex<Reached>>,
}

/// One way of reaching buckets.
#[async_trait]
pub trait Buckets: Send + Sync {
    fn bucket(&self, name: &str) -> SharedBlobs;

    /// For those who ask the store by themselves, as GDAL does. Its keys hold for a quarter of an hour at least, where
    /// whoever gives them out lets them.
    async fn pass(&self, prefix: &str) -> Result<Pass>;
}

impl Outside {
    pub fn new(access: &[Access]) -> Self {
        Self { access: access.to_vec(), reached: Arc::default() }
    }

    /// The same stores, as another run reaches them.
    #[must_use]
    pub fn reached_as(&self, access: &[Access]) -> Self {
        Self { access: access.to_vec(), reached: self.reached.clone() }
    }

    /// The state that a file is in: changes when its content does. `None`: there is no such file.
    pub async fn tag(&self, uri: &str) -> Result<Option<String>> {
        let Some((bucket, key)) = s3_parts(uri) else { return tag_of_path(uri.into()).await };
        let bucket = self.bucket(uri, bucket).await?;
        if let Some(meta) = bucket.head(key).await? {
            return Ok(Some(meta.tag));
        }
        // Reading says whether it is the file or the bucket that is not there.
        match bucket.get_range(key, 0..1).await {
            Err(error) if error.kind == Kind::Config => Err(error),
            _ => Ok(None),
        }
    }

    pub async fn get(&self, uri: &str) -> Result<Bytes> {
        match s3_parts(uri) {
            Some((bucket, key)) => self.bucket(uri, bucket).await?.get(key).await,
            None => {
                tokio::fs::read(uri).await.map(Bytes::from).map_err(|error| failed("reading", uri, error))
            }
        }
    }

    /// Files below a folder or prefix that ends in `/`, in the order of their names; only those
    /// directly in it, unless `deep`.
    pub async fn list(&self, prefix: &str, deep: bool) -> Result<Vec<String>> {
        let mut found = Vec::new();
        if let Some((bucket, key)) = s3_parts(prefix) {
            let mut listed = self.bucket(prefix, bucket).await?.list(key);
            while let Some(object) = listed.try_next().await? {
                let below = object.key.strip_prefix(key).unwrap_or_default();
                if !below.is_empty() && !below.ends_with('/') && (deep || !below.contains('/')) {
                    found.push(format!("s3://{bucket}/{}", object.key));
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

    /// What is to be known to read these files, and what lies under the root: a pass for each way in which they are
    /// reached. Files on this machine need none.
    pub async fn passes<'a>(
        &self,
        files: impl IntoIterator<Item = &'a str>,
        root: &str,
    ) -> Result<Vec<Pass>> {
        let ways: HashSet<Option<&Access>> = files
            .into_iter()
            .filter(|uri| s3_parts(uri).is_some())
            .map(|uri| Access::of(&self.access, uri))
            .collect();
        let mut passes = Vec::new();
        for access in ways {
            let prefix = access.map_or("s3://", |access| access.prefix.trim_end_matches('/'));
            passes.push(self.reach(access).await?.pass(prefix).await?);
        }
        if s3_parts(root).is_some() {
            // As the environment says, whatever a run says of its bucket.
            passes.push(self.reach(None).await?.pass(root).await?);
        }
        Ok(passes)
    }

    async fn bucket(&self, uri: &str, name: &str) -> Result<Arc<dyn Blobs>> {
        Ok(self.reach(Access::of(&self.access, uri)).await?.bucket(name))
    }

    async fn reach(&self, access: Option<&Access>) -> Result<Arc<dyn Buckets>> {
        // Two prefixes that are reached in one way are one.
        let way = access.map(|access| Access { prefix: String::new(), ..access.clone() });
        let mut reached = self.reached.lock().await;
        if let Some(open) = reached.get(&way) {
            return Ok(open.clone());
        }
        let open = open_buckets(access).await?;
        reached.insert(way, open.clone());
        Ok(open)
    }
}

/// Splits `s3://bucket/key` into bucket and key.
pub fn s3_parts(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix("s3://")?.split_once('/')
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

/// Size and time of the last change, of the file and of what lies beside it.
async fn tag_of_path(path: PathBuf) -> Result<Option<String>> {
    let tagged = tokio::task::spawn_blocking(move || {
        let Some(mut tag) = tag_of_one(&path)? else { return Ok(None) };
        for other in beside(&path) {
            // What can't be looked at, as a name that is too long, GDAL does not see either.
            if let (Ok(Some(of_other)), Some(name)) = (tag_of_one(&other), other.file_name()) {
                tag += &format!("+{}:{of_other}", name.display());
            }
        }
        Ok(Some(tag))
    });
    tagged.await.map_err(|error| Error::new(Kind::Transient, "looking at a file", error))?
}

fn tag_of_one(path: &Path) -> Result<Option<String>> {
    let failed = |error| failed("looking at", &path.display().to_string(), error);
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {
            let changed = found.modified().map_err(failed)?.duration_since(std::time::UNIX_EPOCH);
            Ok(Some(format!("{}-{}", found.len(), changed.unwrap_or_default().as_nanos())))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn failed(verb: &str, path: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Kind::Refused,
        std::io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Transient,
    };
    Error::new(kind, format!("{verb} {path}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_another_when_what_lies_beside_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let tag = async || Outside::new(&[]).tag(at("a.tif").to_str().unwrap()).await.unwrap();
        std::fs::write(at("b.tfw"), "another's").unwrap();
        assert_eq!(tag().await, None);
        std::fs::write(at("a.tif"), "pixels").unwrap();
        let alone = tag().await.unwrap();
        std::fs::write(at("a.tfw"), "1").unwrap();
        let placed = tag().await.unwrap();
        assert!(placed.starts_with(&alone) && placed.contains("+a.tfw:1-"), "{placed}");
        std::fs::write(at("a.tif.msk"), "mask").unwrap();
        let masked = tag().await.unwrap();
        std::fs::write(at("a.tfw"), "10").unwrap();
        let moved = tag().await.unwrap();
        assert!(masked != placed && moved != masked, "{placed}, {masked}, {moved}");
        std::fs::remove_file(at("a.tfw")).unwrap();
        std::fs::remove_file(at("a.tif.msk")).unwrap();
        std::fs::write(at("a.tif.aux.xml"), "what a viewer has noted").unwrap();
        assert_eq!(tag().await.unwrap(), alone);
        let longest = at(&"l".repeat(255));
        std::fs::write(&longest, "pixels").unwrap();
        assert!(Outside::new(&[]).tag(longest.to_str().unwrap()).await.unwrap().is_some());
    }
}
