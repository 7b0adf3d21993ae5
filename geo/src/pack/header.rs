//! A pack's header, read with suspicion: it comes from a store that others can write to.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use swath_proto::{geometry::RectPx, item::Compression};

use crate::{
    pyramid::{Stretch, level_size, stretches},
    tally::Tally,
    tiles::{Coding, Predictor, Tiling},
};

pub(super) const MAGIC: &[u8; 8] = b"swathpk\0";
/// The tiles of version 1 stand level by level, the finest first.
const LEVEL_BY_LEVEL: u32 = 1;
pub(super) const VERSION: u32 = 2;
/// Magic, version and length of the header.
const FIXED_LEN: usize = 16;

/// A header of a million tiles takes some 6 MB.
const MAX_HEADER_LEN: u32 = 16 << 20;
const MAX_PRODUCTS: usize = 16;
const MAX_NAME_LEN: usize = 64;
const MAX_LEVELS: usize = 32;
const MAX_BANDS: u32 = 256;
const MAX_BLOCK_PX: u32 = 8192;
const MAX_FAR_EDGE: u64 = 1 << 31;

#[derive(Debug, thiserror::Error)]
pub enum BadPack {
    #[error("this is no pack of tiles")]
    Magic,
    #[error("version {0} of the pack is not known; this program reads versions 1 to {VERSION}")]
    Version(u32),
    #[error("a header of {0} bytes; at most {MAX_HEADER_LEN} are read")]
    HeaderLength(usize),
    #[error("the header of a pack can't be read: {0}")]
    Json(#[source] serde_json::Error),
    #[error("the header of a pack does not add up: {0}")]
    Inconsistent(String),
}

/// The JSON of both versions; version 1 knows but one compression, and no tallies.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) rect: RectPx,
    pub(super) block_px: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_blank: bool,
    pub(super) products: Vec<HeaderProduct>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderProduct {
    pub(super) name: String,
    pub(super) bands: u32,
    #[serde(default, skip_serializing_if = "Compression::is_default")]
    pub(super) compression: Compression,
    pub(super) predictor: Predictor,
    /// One a band.
    #[serde(default)]
    pub(super) tallies: Vec<Tally>,
    /// Compressed tile sizes by level, in Z-order.
    pub(super) levels: Vec<Vec<u64>>,
}

/// A header that adds up: every level has a size for each of its tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackHeader {
    /// The item's place in its scene.
    pub rect: RectPx,
    pub block_px: u32,
    /// No pixel of it counted: all are missing, or outside the area of interest.
    pub is_blank: bool,
    header_len: u64,
    total_len: u64,
    products: Vec<Product>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    pub name: String,
    pub bands: u32,
    pub coding: Coding,
    /// One a band; none of a pack of version 1.
    pub tallies: Vec<Tally>,
    /// The finest first.
    pub levels: Vec<Level>,
}

/// The tiles of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Compressed, in Z-order.
    pub tile_sizes: Vec<u32>,
    /// Where each begins in the pack.
    starts: Vec<u64>,
}

impl Level {
    /// Where each tile lies in the pack, in Z-order.
    pub fn tiles(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        let tiles = self.starts.iter().zip(&self.tile_sizes);
        tiles.map(|(&start, &size)| start..start + u64::from(size))
    }

    /// Where such tiles lie in the pack: in few ranges, since they stand together.
    pub fn bytes(&self, tiles: Range<usize>) -> Vec<Range<u64>> {
        let mut out: Vec<Range<u64>> = Vec::new();
        let starts = self.starts.get(tiles.clone()).unwrap_or_default();
        let sizes = self.tile_sizes.get(tiles).unwrap_or_default();
        for (&start, &size) in starts.iter().zip(sizes) {
            let tile = start..start + u64::from(size);
            match out.last_mut() {
                Some(last) if last.end == tile.start => last.end = tile.end,
                _ => out.push(tile),
            }
        }
        out
    }
}

impl PackHeader {
    /// Reads the header from the first bytes of a pack. `None`: there are not enough of them;
    /// [`PackHeader::bytes_wanted`] says how many it takes.
    pub fn parse(prefix: &[u8]) -> Result<Option<Self>, BadPack> {
        let wanted = Self::bytes_wanted(prefix)?;
        if wanted > prefix.len() as u64 {
            return Ok(None);
        }
        let json = &prefix[FIXED_LEN..wanted as usize];
        let header = serde_json::from_slice(json).map_err(BadPack::Json)?;
        Self::check(header, json.len(), u32::from(prefix[MAGIC.len()])).map(Some)
    }

    /// How long a prefix [`PackHeader::parse`] needs, so far as this one tells.
    pub fn bytes_wanted(prefix: &[u8]) -> Result<u64, BadPack> {
        let known = prefix.len().min(MAGIC.len());
        if prefix[..known] != MAGIC[..known] {
            return Err(BadPack::Magic);
        }
        let Some((fixed, _)) = prefix.split_first_chunk::<FIXED_LEN>() else {
            return Ok(FIXED_LEN as u64);
        };
        let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        match (word(8), word(12)) {
            (LEVEL_BY_LEVEL | VERSION, len @ 0..=MAX_HEADER_LEN) => Ok(FIXED_LEN as u64 + u64::from(len)),
            (LEVEL_BY_LEVEL | VERSION, len) => Err(BadPack::HeaderLength(len as usize)),
            (version, _) => Err(BadPack::Version(version)),
        }
    }

    pub(super) fn check(header: Header, json_len: usize, version: u32) -> Result<Self, BadPack> {
        let bad = |text: String| Err(BadPack::Inconsistent(text));
        let Header { rect, block_px, is_blank, products } = header;
        if json_len > MAX_HEADER_LEN as usize {
            return Err(BadPack::HeaderLength(json_len));
        }
        let far = |at: u32, len: u32| len > 0 && u64::from(at) + u64::from(len) <= MAX_FAR_EDGE;
        if !far(rect.col, rect.width) || !far(rect.row, rect.height) {
            return bad("a rectangle that is empty or too far out".into());
        }
        if !(1..=MAX_BLOCK_PX).contains(&block_px) {
            return bad(format!("tiles of {block_px} px"));
        }
        if !(1..=MAX_PRODUCTS).contains(&products.len()) {
            return bad(format!("{} products", products.len()));
        }
        let mut at = (FIXED_LEN + json_len) as u64;
        let header_len = at;
        let mut checked: Vec<Product> = Vec::new();
        for HeaderProduct { name, bands, compression, predictor, tallies, levels } in products {
            if !(1..=MAX_NAME_LEN).contains(&name.len()) || checked.iter().any(|p| p.name == name) {
                return bad(format!(
                    "a product named '{}'",
                    name.chars().take(MAX_NAME_LEN).collect::<String>()
                ));
            }
            if !(1..=MAX_BANDS).contains(&bands) || !(1..=MAX_LEVELS).contains(&levels.len()) {
                return bad(format!("'{name}' has {bands} bands and {} levels", levels.len()));
            }
            let wanted = if version == LEVEL_BY_LEVEL { 0 } else { bands as usize };
            if tallies.len() != wanted {
                return bad(format!("'{name}' has {bands} bands and {} tallies", tallies.len()));
            }
            let coding = Coding { compression, predictor };
            let mut product = Product { name, bands, coding, tallies, levels: Vec::new() };
            for (number, sizes) in levels.into_iter().enumerate() {
                let tiling = Tiling { size: level_size(rect.size(), number as u32), block_px, bands };
                match Level::check(&tiling, &sizes) {
                    Some(level) => product.levels.push(level),
                    None => return bad(format!("the tiles of level {number} of '{}'", product.name)),
                }
            }
            let n_levels = product.levels.len() as u32;
            if version == LEVEL_BY_LEVEL {
                for level in &mut product.levels {
                    at = level.place(0..level.tile_sizes.len(), at);
                }
            } else {
                for Stretch { level, tiles } in stretches(rect.size(), block_px, n_levels) {
                    at = product.levels[level as usize].place(tiles, at);
                }
            }
            checked.push(product);
        }
        Ok(Self { rect, block_px, is_blank, header_len, total_len: at, products: checked })
    }

    pub fn products(&self) -> &[Product] {
        &self.products
    }

    pub fn product(&self, name: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.name == name)
    }

    /// Where the tiles begin.
    pub const fn header_len(&self) -> u64 {
        self.header_len
    }

    /// Length of the whole pack.
    pub const fn total_len(&self) -> u64 {
        self.total_len
    }
}

impl Level {
    /// One size for each tile, none 0 and none larger than compression could make it.
    fn check(tiling: &Tiling, sizes: &[u64]) -> Option<Self> {
        let limit = 2 * tiling.tile_len() as u64 + 1024;
        if sizes.len() as u64 != tiling.order().len() || sizes.iter().any(|&size| size == 0 || size > limit) {
            return None;
        }
        let tile_sizes = sizes.iter().map(|&size| u32::try_from(size).ok()).collect::<Option<Vec<_>>>()?;
        Some(Self { starts: vec![0; tile_sizes.len()], tile_sizes })
    }

    /// Puts tiles one behind the other, and returns where they end.
    fn place(&mut self, tiles: Range<usize>, mut at: u64) -> u64 {
        for (start, &size) in self.starts[tiles.clone()].iter_mut().zip(&self.tile_sizes[tiles]) {
            *start = at;
            at += u64::from(size);
        }
        at
    }
}
