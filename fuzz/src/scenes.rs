//! What items leave of a scene: packs of tiles, and fragments of polygons.

use std::sync::LazyLock;

use swath_geo::{
    pack::PackHeader,
    pyramid::level_size,
    tiles::Tiling,
    vector::{Fragment, polygons, simplify},
};
use swath_proto::geometry::{RectPx, SizePx};

use crate::{Target, sample};

pub(crate) const PACK: Target = Target {
    name: "pack",
    run: pack,
    samples: || vec![sample("geo/samples/pack-v1.bin"), sample("geo/samples/pack-v2.bin")],
    tokens: &[b"swathpk\0", b"horizontal", b"none", b"8192", b"4294967295", b"2147483648", b"\x78\x9c"],
};
pub(crate) const FRAGMENT: Target = Target {
    name: "fragment",
    run: fragment,
    samples: || vec![sample("geo/samples/fragment-v1.bin")],
    tokens: &[b"swathvf\0", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"],
};

fn pack(bytes: &[u8]) {
    // What is asked for before there is enough never goes back, and is kept to.
    let Ok(Some(header)) = PackHeader::parse(bytes) else { return };
    for product in header.products() {
        for (number, level) in product.levels.iter().enumerate() {
            let size = level_size(header.rect.size(), number as u32);
            let tiling = Tiling { size, block_px: header.block_px, bands: product.bands };
            assert_eq!(level.tiles().len() as u64, tiling.order().len());
            for range in level.tiles() {
                assert!(range.start >= header.header_len() && range.end <= header.total_len());
                let Some(tile) = bytes.get(range.start as usize..range.end as usize) else { continue };
                if let Ok(raw) = tiling.decode(tile, product.coding) {
                    assert_eq!(raw.len(), tiling.tile_len());
                }
            }
        }
    }
}

/// The sample is the middle of nine that this one fills up.
fn fragment(bytes: &[u8]) {
    static SAMPLE: LazyLock<Option<Fragment>> =
        LazyLock::new(|| Fragment::from_bytes(&sample("geo/samples/fragment-v1.bin")).ok());
    let Ok(fragment) = Fragment::from_bytes(bytes) else { return };
    assert_eq!(Fragment::from_bytes(&fragment.to_bytes()).as_ref(), Ok(&fragment));
    let RectPx { col, row, width, height } = fragment.item();
    let scene = SizePx::new(col.saturating_add(width), row.saturating_add(height));
    for size in [scene, SizePx::new(6, 6)] {
        for polygon in polygons(size, 0, [fragment.clone()]).into_iter().flatten() {
            simplify(polygon, 1.0);
        }
        let _ = polygons(size, 0, SAMPLE.clone().into_iter().chain([fragment.clone()]));
    }
}
