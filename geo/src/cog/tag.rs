//! Entries of a TIFF directory: a code, a type, and values as they stand in the file.

/// An entry, its values in little-endian order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub code: u16,
    /// TIFF's number of the type: 2 is text, 3 `u16`, 4 `u32`, 12 `f64`, 16 `u64`, ...
    pub kind: u16,
    pub count: u64,
    pub bytes: Vec<u8>,
}

pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
pub(crate) const IMAGE_WIDTH: u16 = 256;
pub(crate) const IMAGE_LENGTH: u16 = 257;
pub(crate) const BITS_PER_SAMPLE: u16 = 258;
pub(crate) const COMPRESSION: u16 = 259;
pub(crate) const PHOTOMETRIC: u16 = 262;
pub(crate) const SAMPLES_PER_PIXEL: u16 = 277;
pub(crate) const PLANAR_CONFIGURATION: u16 = 284;
pub(crate) const PREDICTOR: u16 = 317;
pub(crate) const COLOR_MAP: u16 = 320;
pub(crate) const TILE_WIDTH: u16 = 322;
pub(crate) const TILE_LENGTH: u16 = 323;
pub(crate) const TILE_OFFSETS: u16 = 324;
pub(crate) const TILE_BYTE_COUNTS: u16 = 325;
pub(crate) const EXTRA_SAMPLES: u16 = 338;
pub(crate) const SAMPLE_FORMAT: u16 = 339;
pub(crate) const GDAL_METADATA: u16 = 42112;
pub(crate) const GDAL_NODATA: u16 = 42113;
/// Pixel scale, tie points, transformation, and the three parts of the geo keys.
pub(crate) const GEO: [u16; 6] = [33550, 33922, 34264, 34735, 34736, 34737];

impl Tag {
    pub fn text(code: u16, text: &str) -> Self {
        let bytes = [text.as_bytes(), &[0]].concat();
        Self { code, kind: 2, count: bytes.len() as u64, bytes }
    }

    pub fn u16s(code: u16, values: &[u16]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { code, kind: 3, count: values.len() as u64, bytes }
    }

    pub fn u32s(code: u16, values: &[u32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { code, kind: 4, count: values.len() as u64, bytes }
    }

    pub fn u64s(code: u16, values: &[u64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { code, kind: 16, count: values.len() as u64, bytes }
    }

    pub fn f64s(code: u16, values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { code, kind: 12, count: values.len() as u64, bytes }
    }

    /// The values of a tag of whole numbers; `None` for other types.
    pub fn whole_numbers(&self) -> Option<Vec<u64>> {
        let width = match self.kind {
            1 | 3 | 4 | 16 => bytes_per_value(self.kind)?,
            _ => return None,
        };
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        Some(self.bytes.chunks_exact(width).map(number).collect())
    }

    /// Whether there are as many bytes as type and count say.
    pub(crate) fn adds_up(&self) -> bool {
        let width = bytes_per_value(self.kind).map(|width| width as u64);
        width.and_then(|width| width.checked_mul(self.count)) == Some(self.bytes.len() as u64)
    }
}

/// `None` for types that TIFF does not know.
pub(crate) const fn bytes_per_value(kind: u16) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 | 17 | 18 => Some(8),
        _ => None,
    }
}
