//! The layout of a cloud-optimised GeoTIFF whose tiles exist already: from their compressed sizes
//! alone, [`layout()`] makes all that stands before them, and says in which order they follow. The
//! file is then this header and runs of tiles, copied as they are.
//!
//! ```text
//! TIFF header
//! directory of the scene, its arrays        directories refer to tiles row by row,
//! directory of overview 1, its arrays       wherever these lie
//! ...
//! tiles of the smallest overview            each level in Z-order
//! ...
//! a cell: its tile of overview 3, those of 2 and 1 and of the scene itself, small levels first
//! the next cell, in Z-order                 see `pyramid::stretches`
//! ...
//! ```

mod directory;
mod layout;
mod read;
mod tag;

use swath_proto::geometry::SizePx;

pub use layout::{CogLayout, Format, Run, layout, layout_as};
pub use read::{BadTiff, Directory, directories, geo_tags};
pub use tag::Tag;

use crate::tiles::Coding;

/// All that decides a file, but for the content of its tiles. Bands have 8 bits and are
/// interleaved; tiles are as [`crate::tiles`] writes them.
#[derive(Clone, Debug, PartialEq)]
pub struct CogSpec {
    pub size: SizePx,
    /// A multiple of 16.
    pub block_px: u32,
    pub bands: u16,
    pub coding: Coding,
    pub color: Color,
    /// The value that stands for no data.
    pub nodata: Option<u8>,
    /// Where the file lies on the ground: see [`geo_tags`].
    pub geo: Vec<Tag>,
    pub metadata: Metadata,
    /// Compressed tile sizes for each of [`crate::pyramid::levels`], in Z-order.
    pub level_tile_sizes: Vec<Vec<u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Color {
    /// A single band of indices into at most 256 colours.
    Palette(Vec<[u8; 3]>),
    /// The first band is shown in grey; others are data.
    Gray,
}

/// What GDAL reads as metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Name and value.
    pub items: Vec<(String, String)>,
    /// Descriptions of the bands, from the first.
    pub band_names: Vec<String>,
    /// Name and value, for each of the bands.
    pub band_items: Vec<Vec<(String, String)>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCog {
    #[error("a raster of {} x {} px can't be written", .0.width, .0.height)]
    Size(SizePx),
    #[error("tiles of {0} px: the edge must be a multiple of 16")]
    Block(u32),
    #[error("{bands} bands do not go with {color}")]
    Bands { bands: u16, color: &'static str },
    #[error("level {level} has {wanted} tiles, but {got} sizes were given")]
    TileCount { level: usize, got: usize, wanted: u64 },
    #[error("a raster of this size has {wanted} levels, but {got} were given")]
    LevelCount { got: usize, wanted: usize },
    #[error("tag {0} is given twice, or is none of a place on the ground")]
    Tag(u16),
    #[error("a file of {0} bytes is too large for a classic TIFF")]
    TooLarge(u64),
}

impl Metadata {
    /// The XML of tag 42112; `None` where there is nothing to say.
    pub(crate) fn to_xml(&self) -> Option<String> {
        let has_items = self.band_items.iter().any(|items| !items.is_empty());
        if self.items.is_empty() && self.band_names.is_empty() && !has_items {
            return None;
        }
        let mut xml = String::from("<GDALMetadata>\n");
        for (name, value) in &self.items {
            xml += &format!("  <Item name=\"{}\">{}</Item>\n", escape(name), escape(value));
        }
        for (band, name) in self.band_names.iter().enumerate() {
            let name = escape(name);
            xml += &format!(
                "  <Item name=\"DESCRIPTION\" sample=\"{band}\" role=\"description\">{name}</Item>\n"
            );
        }
        for (band, items) in self.band_items.iter().enumerate() {
            for (name, value) in items {
                let (name, value) = (escape(name), escape(value));
                xml += &format!("  <Item name=\"{name}\" sample=\"{band}\">{value}</Item>\n");
            }
        }
        Some(xml + "</GDALMetadata>\n")
    }
}

/// For text and attributes. Control characters, which XML has no way to write, become spaces.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
