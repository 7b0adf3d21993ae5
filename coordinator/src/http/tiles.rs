//! Pictures that were drawn last, layers of scenes at which whoever draws was lost, and how many are drawn at a time.

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
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
/// A layer of a scene that has ended whoever drew it is left alone for this, and twice as long each further time: each
/// costs a process, and what takes too long holds its place for minutes.
const LOST_FOR: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);
const MOST_LOST: NonZeroUsize = NonZeroUsize::new(1000).expect("not 0");

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

impl Key {
    /// That of all pictures that are made of the same files.
    fn of_layer(&self) -> Self {
        Self { level: 0, col: 0, row: 0, ..self.clone() }
    }
}

/// Clones share all.
#[derive(Clone)]
pub(super) struct Tiles {
    kept: Arc<Mutex<Kept>>,
    room: Arc<Semaphore>,
}

struct Kept {
    pictures: LruCache<Key, Bytes>,
    bytes: usize,
    /// By layers.
    lost: LruCache<Key, Lost>,
}

struct Lost {
    times: u32,
    until: Instant,
    /// The picture at which it was.
    at: Key,
}

impl Default for Kept {
    fn default() -> Self {
        Self { pictures: LruCache::unbounded(), bytes: 0, lost: LruCache::new(MOST_LOST) }
    }
}

impl Default for Tiles {
    fn default() -> Self {
        Self { kept: Arc::default(), room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Tiles {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture, drawn now or before. One that is begun is drawn to its end though nobody waits any more: whoever
    /// asks again for one that takes longer than an answer may then has it.
    pub(super) async fn of(
        &self,
        key: Key,
        draw: impl Future<Output = Result<Bytes, Undrawn>> + Send + 'static,
    ) -> Result<Bytes, Undrawn> {
        if let Some(known) = self.kept().known(&key, Instant::now()) {
            return known;
        }
        let permit = self.room.clone().acquire_owned().await;
        // Somebody may have wanted the same.
        if let Some(known) = self.kept().known(&key, Instant::now()) {
            return known;
        }
        let this = self.clone();
        let drawn = tokio::spawn(async move {
            let _permit = permit;
            let drawn = draw.await;
            match &drawn {
                Ok(picture) => this.kept().put(key, picture.clone(), MOST_BYTES),
                Err(Undrawn::Lost(_)) => this.kept().lose(key, Instant::now()),
                Err(_) => {}
            }
            drawn
        });
        drawn.await.unwrap_or_else(|_| Err(Undrawn::Failed("whoever draws is gone".into())))
    }
}

impl Kept {
    /// What came of it, where it is not to be drawn now.
    fn known(&mut self, key: &Key, now: Instant) -> Option<Result<Bytes, Undrawn>> {
        if let Some(picture) = self.pictures.get(key) {
            return Some(Ok(picture.clone()));
        }
        let lost = self.lost.get(&key.of_layer())?;
        let rest = lost.until.saturating_duration_since(now);
        (!rest.is_zero()).then_some(Err(Undrawn::LeftAlone { times: lost.times, rest }))
    }

    /// Pictures that were begun before it was left alone, and are lost too, do not count.
    fn lose(&mut self, key: Key, now: Instant) {
        let layer = key.of_layer();
        let before = self.lost.get(&layer);
        if before.is_some_and(|lost| now < lost.until) {
            return;
        }
        let times = before.map_or(0, |lost| lost.times).saturating_add(1);
        let rest = LOST_FOR.saturating_mul(1 << (times - 1).min(16)).min(LONGEST);
        self.lost.put(layer, Lost { times, until: now + rest, at: key });
    }

    fn put(&mut self, key: Key, picture: Bytes, most_bytes: usize) {
        // Others of its layer may be fine all the time.
        let layer = key.of_layer();
        if self.lost.peek(&layer).is_some_and(|lost| lost.at == key) {
            self.lost.pop(&layer);
        }
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
    use tokio::sync::oneshot;

    use super::*;

    fn key(col: u32) -> Key {
        let (run, scene) = ("a-1".parse().unwrap(), "east".parse().unwrap());
        Key { run, scene, layer: "imagery", level: 0, col, row: 0, tag: String::new() }
    }

    #[test]
    fn what_is_kept_stays_within_its_bytes_and_the_oldest_goes_first() {
        let mut kept = Kept::default();
        for col in 0..4 {
            kept.put(key(col), Bytes::from(vec![0; 10]), 30);
        }
        kept.put(key(3), Bytes::from(vec![0; 20]), 30);
        let left: Vec<u32> = kept.pictures.iter().map(|(key, _)| key.col).collect();
        assert_eq!((left, kept.bytes), (vec![3, 2], 30));
    }

    #[test]
    fn a_layer_at_which_a_process_was_lost_is_left_alone_for_longer_each_time() {
        let (mut kept, mut now) = (Kept::default(), Instant::now());
        let labels = Key { layer: "labels", ..key(0) };
        for (nth, seconds) in (1..).zip([60, 120, 240, 480, 960, 1920, 3600, 3600]) {
            kept.lose(key(0), now);
            kept.lose(key(1), now);
            let until = now + Duration::from_secs(seconds);
            let known = kept.known(&key(2), until - Duration::from_secs(1));
            let Some(Err(Undrawn::LeftAlone { times, rest })) = known else { panic!("{nth}: it is drawn") };
            assert_eq!((times, rest.as_secs()), (nth, 1), "others of the layer are left alone too");
            assert!(kept.known(&labels, now).is_none(), "another layer is not concerned");
            assert!(kept.known(&key(2), until).is_none(), "it is tried again");
            now = until;
        }
        kept.put(key(2), Bytes::new(), 1);
        kept.lose(key(0), now);
        assert!(kept.known(&key(1), now + LONGEST / 2).is_some(), "another picture says nothing of this one");
        now += LONGEST;
        kept.put(key(0), Bytes::new(), 1);
        kept.lose(key(1), now);
        assert!(kept.known(&key(3), now + LOST_FOR).is_none(), "it was drawn, and is forgiven");
    }

    #[tokio::test]
    async fn nobody_is_lost_twice_at_a_scene_that_is_asked_for_again() {
        let tiles = Tiles::default();
        let lost = tiles.of(key(0), async { Err(Undrawn::Lost("it has ended".into())) }).await;
        assert!(matches!(lost, Err(Undrawn::Lost(_))));
        for col in [0, 1] {
            let again = tiles.of(key(col), async { Ok(Bytes::from_static(b"png")) }).await;
            assert!(matches!(again, Err(Undrawn::LeftAlone { times: 1, .. })), "it is not drawn");
        }
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

    #[tokio::test]
    async fn whoever_asks_again_has_what_took_too_long_the_first_time() {
        let tiles = Tiles::default();
        let (begun, is_begun) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel::<()>();
        let slow = async move {
            let _ = begun.send(());
            let _ = goes_on.await;
            Ok(Bytes::from_static(b"png"))
        };
        tokio::select! {
            _ = tiles.of(key(0), slow) => panic!("it is not drawn yet"),
            begun = is_begun => begun.expect("it is drawn"),
        }
        go_on.send(()).expect("it is drawn though nobody waits");
        let drawn = loop {
            match tiles.of(key(0), async { Err(Undrawn::Failed("not yet".into())) }).await {
                Ok(drawn) => break drawn,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(&drawn[..], b"png");
    }
}
