//! Stores in which checkpoints fare badly; all else is a folder's.

use std::{
    ops::Range,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::stream::BoxStream;
use swath_backends::{
    Error, Kind, Result,
    blobs::{Blobs, Listed, Meta, Piece, Put, folder::Folder},
};
use tokio::sync::Semaphore;

pub const CHECKPOINTS: &str = "/checkpoints/";
pub const BEST: &str = "/best-";

/// Some of what is put there finds no room.
pub struct NoRoom {
    folder: Folder,
    place: &'static str,
    puts: AtomicUsize,
    /// Of those.
    failing: Range<usize>,
    kind: Kind,
}

impl NoRoom {
    /// For checkpoints, once so many were put.
    pub fn after(root: &Path, n: usize, kind: Kind) -> Self {
        Self { failing: n..usize::MAX, kind, ..Self::at(CHECKPOINTS, root, n) }
    }

    /// For one put there after so many others, and only once.
    pub fn at(place: &'static str, root: &Path, n: usize) -> Self {
        let (folder, puts) = (Folder::open(root).unwrap(), AtomicUsize::new(0));
        Self { folder, place, puts, failing: n..n + 1, kind: Kind::Transient }
    }

    async fn before_put(&self, key: &str) -> Result<()> {
        if !key.contains(self.place) || !self.failing.contains(&self.puts.fetch_add(1, Ordering::Relaxed)) {
            return Ok(());
        }
        let no_space = std::io::Error::from_raw_os_error(28);
        Err(Error::new(self.kind, format!("writing {key}"), no_space))
    }
}

/// The first checkpoint is put once so many steps were done.
pub struct Late {
    folder: Folder,
    steps: Semaphore,
    wanted: u32,
    is_over: AtomicUsize,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Late {
    pub fn new(root: &Path, wanted: u32) -> Self {
        let (steps, is_over) = (Semaphore::new(0), AtomicUsize::new(0));
        Self { folder: Folder::open(root).unwrap(), steps, wanted, is_over }
    }

    pub fn step(&self) {
        self.steps.add_permits(1);
    }

    async fn before_put(&self, key: &str) -> Result<()> {
        if !key.contains(CHECKPOINTS) || self.is_over.fetch_add(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        match tokio::time::timeout(PATIENCE, self.steps.acquire_many(self.wanted)).await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Error::new(Kind::Config, format!("writing {key}: nobody goes on meanwhile"), error))
            }
        }
    }
}

macro_rules! folder_but_for_checkpoints {
    ($($door:ty),*) => {$(
        #[async_trait::async_trait]
        impl Blobs for $door {
            async fn put_new(&self, key: &str, body: Bytes) -> Result<Put> {
                self.folder.put_new(key, body).await
            }

            async fn put(&self, key: &str, body: Bytes) -> Result<()> {
                self.before_put(key).await?;
                self.folder.put(key, body).await
            }

            async fn get(&self, key: &str) -> Result<Bytes> {
                self.folder.get(key).await
            }

            async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
                self.folder.get_range(key, range).await
            }

            async fn head(&self, key: &str) -> Result<Option<Meta>> {
                self.folder.head(key).await
            }

            fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed>> {
                self.folder.list(prefix)
            }

            async fn delete(&self, key: &str) -> Result<()> {
                self.folder.delete(key).await
            }

            async fn compose_new(&self, key: &str, pieces: Vec<Piece>) -> Result<Put> {
                self.folder.compose_new(key, pieces).await
            }

            fn uri(&self, key: &str) -> String {
                self.folder.uri(key)
            }
        }
    )*};
}

folder_but_for_checkpoints!(NoRoom, Late);
