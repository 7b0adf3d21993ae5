//! Numpy's file format, for images that are no PNG. The crates that read it bring a parser of Python
//! literals; here the index says what the header must be, so it is compared.

use crate::image::{BadImage, Image, SampleType, Shape};

const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";
/// Magic and length of the header.
const FIXED_LEN: usize = 10;
/// Data begin at a multiple of this.
const ALIGN: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum BadNpy {
    #[error("this is no .npy file of version 1.0")]
    Magic,
    #[error("the .npy file says {got}; the index says {wanted}")]
    Header { got: String, wanted: String },
    #[error(transparent)]
    Image(#[from] BadImage),
}

fn description(shape: Shape) -> String {
    let samples = match shape.samples {
        SampleType::Uint8 => "|u1",
        SampleType::Int8 => "|i1",
        SampleType::Uint16 => "<u2",
        SampleType::Int16 => "<i2",
        SampleType::Uint32 => "<u4",
        SampleType::Int32 => "<i4",
        SampleType::Uint64 => "<u8",
        SampleType::Int64 => "<i8",
        SampleType::Float32 => "<f4",
        SampleType::Float64 => "<f8",
    };
    let Shape { width, height, bands, .. } = shape;
    format!("{{'descr': '{samples}', 'fortran_order': False, 'shape': ({height}, {width}, {bands}), }}")
}

pub(crate) fn encode(image: &Image) -> Vec<u8> {
    let mut header = description(image.shape());
    let len = (FIXED_LEN + header.len() + 1).next_multiple_of(ALIGN) - FIXED_LEN;
    header.extend(std::iter::repeat_n(' ', len - 1 - header.len()));
    header.push('\n');
    [MAGIC.as_slice(), &(len as u16).to_le_bytes(), header.as_bytes(), image.bytes()].concat()
}

pub(crate) fn decode(file: &[u8], shape: Shape) -> Result<Image, BadNpy> {
    let rest = file.strip_prefix(MAGIC).ok_or(BadNpy::Magic)?;
    let (len, rest) = rest.split_first_chunk().ok_or(BadNpy::Magic)?;
    let (header, data) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len))).ok_or(BadNpy::Magic)?;
    let (got, wanted) = (String::from_utf8_lossy(header), description(shape));
    if got.trim_end() != wanted {
        return Err(BadNpy::Header { got: got.trim_end().chars().take(200).collect(), wanted });
    }
    Ok(Image::new(shape, data.to_vec())?)
}
