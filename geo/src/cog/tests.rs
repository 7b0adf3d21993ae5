//! Files are put together from tiles and read back with the small reader.

use swath_proto::geometry::SizePx;

use super::*;
use crate::{
    cog::tag,
    pyramid::{Reduction, levels, reduce},
    tiles::{Predictor, Tiling},
};

const SIZE: SizePx = SizePx::new(1000, 777);

fn spec(level_tile_sizes: Vec<Vec<u32>>) -> CogSpec {
    CogSpec {
        size: SIZE,
        block_px: 256,
        bands: 1,
        coding: Coding::deflate(Predictor::None),
        color: Color::Palette(vec![[0, 0, 0], [255, 128, 1]]),
        nodata: Some(255),
        geo: vec![
            Tag::f64s(33922, &[0.0, 0.0, 0.0, 5e5, 54e5, 0.0]),
            Tag::f64s(33550, &[0.5, 0.5, 0.0]),
            Tag::u16s(34735, &[1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633]),
        ],
        metadata: Metadata {
            items: vec![("CLASSES".into(), "roof & <road>".into())],
            band_names: vec!["\"class\"".into()],
            band_items: vec![vec![("CLASS_1".into(), "a & b".into())]],
        },
        level_tile_sizes,
    }
}

fn numbers(directory: &Directory, code: u16) -> Vec<u64> {
    directory.tag(code).unwrap().whole_numbers().unwrap()
}

/// A plane as a whole file, and its levels as they should be read.
fn file_of(
    plane: &[u8],
    spec: &mut CogSpec,
    reduction: Reduction,
    format: Format,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut planes = vec![plane.to_vec()];
    let mut streams: Vec<Vec<Vec<u8>>> = Vec::new();
    for size in levels(spec.size, spec.block_px) {
        let tiling = Tiling { size, block_px: spec.block_px, bands: reduction.bands() };
        let plane = &planes[planes.len() - 1];
        streams.push(tiling.cut(plane).unwrap().map(|t| tiling.encode(t, spec.coding).unwrap()).collect());
        planes.push(reduce(plane, size, reduction));
    }
    planes.pop();
    spec.level_tile_sizes = streams.iter().map(|l| l.iter().map(|t| t.len() as u32).collect()).collect();
    let layout = layout_as(spec, format).unwrap();
    let mut file = layout.header.clone();
    for run in &layout.runs {
        assert_eq!(file.len() as u64, run.offset);
        file.extend(streams[run.level as usize][run.tiles.clone()].concat());
        assert_eq!(file.len() as u64, run.offset + run.len);
    }
    assert_eq!(file.len() as u64, layout.total_len);
    (file, planes)
}

/// The pixels of a directory, by way of its tile offsets alone.
fn pixels(file: &[u8], directory: &Directory) -> Vec<u8> {
    let one = |code| numbers(directory, code)[0] as usize;
    let (width, height, block) = (one(tag::IMAGE_WIDTH), one(tag::IMAGE_LENGTH), one(tag::TILE_WIDTH));
    let bands = one(tag::SAMPLES_PER_PIXEL);
    let predictor = match directory.tag(tag::PREDICTOR) {
        Some(_) => Predictor::Horizontal,
        None => Predictor::None,
    };
    let coding = match one(tag::COMPRESSION) {
        8 => Coding::deflate(predictor),
        50_000 => Coding::zstd(predictor),
        other => panic!("compression {other}"),
    };
    let tiling = Tiling {
        size: SizePx::new(width as u32, height as u32),
        block_px: block as u32,
        bands: bands as u32,
    };
    let mut plane = vec![0; width * height * bands];
    let ranges =
        numbers(directory, tag::TILE_OFFSETS).into_iter().zip(numbers(directory, tag::TILE_BYTE_COUNTS));
    for (i, (offset, len)) in ranges.enumerate() {
        let tile = tiling.decode(&file[offset as usize..(offset + len) as usize], coding).unwrap();
        let (col, row) = (i % width.div_ceil(block) * block, i / width.div_ceil(block) * block);
        for down in 0..block.min(height - row) {
            let len = block.min(width - col) * bands;
            plane[((row + down) * width + col) * bands..][..len]
                .copy_from_slice(&tile[down * block * bands..][..len]);
        }
    }
    plane
}

#[test]
fn every_level_reads_back_in_both_formats() {
    let bands = 3;
    let plane: Vec<u8> = (0..SIZE.pixels() as u32)
        .flat_map(|i| [(i % 1000 / 4) as u8, (i / 1000 / 4) as u8, (i % 251) as u8])
        .collect();
    for format in [Format::Classic, Format::Big] {
        let mut spec = spec(Vec::new());
        let (file, planes) = file_of(
            &plane.iter().step_by(3).map(|v| v / 64).collect::<Vec<_>>(),
            &mut spec,
            Reduction::Mode,
            format,
        );
        let found = directories(&file).unwrap();
        assert_eq!(found.len(), 3);
        for (directory, plane) in found.iter().zip(&planes) {
            assert!(pixels(&file, directory) == *plane);
        }

        let coding = match format {
            Format::Classic => Coding::deflate(Predictor::Horizontal),
            Format::Big => Coding::zstd(Predictor::Horizontal),
        };
        spec = CogSpec { bands: 3, coding, color: Color::Gray, ..spec };
        let (file, planes) = file_of(&plane, &mut spec, Reduction::Mean { bands }, format);
        for (directory, plane) in directories(&file).unwrap().iter().zip(&planes) {
            assert!(pixels(&file, directory) == *plane);
            assert_eq!(numbers(directory, tag::EXTRA_SAMPLES), [0, 0]);
            assert_eq!(numbers(directory, tag::BITS_PER_SAMPLE), [8, 8, 8]);
        }
    }
}

#[test]
fn directories_come_first_and_small_overviews_before_large_ones() {
    let tiles = vec![vec![100; 16], vec![50; 4], vec![7]];
    let cog = layout(&spec(tiles.clone())).unwrap();
    assert_eq!(cog.format, Format::Classic);
    assert_eq!(cog.header.len() % 16, 0);
    let found = directories(&cog.header).unwrap();
    assert_eq!(found[0].offset, 8);
    assert!(found.is_sorted_by_key(|d| d.offset));
    let starts: Vec<_> =
        cog.runs.iter().map(|run| (run.level, run.offset - cog.header.len() as u64, run.len)).collect();
    assert_eq!(starts, [(2, 0, 7), (1, 7, 200), (0, 207, 1600)]);
    assert_eq!(cog.total_len, cog.header.len() as u64 + 1807);
    let subfiles: Vec<_> = found.iter().map(|d| numbers(d, tag::NEW_SUBFILE_TYPE)[0]).collect();
    assert_eq!(subfiles, [0, 1, 1]);
    for directory in &found {
        assert!(directory.tags.is_sorted_by_key(|tag| tag.code));
    }
    // Row by row in the directory: the second tile of the second row is the fourth of the run.
    let offsets = numbers(&found[0], tag::TILE_OFFSETS);
    assert_eq!(offsets[5], cog.header.len() as u64 + 207 + 300);
    assert_eq!(offsets[2], cog.header.len() as u64 + 207 + 400);
    assert_eq!(layout(&spec(tiles)), Ok(cog));
}

#[test]
fn a_large_scene_stands_cell_by_cell_behind_its_smallest_levels() {
    let size = SizePx::new(5000, 3000);
    let tiles: Vec<Vec<u32>> = levels(size, 256)
        .iter()
        .map(|size| vec![10; (size.width.div_ceil(256) * size.height.div_ceil(256)) as usize])
        .collect();
    let cog = layout(&CogSpec { size, level_tile_sizes: tiles, ..spec(Vec::new()) }).unwrap();
    let levels: Vec<_> = cog.runs.iter().map(|run| run.level).collect();
    // Six cells of 2,048 px.
    assert_eq!(levels, [vec![5, 4], [3, 2, 1, 0].repeat(6)].concat());
    assert!(cog.runs.is_sorted_by(|a, b| a.offset + a.len == b.offset));
    // Readers are promised that the first tile of a level stands behind that of the level above.
    let firsts: Vec<_> = directories(&cog.header)
        .unwrap()
        .iter()
        .map(|directory| numbers(directory, tag::TILE_OFFSETS)[0])
        .collect();
    assert!(firsts.is_sorted_by(|a, b| a > b), "{firsts:?}");
}

#[test]
fn place_palette_and_words_are_written_once() {
    let cog = layout(&spec(vec![vec![100; 16], vec![50; 4], vec![7]])).unwrap();
    let found = directories(&cog.header).unwrap();
    let mut wanted = spec(Vec::new()).geo;
    wanted.sort_by_key(|tag| tag.code);
    assert_eq!(geo_tags(&cog.header).unwrap(), wanted);
    assert!(found[1..].iter().all(|d| d.tags.iter().all(|tag| !tag::GEO.contains(&tag.code))));
    let xml = String::from_utf8(found[0].tag(tag::GDAL_METADATA).unwrap().bytes.clone()).unwrap();
    assert!(xml.contains("<Item name=\"CLASSES\">roof &amp; &lt;road&gt;</Item>"), "{xml}");
    assert!(xml.contains("<Item name=\"CLASS_1\" sample=\"0\">a &amp; b</Item>"), "{xml}");
    assert!(xml.contains("sample=\"0\" role=\"description\">&quot;class&quot;</Item>"), "{xml}");
    assert_eq!(found[2].tag(tag::GDAL_NODATA).unwrap().bytes, b"255\0");
    let map = numbers(&found[2], tag::COLOR_MAP);
    assert_eq!((map.len(), map[1], map[257], map[513]), (768, 65_535, 128 * 257, 257));
}

#[test]
fn a_file_near_4_gib_becomes_a_bigtiff() {
    let gib = 1 << 30;
    let of = |last: u32| {
        let mut sizes = vec![1; 16];
        sizes[..3].fill(gib);
        sizes[15] = last;
        layout(&spec(vec![sizes, vec![50; 4], vec![7]])).unwrap()
    };
    assert_eq!(of(gib - (2 << 20)).format, Format::Classic);
    let big = of(gib);
    assert_eq!((big.format, big.header[2]), (Format::Big, 43));
    let found = directories(&big.header).unwrap();
    assert_eq!(found[0].offset, 16);
    assert_eq!(numbers(&found[0], tag::TILE_OFFSETS)[15], big.total_len - u64::from(gib));
    assert_eq!(big.runs[2].len, 4 * u64::from(gib) + 12);
    assert_eq!(big.total_len, 4 * u64::from(gib) + 12 + 207 + big.header.len() as u64);
    let classic = layout_as(
        &CogSpec { level_tile_sizes: vec![vec![gib; 16], vec![1; 4], vec![1]], ..spec(vec![]) },
        Format::Classic,
    );
    assert!(matches!(classic, Err(BadCog::TooLarge(_))));
}

#[test]
fn a_spec_that_does_not_add_up_is_refused() {
    let good = spec(vec![vec![100; 16], vec![50; 4], vec![7]]);
    let bad = |change: &dyn Fn(&mut CogSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        layout(&spec).is_err()
    };
    assert!(!bad(&|_| {}));
    assert!(bad(&|s| s.block_px = 250));
    assert!(bad(&|s| s.block_px = 0));
    assert!(bad(&|s| s.size.width = 0));
    assert!(bad(&|s| s.bands = 2));
    assert!(bad(&|s| s.color = Color::Palette(vec![[0; 3]; 257])));
    assert!(bad(&|s| s.level_tile_sizes[0].truncate(15)));
    assert!(bad(&|s| s.level_tile_sizes.truncate(2)));
    assert!(bad(&|s| s.geo.push(s.geo[0].clone())));
    assert!(bad(&|s| s.geo[0].code = 256));
    assert!(bad(&|s| s.geo[0].count = 3));
}

#[test]
fn a_broken_tiff_is_refused_and_never_panics() {
    let header = layout(&spec(vec![vec![100; 16], vec![50; 4], vec![7]])).unwrap().header;
    assert_eq!(geo_tags(b"MM\0*"), Err(BadTiff::Signature));
    assert!(geo_tags(b"").is_err());
    for len in 0..header.len() / 2 {
        assert!(directories(&header[..len]).is_err(), "{len} bytes");
    }
    for at in 4..header.len() {
        let mut broken = header.clone();
        broken[at] = 255;
        let _ = directories(&broken);
    }
    let mut circle = header.clone();
    let found = directories(&header).unwrap();
    let next = found[0].offset as usize + 2 + 12 * found[0].tags.len();
    circle[next..next + 4].copy_from_slice(&(found[0].offset as u32).to_le_bytes());
    assert_eq!(directories(&circle), Err(BadTiff::TooMany));
}
