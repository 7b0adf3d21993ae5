//! Which part of a scene a picture shows. The whole, where little has to be read for that: it is small, or has overviews.
//! Else a part from its middle.

use swath_geo::pyramid::level_size;
use swath_proto::{
    geometry::{RectPx, SizePx},
    scene::SceneHeader,
};

use crate::{Raster, Result};

/// Of the longer edge, at most.
const PANEL_PX: u32 = 400;
/// Pixels of a band that may be read: a few tenths of a second.
const MOST_READ: u64 = 16 << 20;
/// Files that may be opened to see what the whole takes.
const MOST_FILES: usize = 16;
/// Edge of a part: a panel shows it at a quarter, in which buildings are still seen, and little is read for it.
const PART_PX: u32 = 1536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its corner is a multiple of 2^level.
    pub rect: RectPx,
    /// How often its edges are halved.
    pub level: u32,
}

impl Shown {
    /// None where even a part takes too much: of a wide scene in strips, or one that is a single tile.
    pub fn of(scene: &SceneHeader) -> Result<Option<Self>> {
        if let Some(whole) = Self::of_small(scene) {
            return Ok(Some(whole));
        }
        let whole = Self::whole(scene);
        if reads(scene, whole)? <= MOST_READ {
            return Ok(Some(whole));
        }
        let part = Self::new(middle(scene.size));
        Ok((with_blocks(part.rect, scene.block) <= MOST_READ).then_some(part))
    }

    /// All of a scene that is small; nothing has to be opened to say so.
    pub fn of_small(scene: &SceneHeader) -> Option<Self> {
        (scene.size.pixels() <= MOST_READ).then(|| Self::whole(scene))
    }

    fn whole(scene: &SceneHeader) -> Self {
        Self::new(RectPx::new(0, 0, scene.size.width, scene.size.height))
    }

    fn new(rect: RectPx) -> Self {
        let fits = |level: &u32| {
            let size = level_size(rect.size(), *level);
            size.width.max(size.height) <= PANEL_PX
        };
        Self { rect, level: (0..32).find(fits).unwrap_or(31) }
    }

    pub fn size(self) -> SizePx {
        level_size(self.rect.size(), self.level)
    }
}

/// Pixels of a band that the whole of a scene takes, by the overviews of its files.
fn reads(scene: &SceneHeader, shown: Shown) -> Result<u64> {
    if scene.source.files.len() > MOST_FILES {
        return Ok(u64::MAX);
    }
    let mut read = 0;
    for file in &scene.source.files {
        let raster = Raster::open(&file.uri)?;
        let SizePx { width, height } = raster.size();
        let whole = RectPx::new(0, 0, width, height);
        read += raster.pixels_read(whole, level_size(whole.size(), shown.level))?;
    }
    Ok(read)
}

fn middle(size: SizePx) -> RectPx {
    // Whole pixels of every level that a part can have.
    let along = |edge: u32| {
        let length = edge.min(PART_PX);
        ((edge - length) / 2 / 64 * 64, length)
    };
    let ((col, width), (row, height)) = (along(size.width), along(size.height));
    RectPx::new(col, row, width, height)
}

/// Pixels of the tiles or strips that a part touches.
fn with_blocks(part: RectPx, block: SizePx) -> u64 {
    let along = |from: u32, end: u32, block: u32| {
        let block = u64::from(block.max(1));
        (u64::from(end).div_ceil(block) - u64::from(from) / block) * block
    };
    along(part.col, part.right(), block.width) * along(part.row, part.bottom(), block.height)
}

#[cfg(test)]
mod tests {
    use swath_proto::{geometry::WindowPx, source::SourceSpec};

    use super::*;

    fn scene(size: SizePx, block: SizePx) -> SceneHeader {
        SceneHeader {
            id: "s".parse().unwrap(),
            source: SourceSpec::default(),
            size,
            places: vec![WindowPx::new(0, 0, size.width, size.height)],
            bands: 3,
            data_type: "Byte".into(),
            block,
            georeference: None,
            aoi: None,
        }
    }

    #[test]
    fn a_small_scene_is_shown_whole_and_nothing_is_opened_for_that() {
        let shown = Shown::of_small(&scene(SizePx::new(1000, 601), SizePx::new(256, 256))).unwrap();
        assert_eq!(shown, Shown { rect: RectPx::new(0, 0, 1000, 601), level: 2 });
        assert_eq!(shown.size(), SizePx::new(250, 151));
        assert_eq!(Shown::of_small(&scene(SizePx::new(10_000, 10_000), SizePx::new(256, 256))), None);
    }

    #[test]
    fn the_middle_begins_on_whole_pixels_of_its_level_and_lies_in_the_scene() {
        for size in
            [SizePx::new(20_001, 9_999), SizePx::new(100_000, 1_000), SizePx::new(PART_PX + 1, 50_000)]
        {
            let shown = Shown::new(middle(size));
            let RectPx { col, row, .. } = shown.rect;
            assert_eq!((col % (1 << shown.level), row % (1 << shown.level)), (0, 0), "{size:?}");
            assert!(shown.rect.right() <= size.width && shown.rect.bottom() <= size.height, "{size:?}");
            assert!(shown.level <= 6 && shown.rect.pixels() <= MOST_READ, "{size:?}");
        }
    }

    #[test]
    fn what_a_part_takes_counts_with_its_tiles_and_strips() {
        let part = RectPx::new(100, 100, 200, 56);
        assert_eq!(with_blocks(part, SizePx::new(256, 256)), 512 * 256);
        assert_eq!(with_blocks(part, SizePx::new(100_000, 1)), 100_000 * 56);
    }
}
