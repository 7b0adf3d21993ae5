//! What a read leaves in GDAL's cache, which is one for the process: these tests have theirs to themselves, one at a time.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::{
    Barrier, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use gdal::{Dataset, raster::Buffer};
use swath_proto::{
    geometry::{SizePx, WindowPx},
    source::SourceSpec,
};
use swath_raster::{Block, Pixels, Raster, Settings, Source, configure};

mod files;
use files::{Folder, Tif, UTM33, half_metres};

const SIZE: (usize, usize) = (3000, 200);
const BANDS: [usize; 3] = [1, 2, 3];
const TILES: &[&str] = &["TILED=YES", "BLOCKXSIZE=128", "BLOCKYSIZE=64"];

fn value(band: usize, col: usize, row: usize) -> u8 {
    (band * 71 + col * 7 + row * 13 + col * row) as u8
}

fn used() -> i64 {
    // SAFETY: a plain getter.
    unsafe { gdal_sys::GDALGetCacheUsed64() }
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_rectangle_of_more_than_the_cache_is_read_in_parts_that_do_not_fill_it() {
    let _alone = one_at_a_time();
    configure(&Settings { cache_mib: 1 });
    let folder = Folder::new();
    let (width, height) = SIZE;
    let layouts: [&[&str]; 2] =
        [&["INTERLEAVE=PIXEL", "BLOCKYSIZE=3"], &[TILES, &["INTERLEAVE=PIXEL"]].concat()];
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

/// Each part, with its mask or alpha band, is a call of its own, and a mosaic's upper file is laid over part by part.
#[test]
fn what_is_read_once_is_the_same_and_leaves_nothing() {
    let _alone = one_at_a_time();
    configure(&Settings { cache_mib: 1 });
    let folder = Folder::new();
    let (width, height) = SIZE;
    let write = |name: &str, bands, layout: &[&str], at: [f64; 2], more: &dyn Fn(&mut Dataset)| {
        let options = [TILES, layout].concat();
        let [x, y] = [500_000.0 + at[0] / 2.0, 5_400_000.0 - at[1] / 2.0];
        let tif = Tif::new(width, height, bands).at(UTM33, half_metres(x, y)).options(&options);
        tif.write(&folder.path(name), value, more)
    };
    let nothing = |_: &mut Dataset| {};
    let with_nodata = |dataset: &mut Dataset| {
        dataset.rasterband(1).unwrap().set_no_data_value(Some(13.0)).unwrap();
    };
    let with_mask = |dataset: &mut Dataset| {
        let mut band = dataset.rasterband(1).unwrap();
        band.create_mask_band(true).unwrap();
        let plane = (0..width * height).map(|i| if i % 7 == 0 { 0 } else { 255 }).collect();
        band.open_mask_band().unwrap().write((0, 0), SIZE, &mut Buffer::new(SIZE, plane)).unwrap();
    };
    let origin = [0.0, 0.0];
    let by_band = write("bands.tif", 3, &["INTERLEAVE=BAND"], origin, &nothing);
    let by_pixel = write("pixels.tif", 3, &["INTERLEAVE=PIXEL"], origin, &nothing);
    let alpha = write("alpha.tif", 4, &["PHOTOMETRIC=RGB", "ALPHA=YES"], origin, &nothing);
    let masked = ["NO", "YES"].map(|is_inside| {
        gdal::config::set_thread_local_config_option("GDAL_TIFF_INTERNAL_MASK", is_inside).unwrap();
        write(&format!("masked-{is_inside}.tif"), 3, &["INTERLEAVE=PIXEL"], origin, &with_mask)
    });
    let [beside, inside] = masked;
    let above = write("above.tif", 3, &["INTERLEAVE=PIXEL"], [37.0, 11.0], &with_nodata);
    let window = WindowPx::new(-5, 7, width as u32, height as u32);
    let alone = [by_band.clone(), by_pixel, alpha, beside, inside].map(|file| vec![file]);
    for files in alone.into_iter().chain([vec![by_band, above]]) {
        let source = Source::open(&SourceSpec::new(files.clone())).unwrap();
        let before = used();
        let once = source.read_once(window).unwrap();
        assert_eq!(used(), before, "{files:?}: nothing is left");
        for (col, row) in (-5..2995).step_by(300).flat_map(|col| [7, 57, 107, 157].map(|row| (col, row))) {
            let small = source.read(WindowPx::new(col, row, 300, 50)).unwrap();
            assert_eq!(cut(&once, small.window), cut(&small, small.window), "{files:?}: {}", small.window);
        }
        assert!(used() > before, "{files:?}: what is small stays for its neighbour");
    }
}

/// Seen by a thread that looks all the time.
#[test]
fn what_is_read_once_is_never_in_the_cache_as_a_whole() {
    let _alone = one_at_a_time();
    // A part is 1 MiB at most; a row of tiles has 590 KB, and there are four.
    configure(&Settings { cache_mib: 8 });
    let folder = Folder::new();
    let options = [TILES, &["INTERLEAVE=PIXEL"]].concat();
    let tif = Tif::new(SIZE.0, SIZE.1, 3).options(&options);
    let file = tif.write(&folder.path("image.tif"), value, |_| {});
    let source = Source::open(&SourceSpec::new(vec![file])).unwrap();
    let window = WindowPx::new(0, 0, SIZE.0 as u32, SIZE.1 as u32);
    let before = used();
    let most_while = |read: &dyn Fn()| {
        let (is_over, both) = (AtomicBool::new(false), Barrier::new(2));
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                both.wait();
                let mut most = 0;
                while !is_over.load(Ordering::Relaxed) {
                    most = most.max(used() - before);
                }
                most.max(used() - before)
            });
            both.wait();
            (0..20).for_each(|_| read());
            is_over.store(true, Ordering::Relaxed);
            looking.join().unwrap()
        })
    };
    let most = most_while(&|| drop(source.read_once(window).unwrap()));
    assert!(most < 1 << 20, "{most} bytes");
    let most = most_while(&|| drop(source.read(window).unwrap()));
    assert!(most > 2 << 20, "{most} bytes of all of it, which is kept for neighbours");
}

/// Pixels and what is valid of them, sample by sample.
fn cut(block: &Block, window: WindowPx) -> (Vec<u8>, Vec<u8>) {
    let Pixels::U8(values) = &block.pixels else { panic!("bytes are read as bytes") };
    let mask = block.mask();
    let n = block.bands;
    let (mut pixels, mut valid) = (Vec::new(), Vec::new());
    for row in 0..window.height as usize {
        for col in 0..window.width as usize {
            let row = row + (window.row - block.window.row) as usize;
            let col = col + (window.col - block.window.col) as usize;
            let at = row * block.window.width as usize + col;
            pixels.extend(&values[at * n..at * n + n]);
            valid.extend((at * n..at * n + n).map(|sample| match &mask {
                None => 1,
                Some(mask) => mask.samples.as_ref().map_or(mask.pixels[at], |samples| samples[sample]),
            }));
        }
    }
    (pixels, valid)
}
