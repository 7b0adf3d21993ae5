//! From items to a file, in memory: `cargo run -p swath-geo --example cog -- FOLDER` cuts a made-up
//! scene of 5000 x 3777 px into items, packs each, puts the packs together and writes COGs of classes
//! and scores (and the raw planes, to hold them against). The bytes are the same for every item size.

use std::{error::Error, fs, path::Path};

use swath_geo::{
    cog::{CogSpec, Color, Format, Metadata, Tag, layout_as},
    grid::ItemGrid,
    pack::{self, CLASSES, EncodedProduct, Making, PackHeader, Product, SCORES},
    pyramid::{Reduction, Top, item_levels, n_levels},
    tally::Tally,
    tiles::{Coding, Predictor, Tiling},
};
use swath_proto::geometry::{RectPx, SizePx};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SIZE: SizePx = SizePx::new(5000, 3777);
const BLOCK_PX: u32 = 256;

fn class_at(col: u32, row: u32) -> u8 {
    match (col as i64 - 400).pow(2) + (row as i64 - 300).pow(2) {
        0..40_000 => 1,
        40_000..90_000 if (col / 8 + row / 8).is_multiple_of(2) => 2,
        _ => 0,
    }
}

fn scores_at(col: u32, row: u32) -> [u8; 3] {
    [(col / 4) as u8, (row / 4) as u8, class_at(col, row) * 100]
}

fn plane<const N: usize>(rect: RectPx, pixel: impl Fn(u32, u32) -> [u8; N]) -> Vec<u8> {
    let pixel = &pixel;
    (rect.row..rect.bottom())
        .flat_map(|row| (rect.col..rect.right()).flat_map(move |col| pixel(col, row)))
        .collect()
}

fn pack_of(rect: RectPx, levels: u32) -> Result<Vec<u8>> {
    let of = |name, plane, reduction, coding| {
        let making = Making { reduction, coding, nodata: None };
        EncodedProduct::of_plane(name, plane, rect.size(), BLOCK_PX, levels, making)
    };
    let plain = Coding::deflate(Predictor::None);
    let classes = of(CLASSES, plane(rect, |c, r| [class_at(c, r)]), Reduction::Mode, plain)?;
    let mean = Reduction::Mean { bands: 3 };
    let scores = of(SCORES, plane(rect, scores_at), mean, Coding::zstd(Predictor::Horizontal))?;
    Ok(pack::build(rect, BLOCK_PX, false, &[classes, scores])?)
}

/// One product of all packs as a file.
fn assemble(packs: &[Vec<u8>], name: &str, color: Color, from_items: u32, format: Format) -> Result<Vec<u8>> {
    let n_levels = n_levels(SIZE, BLOCK_PX) as usize;
    let mut streams: Vec<Vec<Vec<u8>>> = vec![Vec::new(); n_levels];
    let reduction = if name == CLASSES { Reduction::Mode } else { Reduction::Mean { bands: 3 } };
    let tiling = Tiling { size: SIZE, block_px: BLOCK_PX, bands: reduction.bands() };
    let mut top = Top::new(SIZE, BLOCK_PX, from_items - 1, reduction)?;
    let mut coding = Coding::deflate(Predictor::None);
    let mut tallies = vec![Tally::NOTHING; reduction.bands() as usize];
    for pack in packs {
        let header = PackHeader::parse(pack)?.ok_or("a pack is cut off")?;
        let Product { coding: of_pack, tallies: of_part, levels, .. } =
            header.product(name).ok_or("a product is missing")?;
        coding = *of_pack;
        tallies.iter_mut().zip(of_part).for_each(|(all, part)| *all = all.and(*part));
        for (level, part) in levels.iter().enumerate() {
            let tiles = part.tiles().map(|tile| pack[tile.start as usize..tile.end as usize].to_vec());
            streams[level].extend(tiles);
        }
        for range in levels[from_items as usize - 1].tiles() {
            let tile = tiling.decode(&pack[range.start as usize..range.end as usize], coding)?;
            for tile in top.push(&tile)? {
                streams[tile.level as usize].push(tiling.encode(tile.pixels, coding)?);
            }
        }
    }
    top.finish()?;
    let spec = CogSpec {
        size: SIZE,
        block_px: BLOCK_PX,
        bands: reduction.bands() as u16,
        coding,
        color,
        nodata: None,
        // UTM zone 33 north, half a metre a pixel.
        geo: vec![
            Tag::f64s(33550, &[0.5, 0.5, 0.0]),
            Tag::f64s(33922, &[0.0, 0.0, 0.0, 500_000.0, 5_400_000.0, 0.0]),
            Tag::u16s(34735, &[1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633]),
        ],
        metadata: Metadata {
            items: vec![("PRODUCT".into(), name.into())],
            band_names: vec![],
            band_items: tallies.iter().map(|tally| tally.statistics(SIZE.pixels())).collect(),
        },
        level_tile_sizes: streams
            .iter()
            .map(|level| level.iter().map(|tile| tile.len() as u32).collect())
            .collect(),
    };
    let cog = layout_as(&spec, format)?;
    let mut file = cog.header;
    for run in &cog.runs {
        file.extend(streams[run.level as usize][run.tiles.clone()].iter().flatten());
    }
    Ok(file)
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or("name a folder")?;
    let folder = Path::new(&folder);
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes);
    let mut first: Option<Vec<Vec<u8>>> = None;
    for item_px in [256, 1024, 4096] {
        let grid = ItemGrid::new(SIZE, item_px)?;
        let levels =
            item_levels(SIZE, item_px, BLOCK_PX).ok_or("items must be blocks times a power of two")?;
        let packs: Vec<_> = (0..grid.len())
            .filter_map(|i| grid.rect(i))
            .map(|r| pack_of(r, levels))
            .collect::<Result<_>>()?;
        let palette = || Color::Palette(vec![[0, 0, 0], [230, 60, 40], [60, 160, 70]]);
        let files = vec![
            assemble(&packs, CLASSES, palette(), levels, Format::Classic)?,
            assemble(&packs, CLASSES, palette(), levels, Format::Big)?,
            assemble(&packs, SCORES, Color::Gray, levels, Format::Classic)?,
        ];
        if first.get_or_insert_with(|| files.clone()) != &files {
            return Err(format!("items of {item_px} px make another file").into());
        }
    }
    for (name, file) in ["classes.tif", "classes-big.tif", "scores.tif"].iter().zip(first.iter().flatten()) {
        write(name, file)?;
    }
    let whole = RectPx::new(0, 0, SIZE.width, SIZE.height);
    write("classes.raw", &plane(whole, |c, r| [class_at(c, r)]))?;
    write("scores.raw", &plane(whole, scores_at))?;
    Ok(())
}
