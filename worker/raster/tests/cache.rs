//! What a read leaves in GDAL's cache, which is one for the process: these tests have theirs to themselves.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use swath_proto::geometry::SizePx;
use swath_raster::{Pixels, Raster, Settings, configure};

mod files;
use files::{Folder, Tif};

const SIZE: (usize, usize) = (3000, 200);
const BANDS: [usize; 3] = [1, 2, 3];

fn value(band: usize, col: usize, row: usize) -> u8 {
    (band * 71 + col * 7 + row * 13 + col * row) as u8
}

fn used() -> i64 {
    // SAFETY: a plain getter.
    unsafe { gdal_sys::GDALGetCacheUsed64() }
}

#[test]
fn a_rectangle_of_more_than_the_cache_is_read_in_parts_that_do_not_fill_it() {
    configure(&Settings { cache_mib: 1 });
    let folder = Folder::new();
    let (width, height) = SIZE;
    let layouts: [&[&str]; 2] = [
        &["INTERLEAVE=PIXEL", "BLOCKYSIZE=3"],
        &["INTERLEAVE=PIXEL", "TILED=YES", "BLOCKXSIZE=128", "BLOCKYSIZE=64"],
    ];
    for (number, layout) in layouts.into_iter().enumerate() {
        let path = folder.path(&format!("{number}.tif"));
        let file = Tif::new(width, height, 3).options(layout).write(&path, value, |_| {});
        let raster = Raster::open(&file.uri).unwrap();
        let before = used();
        // From the middle of a strip and of a tile, and beyond the edge.
        let (col, row, size) = (11_usize, 7_usize, SizePx::new(width as u32, height as u32));
        let Pixels::U8(pixels) = raster.read(col as i64, row as i64, size, &BANDS).unwrap() else {
            panic!("bytes are read as bytes")
        };
        for (i, pixel) in pixels.chunks_exact(3).enumerate() {
            let (col, row) = (col + i % width, row + i / width);
            let there = col < width && row < height;
            let expected = BANDS.map(|band| if there { value(band - 1, col, row) } else { 0 });
            assert_eq!(pixel, expected, "{layout:?}: {col}, {row}");
        }
        assert_eq!(used(), before, "{layout:?}: nothing is left of what nobody could have found again");
        raster.read(0, 0, SizePx::new(300, 30), &BANDS).unwrap();
        assert!(used() > before, "{layout:?}: a small rectangle stays for its neighbour");
    }
}
