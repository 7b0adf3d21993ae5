//! In which parts a rectangle of a raster is read, so that GDAL keeps of it what somebody will ask for again, and
//! nothing else.

use swath_proto::geometry::{RectPx, SizePx};

/// What GDAL may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cache {
    pub bytes: u64,
    /// What of it one part of a rectangle may take: others read beside it.
    pub part: u64,
}

impl Cache {
    /// Each part of a remote file waits for an answer, so that there they are few: as many fit side by side as a
    /// worker has items in hand, if nothing else is said.
    pub(crate) const fn shared(bytes: u64, is_remote: bool) -> Self {
        Self { bytes, part: bytes / if is_remote { 3 } else { 8 } }
    }
}

/// Whether what GDAL has unpacked for one rectangle serves the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nobody asks for these tiles or strips again.
    Once,
    WithNeighbours,
}

/// Whole rows of tiles or strips (`block`), whose pixels take `pixel_bytes` each while GDAL keeps them. `None`: the
/// rectangle at once, to be kept. Where its blocks are more than the cache holds, those that come first would be
/// gone before a neighbour asks, so that none are kept: a wide striped scene takes no more memory than a narrow one.
pub(crate) fn parts(
    rect: RectPx,
    block: SizePx,
    pixel_bytes: u64,
    cache: Cache,
    reading: Reading,
) -> Option<Vec<RectPx>> {
    let (width, height) = (block.width.max(1), block.height.max(1));
    let columns = rect.right().div_ceil(width) - rect.col / width;
    let rows = rect.bottom().div_ceil(height) - rect.row / height;
    let row_pixels = u64::from(columns) * u64::from(width) * u64::from(height);
    let row_bytes = row_pixels.saturating_mul(pixel_bytes.max(1));
    // Less than a row of blocks can't be read, and a neighbour may still find a part of one.
    let is_kept = rows == 1 || row_bytes.saturating_mul(rows.into()) <= cache.bytes;
    if reading == Reading::WithNeighbours && is_kept {
        return None;
    }
    let at_once = (cache.part / row_bytes).clamp(1, rows.into()) as u32 * height;
    let mut parts = Vec::new();
    let mut row = rect.row;
    while row < rect.bottom() {
        let end = (row / height * height).saturating_add(at_once).min(rect.bottom());
        parts.push(RectPx { row, height: end - row, ..rect });
        row = end;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Cache = Cache::shared(64 << 20, false);
    const REMOTE: Cache = Cache::shared(64 << 20, true);

    fn heights(
        rect: RectPx,
        block: SizePx,
        pixel_bytes: u64,
        cache: Cache,
        reading: Reading,
    ) -> Option<Vec<u32>> {
        let parts = parts(rect, block, pixel_bytes, cache, reading)?;
        let mut next = rect.row;
        for part in &parts {
            assert_eq!((part.col, part.width, part.row), (rect.col, rect.width, next), "one below the other");
            next = part.bottom();
        }
        assert_eq!(next, rect.bottom(), "all of it");
        Some(parts.iter().map(|part| part.height).collect())
    }

    #[test]
    fn what_neighbours_need_is_read_at_once_until_the_cache_does_not_hold_it() {
        let tiles = SizePx::new(512, 512);
        // 9 by 9 tiles of 768 KiB, and 10 by 10.
        let fits = RectPx::new(100, 100, 4096, 4096);
        assert_eq!(heights(fits, tiles, 3, LOCAL, Reading::WithNeighbours), None);
        let more = RectPx::new(100, 100, 4608, 4608);
        assert_eq!(
            heights(more, tiles, 3, LOCAL, Reading::WithNeighbours),
            Some(vec![412, 512, 512, 512, 512, 512, 512, 512, 512, 100])
        );
        // Strips of 30,000 px: 8 MiB are 93 of them.
        let strips = SizePx::new(30_000, 1);
        assert_eq!(heights(RectPx::new(0, 7, 300, 300), strips, 3, LOCAL, Reading::WithNeighbours), None);
        let parts = heights(RectPx::new(0, 7, 300, 1000), strips, 3, LOCAL, Reading::WithNeighbours);
        assert_eq!(parts, Some([vec![93; 10], vec![70]].concat()));
    }

    #[test]
    fn what_is_read_once_takes_a_part_of_the_cache_or_a_row_of_blocks() {
        let tiles = SizePx::new(512, 512);
        // Rows of 6 tiles, which are 4.5 MiB, and of 3.
        let item = RectPx::new(2016, 2016, 2112, 2112);
        assert_eq!(heights(item, tiles, 3, LOCAL, Reading::Once), Some(vec![32, 512, 512, 512, 512, 32]));
        let narrow = RectPx::new(2048, 2016, 1536, 2112);
        assert_eq!(heights(narrow, tiles, 3, LOCAL, Reading::Once), Some(vec![1056, 1056]));
        assert_eq!(heights(RectPx::new(0, 0, 256, 256), tiles, 3, LOCAL, Reading::Once), Some(vec![256]));
        let large = RectPx::new(2016, 2016, 4160, 4160);
        assert_eq!(
            heights(large, tiles, 3, LOCAL, Reading::Once),
            Some([vec![32], vec![512; 8], vec![32]].concat())
        );
        assert_eq!(heights(large, tiles, 3, REMOTE, Reading::Once), Some(vec![544, 1024, 1024, 1024, 544]));
        // One tile for all: there is nothing less to read.
        let huge = SizePx::new(1 << 20, 1 << 20);
        assert_eq!(heights(item, huge, 8, LOCAL, Reading::Once), Some(vec![2112]));
        assert_eq!(heights(item, huge, 8, LOCAL, Reading::WithNeighbours), None);
    }
}
