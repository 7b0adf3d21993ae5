use std::{collections::HashSet, fs, os::unix::fs::MetadataExt as _, sync::Arc, time::SystemTime};

use swath_backends::blobs::{Blobs as _, folder::Folder};
use swath_proto::geometry::{SizePx, WindowPx};
use swath_shard::{SampleType, ShardWriter};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{room::FOLDER, *};
use crate::{data::Shard, store::Store};

const N: usize = 6;
/// 40 x 40 px in three bands, and labels.
const PLACE: u64 = 8192;

struct Bench {
    folder: TempDir,
    _runtime: Runtime,
    store: Store,
    chips: Vec<Chip>,
    shards: Vec<Shard>,
}

fn chip(number: usize) -> Chip {
    let shape = Shape::new(SizePx::new(40, 40), 3, SampleType::Uint8);
    let image =
        Image::new(shape, (0..4800_usize).map(|at| (at * (number + 3) % 251) as u8).collect()).unwrap();
    let labels = (0..1600_usize).map(|at| (at * (number + 1) % 7) as u8).collect();
    let window = WindowPx::new(40 * number as i64, 0, 40, 40);
    Chip { scene: "one".parse().unwrap(), window, draw: None, source_pixel_crs: None, image, labels }
}

impl Bench {
    /// Two shards of three chips.
    fn new() -> Self {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
        let blobs = Folder::open(&folder.path().join("root")).unwrap();
        let chips: Vec<Chip> = (0..N).map(chip).collect();
        let shard = |(number, chips): (usize, &[Chip])| {
            let mut writer = ShardWriter::new(Vec::new());
            chips.iter().for_each(|chip| writer.push(chip).unwrap());
            let (tar, index) = writer.finish().unwrap();
            let key = format!("shard-{number}.tar");
            runtime.block_on(blobs.put(&key, tar.into())).unwrap();
            Shard { key, index }
        };
        let shards = chips.chunks(3).enumerate().map(shard).collect();
        let store = Store::new(Arc::new(blobs), runtime.handle().clone());
        Self { folder, _runtime: runtime, store, chips, shards }
    }

    fn open(&self, bytes: u64) -> Cache {
        let tars = self.store.look(self.shards.iter().map(|shard| shard.key.clone())).unwrap();
        let mut room = Room::open(self.folder.path(), bytes).unwrap();
        let cache = room.keep(&self.store, &self.shards, &tars).unwrap();
        room.clear().unwrap();
        cache
    }

    fn entry(&self, number: usize) -> &Entry {
        &self.shards[number / 3].index.chips()[number % 3]
    }

    fn key(&self, number: usize) -> &str {
        &self.shards[number / 3].key
    }

    fn put(&self, cache: &Cache, number: usize) {
        cache.put(self.key(number), self.entry(number), &self.chips[number]);
    }

    fn fill(&self, cache: &Cache) {
        (0..N).for_each(|number| self.put(cache, number));
    }

    fn kept(&self, cache: &Cache) -> Vec<usize> {
        let is_kept = |&number: &usize| {
            let found = cache.get(self.key(number), self.entry(number));
            assert!(
                found.as_ref().is_none_or(|chip| *chip == self.chips[number]),
                "chip {number} is another"
            );
            found.is_some()
        };
        (0..N).filter(is_kept).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join(FOLDER);
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
fn chips_that_are_kept_come_back_in_this_process_and_in_others() {
    let bench = Bench::new();
    let cache = bench.open(1 << 20);
    assert!(bench.kept(&cache).is_empty());
    bench.put(&cache, 4);
    assert_eq!(bench.kept(&cache), [4]);
    bench.fill(&cache);
    assert_eq!(bench.kept(&bench.open(1 << 20)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    let bench = Bench::new();
    let cache = bench.open(4 * PLACE + 100);
    bench.fill(&cache);
    assert_eq!(bench.kept(&cache), [0, 1, 2, 3]);
    let used: u64 = bench.files().iter().map(|path| fs::metadata(path).unwrap().blocks() * 512).sum();
    assert!(used <= 4 * PLACE, "{used}");
    bench.fill(&bench.open(PLACE - 1));
    assert!(bench.kept(&bench.open(PLACE - 1)).is_empty());
}

#[test]
fn what_is_damaged_or_half_written_is_not_believed() {
    let bench = Bench::new();
    let cache = bench.open(1 << 20);
    bench.fill(&cache);
    let path = cache.place("shard-0.tar", bench.entry(0)).unwrap().0.to_owned();
    let good = fs::read(&path).unwrap();
    // Of the second chip: its image, its labels, its end.
    for at in [PLACE + 10, PLACE + 4800 + 9, PLACE + 6400, PLACE + 6407] {
        let mut bytes = good.clone();
        bytes[at as usize] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(bench.kept(&cache), [0, 2, 3, 4, 5], "byte {at}");
        bench.fill(&cache);
        assert_eq!(bench.kept(&cache).len(), N);
    }
    fs::write(&path, &good[..PLACE as usize + 77]).unwrap();
    assert_eq!(bench.kept(&cache), [0, 3, 4, 5]);
    fs::remove_file(&path).unwrap();
    assert_eq!(bench.kept(&cache), [3, 4, 5]);
    bench.fill(&cache);
    assert_eq!(bench.kept(&cache).len(), N);
}

#[test]
fn another_tar_under_the_same_key_is_other_chips() {
    let bench = Bench::new();
    bench.fill(&bench.open(1 << 20));
    let tar = bench.store.get("shard-0.tar").unwrap().unwrap();
    bench.store.put("shard-0.tar", tar).unwrap();
    assert_eq!(bench.kept(&bench.open(1 << 20)), [3, 4, 5]);
}

#[test]
fn what_other_trainings_have_left_makes_room_the_oldest_first() {
    let bench = Bench::new();
    bench.fill(&bench.open(1 << 20));
    let ours: HashSet<PathBuf> = bench.files().into_iter().collect();
    for (name, age) in [("old", 300), ("older", 400), ("young", 200)] {
        let path = bench.folder.path().join(FOLDER).join(name);
        fs::write(&path, vec![1; PLACE as usize]).unwrap();
        let then = SystemTime::now() - std::time::Duration::from_secs(age);
        File::open(&path).unwrap().set_modified(then).unwrap();
    }
    // All six chips and two places.
    bench.open(8 * PLACE);
    let left: HashSet<PathBuf> = bench.files().into_iter().collect();
    assert!(ours.is_subset(&left));
    let mut names: Vec<_> = left.difference(&ours).map(|path| path.file_name().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["old", "young"]);
}

#[test]
fn many_threads_and_caches_fill_one_file() {
    let bench = Bench::new();
    let caches = [bench.open(1 << 20), bench.open(1 << 20)];
    std::thread::scope(|scope| {
        for cache in caches.iter().chain(&caches) {
            scope.spawn(|| {
                for _ in 0..50 {
                    bench.fill(cache);
                    assert_eq!(bench.kept(cache).len(), N);
                }
            });
        }
    });
}
