//! Pictures that were drawn last, and how many are drawn at a time.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use lru::LruCache;
use swath_proto::ids::{RunId, SceneId};
use tokio::sync::Semaphore;

use super::imagery::Undrawn;

/// Tiles are some 20 to 150 KB: a few screens full of them.
const MOST_BYTES: usize = 64 << 20;
/// Those who draw share the machine with a coordinator.
const AT_ONCE: usize = 4;

/// All that decides a picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) run: RunId,
    pub(super) scene: SceneId,
    pub(super) layer: &'static str,
    pub(super) level: u32,
    pub(super) col: u32,
    pub(super) row: u32,
    /// Of the file that it shows, where that may be made anew.
    pub(super) tag: String,
}

pub(super) struct Tiles {
    kept: Mutex<Kept>,
    room: Semaphore,
}

struct Kept {
    pictures: LruCache<Key, Bytes>,
    bytes: usize,
}

impl Default for Tiles {
    fn default() -> Self {
        let kept = Kept { pictures: LruCache::unbounded(), bytes: 0 };
        Self { kept: Mutex::new(kept), room: Semaphore::new(AT_ONCE) }
    }
}

impl Tiles {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture, drawn now or before.
    pub(super) async fn of(
        &self,
        key: Key,
        draw: impl Future<Output = Result<Bytes, Undrawn>> + Send,
    ) -> Result<Bytes, Undrawn> {
        if let Some(picture) = self.kept().pictures.get(&key) {
            return Ok(picture.clone());
        }
        let _permit = self.room.acquire().await;
        // Somebody may have wanted the same.
        if let Some(picture) = self.kept().pictures.get(&key) {
            return Ok(picture.clone());
        }
        let picture = draw.await?;
        self.kept().put(key, picture.clone(), MOST_BYTES);
        Ok(picture)
    }
}

impl Kept {
    fn put(&mut self, key: Key, picture: Bytes, most_bytes: usize) {
        self.bytes += picture.len();
        if let Some((_, old)) = self.pictures.push(key, picture) {
            self.bytes -= old.len();
        }
        while self.bytes > most_bytes
            && let Some((_, old)) = self.pictures.pop_lru()
        {
            self.bytes -= old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(col: u32) -> Key {
        let (run, scene) = ("a-1".parse().unwrap(), "east".parse().unwrap());
        Key { run, scene, layer: "imagery", level: 0, col, row: 0, tag: String::new() }
    }

    #[test]
    fn what_is_kept_stays_within_its_bytes_and_the_oldest_goes_first() {
        let mut kept = Kept { pictures: LruCache::unbounded(), bytes: 0 };
        for col in 0..4 {
            kept.put(key(col), Bytes::from(vec![0; 10]), 30);
        }
        kept.put(key(3), Bytes::from(vec![0; 20]), 30);
        let left: Vec<u32> = kept.pictures.iter().map(|(key, _)| key.col).collect();
        assert_eq!((left, kept.bytes), (vec![3, 2], 30));
    }

    #[tokio::test]
    async fn a_picture_is_drawn_once_and_a_failure_is_not_kept() {
        let tiles = Tiles::default();
        let failed = tiles.of(key(0), async { Err(Undrawn::Missing("not yet".into())) }).await;
        assert!(failed.is_err());
        let drawn = tiles.of(key(0), async { Ok(Bytes::from_static(b"png")) }).await.unwrap();
        let again = tiles.of(key(0), async { Err(Undrawn::Failed("it is kept".into())) }).await.unwrap();
        assert_eq!(drawn, again);
    }
}
