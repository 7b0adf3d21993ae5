//! The tags of one level.

use swath_proto::{geometry::SizePx, item::Compression};

use super::{
    BadCog, CogSpec, Color,
    layout::Format,
    tag::{self, Tag},
};
use crate::{morton::ZOrder, tiles::Predictor};

const ZLIB: u16 = 8;
/// No word of TIFF's own; libtiff and GDAL know it.
const ZSTD: u16 = 50_000;
const PALETTE: u16 = 3;
const MIN_IS_BLACK: u16 = 1;
const UNSIGNED: u16 = 1;
const REDUCED: u32 = 1;

/// The tags of a level, in the order of their codes. `offsets` are those of its tiles in Z-order.
pub(super) fn tags(spec: &CogSpec, level: usize, size: SizePx, offsets: &[u64], format: Format) -> Vec<Tag> {
    let bands = usize::from(spec.bands);
    let compression = match spec.coding.compression {
        Compression::Deflate => ZLIB,
        Compression::Zstd => ZSTD,
    };
    let order = ZOrder::new(size.width.div_ceil(spec.block_px), size.height.div_ceil(spec.block_px));
    let offsets = row_by_row(order, offsets);
    let mut tags = vec![
        Tag::u32s(tag::NEW_SUBFILE_TYPE, &[if level == 0 { 0 } else { REDUCED }]),
        Tag::u32s(tag::IMAGE_WIDTH, &[size.width]),
        Tag::u32s(tag::IMAGE_LENGTH, &[size.height]),
        Tag::u16s(tag::BITS_PER_SAMPLE, &vec![8; bands]),
        Tag::u16s(tag::COMPRESSION, &[compression]),
        Tag::u16s(tag::SAMPLES_PER_PIXEL, &[spec.bands]),
        Tag::u16s(tag::PLANAR_CONFIGURATION, &[1]),
        Tag::u32s(tag::TILE_WIDTH, &[spec.block_px]),
        Tag::u32s(tag::TILE_LENGTH, &[spec.block_px]),
        match format {
            // Layout sees to it that no offset of a classic file is larger.
            Format::Classic => {
                Tag::u32s(tag::TILE_OFFSETS, &offsets.iter().map(|&o| o as u32).collect::<Vec<_>>())
            }
            Format::Big => Tag::u64s(tag::TILE_OFFSETS, &offsets),
        },
        Tag::u32s(tag::TILE_BYTE_COUNTS, &row_by_row(order, &spec.level_tile_sizes[level])),
        Tag::u16s(tag::SAMPLE_FORMAT, &vec![UNSIGNED; bands]),
    ];
    match &spec.color {
        Color::Palette(colors) => {
            tags.push(Tag::u16s(tag::PHOTOMETRIC, &[PALETTE]));
            tags.push(Tag::u16s(tag::COLOR_MAP, &color_map(colors)));
        }
        Color::Gray => {
            tags.push(Tag::u16s(tag::PHOTOMETRIC, &[MIN_IS_BLACK]));
            if bands > 1 {
                tags.push(Tag::u16s(tag::EXTRA_SAMPLES, &vec![0; bands - 1]));
            }
        }
    }
    if spec.coding.predictor == Predictor::Horizontal {
        tags.push(Tag::u16s(tag::PREDICTOR, &[2]));
    }
    if let Some(nodata) = spec.nodata {
        tags.push(Tag::text(tag::GDAL_NODATA, &nodata.to_string()));
    }
    if level == 0 {
        tags.extend(spec.geo.iter().cloned());
        tags.extend(spec.metadata.to_xml().map(|xml| Tag::text(tag::GDAL_METADATA, &xml)));
    }
    tags.sort_by_key(|tag| tag.code);
    tags
}

fn row_by_row<T: Copy + Default>(order: ZOrder, in_z_order: &[T]) -> Vec<T> {
    let mut out = vec![T::default(); in_z_order.len()];
    for ((col, row), &value) in order.iter().zip(in_z_order) {
        out[row as usize * order.cols as usize + col as usize] = value;
    }
    out
}

/// All reds, all greens, all blues, as 16 bits.
fn color_map(colors: &[[u8; 3]]) -> Vec<u16> {
    let mut map = vec![0; 3 * 256];
    for (index, rgb) in colors.iter().enumerate() {
        for (channel, &value) in rgb.iter().enumerate() {
            map[channel * 256 + index] = u16::from(value) * 257;
        }
    }
    map
}

pub(super) fn check(spec: &CogSpec, sizes: &[SizePx]) -> Result<(), BadCog> {
    const LIMIT: u32 = 1 << 31;
    if spec.block_px == 0 || !spec.block_px.is_multiple_of(16) {
        return Err(BadCog::Block(spec.block_px));
    }
    if !(1..LIMIT).contains(&spec.size.width) || !(1..LIMIT).contains(&spec.size.height) {
        return Err(BadCog::Size(spec.size));
    }
    match &spec.color {
        Color::Palette(colors) if spec.bands != 1 || colors.len() > 256 => {
            return Err(BadCog::Bands {
                bands: spec.bands,
                color: "a palette, which has 1 band and 256 colours",
            });
        }
        Color::Gray if spec.bands == 0 => return Err(BadCog::Bands { bands: 0, color: "grey" }),
        _ => {}
    }
    for (i, tag) in spec.geo.iter().enumerate() {
        let again = spec.geo[..i].iter().any(|other| other.code == tag.code);
        if again || !tag::GEO.contains(&tag.code) || !tag.adds_up() {
            return Err(BadCog::Tag(tag.code));
        }
    }
    if spec.level_tile_sizes.len() != sizes.len() {
        return Err(BadCog::LevelCount { got: spec.level_tile_sizes.len(), wanted: sizes.len() });
    }
    for (level, (size, tiles)) in sizes.iter().zip(&spec.level_tile_sizes).enumerate() {
        let wanted =
            u64::from(size.width.div_ceil(spec.block_px)) * u64::from(size.height.div_ceil(spec.block_px));
        if tiles.len() as u64 != wanted {
            return Err(BadCog::TileCount { level, got: tiles.len(), wanted });
        }
    }
    Ok(())
}
