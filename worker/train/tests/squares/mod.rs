//! Chips that anyone can learn: bright squares on dark noise.

use std::{path::Path, sync::Arc};

use swath_backends::blobs::{Blobs as _, folder::Folder};
use swath_model::Place;
use swath_proto::{
    geometry::{SizePx, WindowPx},
    train::TrainSpec,
};
use swath_shard::{Chip, Image, SampleType, Shape, ShardWriter};
use swath_train::{Job, Machine, Shard, Store};
use tokio::runtime::Runtime;

/// Numbers without a pattern.
fn noise(n: u64) -> u64 {
    let z = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

/// One in 50 pixels is ignored.
pub fn chip(number: u64, edge: u32) -> Chip {
    let side = edge / 4 + (noise(number * 7 + 1) % u64::from(edge / 4)) as u32;
    let [left, top] = [2, 3].map(|n| (noise(number * 7 + n) % u64::from(edge - side)) as u32);
    let is_inside = |at: u32, from: u32| (from..from + side).contains(&at);
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for pixel in 0..edge * edge {
        let inside = is_inside(pixel % edge, left) && is_inside(pixel / edge, top);
        let base = if inside { 150 } else { 20 };
        bytes.extend(
            (0..3).map(|band| (base + noise((number << 32) + u64::from(pixel * 3 + band)) % 80) as u8),
        );
        labels.push(if pixel % 50 == 0 { 255 } else { u8::from(inside) });
    }
    let image = Image::new(Shape::new(SizePx::new(edge, edge), 3, SampleType::Uint8), bytes).unwrap();
    let window = WindowPx::new(i64::from(edge) * number as i64, 0, edge, edge);
    let scene = "squares".parse().unwrap();
    Chip { scene, window, draw: None, source_pixel_crs: None, image, labels }
}

pub fn shard(store: &Folder, runtime: &Runtime, key: &str, chips: &[Chip]) -> Shard {
    let mut writer = ShardWriter::new(Vec::new());
    chips.iter().for_each(|chip| writer.push(chip).unwrap());
    let (tar, index) = writer.finish().unwrap();
    runtime.block_on(store.put(key, tar.into())).unwrap();
    let beside = format!("{}.idx", key.trim_end_matches(".tar"));
    runtime.block_on(store.put(&beside, index.to_bytes().unwrap().into())).unwrap();
    Shard { key: key.into(), index }
}

pub fn spec(toml: &str) -> TrainSpec {
    toml::from_str(&format!("classes = 2\n{toml}")).unwrap()
}

/// So many chips to train from, in two shards, and to validate on.
pub fn job(
    root: &Path,
    runtime: &Runtime,
    spec: TrainSpec,
    (train, validation, edge): (u64, u64, u32),
) -> Job {
    let folder = Folder::open(root).unwrap();
    let chips = |from: u64, to: u64| (from..to).map(|number| chip(number, edge)).collect::<Vec<_>>();
    let one = shard(&folder, runtime, "shard-0.tar", &chips(0, train / 2));
    let two = shard(&folder, runtime, "shard-1.tar", &chips(train / 2, train));
    let held_out = shard(&folder, runtime, "shard-2.tar", &chips(train, train + validation));
    Job {
        spec,
        train: vec![one, two],
        validation: vec![held_out],
        coming: None,
        store: Store::new(Arc::new(folder), runtime.handle().clone()),
        output: "training/".into(),
        machine: Machine {
            threads: 1,
            place: Place::Processor,
            loaders: 2,
            cache: root.join("cache"),
            chip_cache: 0,
            mirror: None,
        },
    }
}
