//! Reads one chip from its range of the tar.

use tar::Header;

use crate::{
    BLOCK,
    chip::{self, Chip, Meta},
    image::Image,
    index::{Entry, MAX_META_LEN, Member},
    key::ChipKey,
    npy::{self, BadNpy},
    png::{self, BadPng},
    write::extensions,
};

/// Why a chip can't be had.
#[derive(Debug, thiserror::Error)]
#[error("chip {key}: {source}")]
pub struct BadRead {
    pub key: ChipKey,
    #[source]
    pub source: Cause,
}

#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("{got} bytes of the tar were read, and the chip takes {wanted}")]
    Length { got: usize, wanted: u64 },
    #[error("the tar does not have {0} where the index says")]
    Header(String),
    #[error("the image can't be read: {0}")]
    Png(#[source] BadPng),
    #[error("the image can't be read: {0}")]
    Npy(#[from] BadNpy),
    #[error("the label can't be read: {0}")]
    Label(#[source] BadPng),
    #[error("the JSON can't be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the {0} of the tar and of the index differ")]
    Differs(&'static str),
}

/// `range_bytes` are the bytes [`Entry::range`] of the tar.
pub fn read_chip(range_bytes: &[u8], entry: &Entry) -> Result<Chip, BadRead> {
    read(range_bytes, entry).map_err(|source| BadRead { key: entry.key.clone(), source })
}

fn read(range_bytes: &[u8], entry: &Entry) -> Result<Chip, Cause> {
    let range = entry.range();
    let wanted = range.end.saturating_sub(range.start);
    if range_bytes.len() as u64 != wanted {
        return Err(Cause::Length { got: range_bytes.len(), wanted });
    }
    let [image, label, json] = [entry.image, entry.label, entry.json];
    let [image_ext, label_ext, json_ext] = extensions(entry.shape);
    let data = |member, extension: &str| {
        let name = format!("{}.{extension}", entry.key);
        data(range_bytes, range.start, member, &name).ok_or(Cause::Header(name))
    };
    let json = data(json, json_ext)?;
    if json.len() as u64 > MAX_META_LEN {
        return Err(Cause::Differs("JSON"));
    }
    let meta: Meta = serde_json::from_slice(json)?;
    if meta.key() != entry.key {
        return Err(Cause::Differs("window"));
    }
    if meta.image != entry.shape {
        return Err(Cause::Differs("shape"));
    }
    let label = data(label, label_ext)?;
    let labels = png::decode(label, entry.shape.of_labels()).map_err(Cause::Label)?.into_bytes();
    if meta.counts != entry.counts || chip::counts(&labels) != entry.counts {
        return Err(Cause::Differs("labels"));
    }
    let Meta { scene, window, draw, source_pixel_crs, .. } = meta;
    let image = decode_image(data(image, image_ext)?, entry)?;
    Ok(Chip { scene, window, draw, source_pixel_crs, image, labels })
}

fn decode_image(file: &[u8], entry: &Entry) -> Result<Image, Cause> {
    if entry.shape.is_png() {
        png::decode(file, entry.shape).map_err(Cause::Png)
    } else {
        Ok(npy::decode(file, entry.shape)?)
    }
}

/// A member's data, if its header agrees. `begin` is where `bytes` begin in the tar.
fn data<'a>(bytes: &'a [u8], begin: u64, member: Member, name: &str) -> Option<&'a [u8]> {
    let at = usize::try_from(member.at.checked_sub(begin)?).ok()?;
    let len = usize::try_from(member.len).ok()?;
    let header = bytes.get(at.checked_sub(BLOCK as usize)?..at)?;
    let header = Header::from_byte_slice(header);
    let agrees = header.entry_type().is_file()
        && header.path_bytes() == name.as_bytes()
        && header.entry_size().is_ok_and(|size| size == member.len);
    bytes.get(at..at.checked_add(len)?).filter(|_| agrees)
}
