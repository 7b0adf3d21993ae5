//! Where everything stands in the file. The place of the directories follows from the number of
//! tiles, that of the tiles from their sizes; so the same tiles give the same file.

use std::ops::Range;

use super::{BadCog, CogSpec, directory, tag::Tag};
use crate::pyramid::{Stretch, levels, stretches};

/// A classic file keeps this distance to 4 GiB, so that programs may still add to it.
const CLASSIC_LIMIT: u64 = (4 << 30) - (1 << 20);

/// The tiles begin at a multiple of this.
const DATA_ALIGNMENT: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Offsets of 32 bits.
    Classic,
    /// Offsets of 64 bits.
    Big,
}

/// A file: `header`, then `runs`, nothing between and nothing after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CogLayout {
    pub format: Format,
    pub header: Vec<u8>,
    /// In the order of [`stretches`].
    pub runs: Vec<Run>,
    pub total_len: u64,
}

/// Tiles of one level, in Z-order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub level: u32,
    pub tiles: Range<usize>,
    /// From the beginning of the file.
    pub offset: u64,
    pub len: u64,
}

/// Lays out a file: classic where it fits, BigTIFF where it does not.
pub fn layout(spec: &CogSpec) -> Result<CogLayout, BadCog> {
    match layout_as(spec, Format::Classic) {
        Err(BadCog::TooLarge(_)) => layout_as(spec, Format::Big),
        other => other,
    }
}

/// Lays out a file in this format.
pub fn layout_as(spec: &CogSpec, format: Format) -> Result<CogLayout, BadCog> {
    let sizes = levels(spec.size, spec.block_px);
    directory::check(spec, &sizes)?;

    // Directories are as long with the true offsets as with these.
    let nowhere: Vec<Vec<u64>> = spec.level_tile_sizes.iter().map(|tiles| vec![0; tiles.len()]).collect();
    let directories = |offsets: &[Vec<u64>]| -> Vec<Vec<Tag>> {
        let of = |level: usize| directory::tags(spec, level, sizes[level], &offsets[level], format);
        (0..sizes.len()).map(of).collect()
    };
    let header_len = format.write(&directories(&nowhere)).len() as u64;

    let mut offsets = nowhere;
    let mut runs = Vec::new();
    let mut at = header_len;
    for Stretch { level, tiles } in stretches(spec.size, spec.block_px, sizes.len() as u32) {
        let start = at;
        let sizes = &spec.level_tile_sizes[level as usize][tiles.clone()];
        for (offset, &size) in offsets[level as usize][tiles.clone()].iter_mut().zip(sizes) {
            // GDAL takes a tile of no bytes at offset 0 for one that was left out.
            *offset = if size == 0 { 0 } else { at };
            at += u64::from(size);
        }
        runs.push(Run { level, tiles, offset: start, len: at - start });
    }
    if format == Format::Classic && at > CLASSIC_LIMIT {
        return Err(BadCog::TooLarge(at));
    }
    Ok(CogLayout { format, header: format.write(&directories(&offsets)), runs, total_len: at })
}

impl Format {
    /// Everything before the tiles.
    fn write(self, directories: &[Vec<Tag>]) -> Vec<u8> {
        let mut out = self.file_header();
        for (i, tags) in directories.iter().enumerate() {
            self.write_directory(&mut out, tags, i + 1 == directories.len());
        }
        pad(&mut out, DATA_ALIGNMENT);
        out
    }

    fn file_header(self) -> Vec<u8> {
        let mut out = b"II".to_vec();
        match self {
            Format::Classic => {
                out.extend_from_slice(&42_u16.to_le_bytes());
                self.push(&mut out, 8);
            }
            Format::Big => {
                out.extend([43_u16, 8, 0].into_iter().flat_map(u16::to_le_bytes));
                self.push(&mut out, 16);
            }
        }
        out
    }

    /// A directory, and after it the values that do not fit into it.
    fn write_directory(self, out: &mut Vec<u8>, tags: &[Tag], last: bool) {
        let start = out.len() as u64;
        let mut values_at = start + self.directory_len(tags.len());
        match self {
            Format::Classic => out.extend_from_slice(&(tags.len() as u16).to_le_bytes()),
            Format::Big => out.extend_from_slice(&(tags.len() as u64).to_le_bytes()),
        }
        let mut values = Vec::new();
        for tag in tags {
            out.extend_from_slice(&tag.code.to_le_bytes());
            out.extend_from_slice(&tag.kind.to_le_bytes());
            self.push(out, tag.count);
            if tag.bytes.len() <= self.word() {
                out.extend_from_slice(&tag.bytes);
                out.resize(out.len() + self.word() - tag.bytes.len(), 0);
            } else {
                self.push(out, values_at);
                values.extend_from_slice(&tag.bytes);
                pad(&mut values, 8);
                values_at = start + self.directory_len(tags.len()) + values.len() as u64;
            }
        }
        self.push(out, if last { 0 } else { values_at });
        pad(out, 8);
        out.extend_from_slice(&values);
    }

    /// A directory's own bytes, filled up to a multiple of 8.
    fn directory_len(self, n_tags: usize) -> u64 {
        let len = match self {
            Format::Classic => 2 + 12 * n_tags + 4,
            Format::Big => 8 + 20 * n_tags + 8,
        };
        (len as u64).next_multiple_of(8)
    }

    /// Bytes of an offset.
    const fn word(self) -> usize {
        match self {
            Format::Classic => 4,
            Format::Big => 8,
        }
    }

    /// Writes an offset or a count. Those of a classic file fit: its length is checked.
    fn push(self, out: &mut Vec<u8>, value: u64) {
        out.extend_from_slice(&value.to_le_bytes()[..self.word()]);
    }
}

fn pad(out: &mut Vec<u8>, alignment: u64) {
    out.resize((out.len() as u64).next_multiple_of(alignment) as usize, 0);
}
