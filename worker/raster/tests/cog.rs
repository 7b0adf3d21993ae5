//! Files that we lay out ourselves, as GDAL reads them: block by block the pixels of a file that GDAL has written
//! from the same array, in either compression; and what they say of themselves is what GDAL finds.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

use gdal::{
    Dataset, DriverManager, Metadata as _,
    raster::{Buffer, RasterBand, RasterCreationOptions},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use swath_geo::{
    cog::{CogSpec, Color, Format, Metadata, layout, layout_as},
    pack::{CLASSES, EncodedProduct, Making},
    pyramid::{Reduction, levels, n_levels, reduce},
    tally::Tally,
    tiles::{Coding, Predictor, Tiling},
};
use swath_proto::geometry::SizePx;

/// Several cells of 2,048 px, and edges that are no multiple of anything.
const SIZE: SizePx = SizePx::new(5003, 2301);
const BLOCK_PX: u32 = 256;
const BANDS: usize = 3;

/// Blobs of classes, and no data in a corner.
fn map() -> Vec<u8> {
    let class = |col: u32, row: u32| match (col / 37 + row / 53) % 5 {
        _ if col + row < 900 => 255,
        0 => 2,
        1 | 2 => 1,
        _ => 0,
    };
    (0..SIZE.height).flat_map(|row| (0..SIZE.width).map(move |col| class(col, row))).collect()
}

fn scores() -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(6);
    let pixel = |at: u32| [(at / 3000) as u8, (at % SIZE.width / 20) as u8, rng.random_range(100..110)];
    (0..SIZE.pixels() as u32).flat_map(pixel).collect()
}

/// A whole plane as a finished file, and what it holds level by level.
fn write(path: &Path, plane: &[u8], making: Making, format: Format) -> Vec<Vec<u8>> {
    let n = n_levels(SIZE, BLOCK_PX);
    let product = EncodedProduct::of_plane(CLASSES, plane.to_vec(), SIZE, BLOCK_PX, n, making).unwrap();
    let bands = making.reduction.bands();
    let spec = CogSpec {
        size: SIZE,
        block_px: BLOCK_PX,
        bands: bands as u16,
        coding: making.coding,
        color: if bands == 1 { Color::Palette(vec![[0; 3], [9, 8, 7], [1, 2, 3]]) } else { Color::Gray },
        nodata: making.nodata,
        geo: Vec::new(),
        metadata: Metadata {
            band_items: product.tallies.iter().map(|tally| tally.statistics(SIZE.pixels())).collect(),
            ..Metadata::default()
        },
        level_tile_sizes: product
            .levels
            .iter()
            .map(|level| level.iter().map(|tile| tile.len() as u32).collect())
            .collect(),
    };
    let cog = layout_as(&spec, format).unwrap();
    let mut file = cog.header;
    for run in cog.runs {
        file.extend(product.levels[run.level as usize][run.tiles].iter().flatten());
    }
    std::fs::write(path, file).unwrap();
    let sizes = levels(SIZE, BLOCK_PX);
    let above = |plane: &Vec<u8>, size: &SizePx| Some(reduce(plane, *size, making.reduction));
    let mut planes = vec![plane.to_vec()];
    for size in &sizes[..sizes.len() - 1] {
        planes.extend(above(&planes[planes.len() - 1], size));
    }
    planes
}

/// GDAL's own file of the same array.
fn reference(path: &Path, plane: &[u8], bands: usize, compression: &str, nodata: Option<u8>) -> Dataset {
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let options = RasterCreationOptions::from_iter([
        "TILED=YES",
        "BLOCKXSIZE=256",
        "BLOCKYSIZE=256",
        "INTERLEAVE=PIXEL",
        "PREDICTOR=2",
        compression,
    ]);
    let (width, height) = (SIZE.width as usize, SIZE.height as usize);
    let created = driver.create_with_band_type_with_options::<u8, _>(path, width, height, bands, &options);
    let dataset = created.unwrap();
    for band in 0..bands {
        let values: Vec<u8> = plane.iter().skip(band).step_by(bands).copied().collect();
        let mut of_file = dataset.rasterband(band + 1).unwrap();
        of_file.set_no_data_value(nodata.map(f64::from)).unwrap();
        of_file.write((0, 0), (width, height), &mut Buffer::new((width, height), values)).unwrap();
    }
    dataset.close().unwrap();
    Dataset::open(path).unwrap()
}

/// The pixels of a block, cut off at the edge.
fn block(band: &RasterBand<'_>, col: usize, row: usize) -> Vec<u8> {
    let (width, height) = band.size();
    let at = (col * 256, row * 256);
    let size = (256.min(width - at.0), 256.min(height - at.1));
    band.read_as::<u8>((at.0 as isize, at.1 as isize), size, size, None).unwrap().data().to_vec()
}

fn assert_same_blocks(ours: &Dataset, theirs: &Dataset) {
    assert_eq!(ours.raster_size(), theirs.raster_size());
    for number in 1..=theirs.raster_count() {
        let (ours, theirs) = (ours.rasterband(number).unwrap(), theirs.rasterband(number).unwrap());
        assert_eq!(ours.block_size(), theirs.block_size());
        let (width, height) = theirs.size();
        for row in 0..height.div_ceil(256) {
            for col in 0..width.div_ceil(256) {
                assert!(block(&ours, col, row) == block(&theirs, col, row), "band {number}, {col}, {row}");
            }
        }
    }
}

/// Every overview is by our own rule: that of GDAL breaks ties and rounds otherwise.
fn assert_levels(ours: &Dataset, planes: &[Vec<u8>], bands: usize) {
    for number in 0..bands {
        let band = ours.rasterband(number + 1).unwrap();
        assert_eq!(band.overview_count().unwrap() as usize, planes.len() - 1);
        for (level, plane) in planes.iter().enumerate().skip(1) {
            let overview = band.overview(level - 1).unwrap();
            let size = overview.size();
            let found = overview.read_as::<u8>((0, 0), size, size, None).unwrap();
            let wanted: Vec<u8> = plane.iter().skip(number).step_by(bands).copied().collect();
            assert!(found.data() == wanted, "band {number}, level {level}");
        }
    }
}

fn assert_statistics(ours: &Dataset, theirs: &Dataset) {
    for number in 1..=theirs.raster_count() {
        let (ours, theirs) = (ours.rasterband(number).unwrap(), theirs.rasterband(number).unwrap());
        let said = |name: &str| -> f64 {
            ours.metadata_item(&format!("STATISTICS_{name}"), "").unwrap().parse().unwrap()
        };
        let found = theirs.get_statistics(true, false).unwrap().unwrap();
        for (name, wanted) in
            [("MINIMUM", found.min), ("MAXIMUM", found.max), ("MEAN", found.mean), ("STDDEV", found.std_dev)]
        {
            assert!((said(name) - wanted).abs() <= 1e-9 * wanted.abs(), "{name}: {} {wanted}", said(name));
        }
        // Those that the file says are found without reading a pixel.
        let told = ours.get_statistics(false, false).unwrap().unwrap();
        assert_eq!((told.min, told.max), (found.min, found.max));
    }
}

#[test]
fn gdal_decodes_the_blocks_that_it_would_have_written_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (map, scores) = (map(), scores());
    let mean = Reduction::Mean { bands: BANDS as u32 };
    for (name, of) in [("DEFLATE", Coding::deflate as fn(Predictor) -> Coding), ("ZSTD", Coding::zstd)] {
        for format in [Format::Classic, Format::Big] {
            let path = |what: &str| folder.path().join(format!("{what}-{name}-{format:?}.tif"));
            let compression = format!("COMPRESS={name}");
            let making =
                Making { reduction: Reduction::Mode, coding: of(Predictor::None), nodata: Some(255) };
            let planes = write(&path("map"), &map, making, format);
            let ours = Dataset::open(path("map")).unwrap();
            let theirs = reference(&path("map-of-gdal"), &map, 1, &compression, Some(255));
            assert_eq!(ours.rasterband(1).unwrap().no_data_value(), Some(255.0));
            assert_eq!(ours.metadata_item("COMPRESSION", "IMAGE_STRUCTURE").as_deref(), Some(name));
            assert_same_blocks(&ours, &theirs);
            assert_levels(&ours, &planes, 1);
            assert_statistics(&ours, &theirs);

            let making = Making { reduction: mean, coding: of(Predictor::Horizontal), nodata: None };
            let planes = write(&path("scores"), &scores, making, format);
            let ours = Dataset::open(path("scores")).unwrap();
            let theirs = reference(&path("scores-of-gdal"), &scores, BANDS, &compression, None);
            assert_same_blocks(&ours, &theirs);
            assert_levels(&ours, &planes, BANDS);
            assert_statistics(&ours, &theirs);
        }
    }
}

/// With holes where tiles of a gibibyte are said to lie: what stands behind them is found.
#[test]
fn gdal_reads_tiles_beyond_4_gib() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.tif");
    let size = SizePx::new(1000, 1000);
    let tiling = Tiling { size, block_px: BLOCK_PX, bands: 1 };
    let coding = Coding::zstd(Predictor::Horizontal);
    let tile: Vec<u8> = (0..tiling.tile_len()).map(|at| (at / 256 + at % 251) as u8).collect();
    let stream = tiling.encode(tile.clone(), coding).unwrap();
    let mut sizes = vec![16; 16];
    sizes[..6].fill(1 << 30);
    sizes[12] = stream.len() as u32;
    let spec = CogSpec {
        size,
        block_px: BLOCK_PX,
        bands: 1,
        coding,
        color: Color::Gray,
        nodata: None,
        geo: Vec::new(),
        metadata: Metadata {
            band_items: vec![Tally::of_bands(&tile, 1)[0].statistics(1)],
            ..Metadata::default()
        },
        level_tile_sizes: vec![sizes.clone(), vec![16; 4], vec![16]],
    };
    let cog = layout(&spec).unwrap();
    assert_eq!(cog.format, Format::Big);
    let file = File::create(&path).unwrap();
    file.set_len(cog.total_len).unwrap();
    file.write_all_at(&cog.header, 0).unwrap();
    let run = cog.runs.last().unwrap();
    let at = run.offset + sizes[..12].iter().map(|size| u64::from(*size)).sum::<u64>();
    assert!(at > 6 << 30);
    file.write_all_at(&stream, at).unwrap();
    // The thirteenth in Z-order is the third of the third row.
    let dataset = Dataset::open(&path).unwrap();
    assert!(block(&dataset.rasterband(1).unwrap(), 2, 2) == tile);
}
