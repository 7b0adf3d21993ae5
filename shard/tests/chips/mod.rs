//! Chips of every kind, the same on every call.

use swath_proto::geometry::{SizePx, WindowPx};
use swath_shard::{Chip, Draw, Image, Index, SampleType, Shape, ShardWriter};

/// Bytes that a filter can do something with, and some that it can't.
fn pattern(len: u64, step: u64) -> Vec<u8> {
    (0..len).map(|i| ((i * step / 7) ^ (((i * i * 2_654_435_761) >> 29) & 7)) as u8).collect()
}

pub fn chip(scene: &str, window: WindowPx, size: SizePx, bands: u32, samples: SampleType) -> Chip {
    let shape = Shape::new(size, bands, samples);
    let image = Image::new(shape, pattern(shape.byte_len().unwrap(), u64::from(bands))).unwrap();
    let label = |i: u64| if i.is_multiple_of(97) { 255 } else { u8::from(i / 31 % 3 == 1) };
    let labels = (0..size.pixels()).map(label).collect();
    Chip { scene: scene.parse().unwrap(), window, draw: None, source_pixel_crs: None, image, labels }
}

pub fn all_kinds() -> Vec<Chip> {
    use SampleType::*;
    let size = SizePx::new(40, 24);
    let mut chips = vec![
        chip("plain", WindowPx::new(0, 0, 40, 24), size, 3, Uint8),
        chip("plain", WindowPx::new(-20, 24, 40, 24), size, 1, Uint8),
        chip("plain", WindowPx::new(0, 48, 40, 24), size, 2, Uint8),
        chip("tile_04-b.2", WindowPx::new(7, 9, 40, 24), size, 4, Uint16),
        chip("tile_04-b.2", WindowPx::new(8, 9, 40, 24), size, 5, Uint8),
        chip(&"long.".repeat(20), WindowPx::new(i64::MIN, i64::MAX, u32::MAX, 1), size, 3, Uint16),
        chip("one", WindowPx::new(0, 0, 1, 1), SizePx::new(1, 1), 1, Uint8),
    ];
    let types = [Int8, Int16, Uint32, Int32, Uint64, Int64, Float32, Float64];
    chips.extend(
        (0..).zip(types).map(|(col, samples)| chip("types", WindowPx::new(col, 0, 40, 24), size, 2, samples)),
    );
    for (index, attempt) in [(17, 0), (18, 3)] {
        let mut drawn = chip("plain", WindowPx::new(0, 0, 61, 50), size, 3, Uint8);
        drawn.draw = Some(Draw { seed: u64::MAX, index, attempt });
        drawn.source_pixel_crs = Some([0.1, 0.3]);
        chips.push(drawn);
    }
    chips
}

pub fn shard(chips: &[Chip]) -> (Vec<u8>, Index) {
    let mut writer = ShardWriter::new(Vec::new());
    chips.iter().for_each(|chip| writer.push(chip).unwrap());
    writer.finish().unwrap()
}

pub fn slice<'a>(tar: &'a [u8], entry: &swath_shard::Entry) -> &'a [u8] {
    &tar[entry.range().start as usize..entry.range().end as usize]
}
