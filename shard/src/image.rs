//! Pixels of a chip, whatever their type and number of bands.

use serde::{Deserialize, Serialize};
use swath_proto::geometry::SizePx;

const MAX_EDGE_PX: u32 = 1 << 14;
const MAX_BANDS: u32 = 1 << 12;
const MAX_IMAGE_LEN: u64 = 1 << 30;

/// Named as numpy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleType {
    Uint8,
    Int8,
    Uint16,
    Int16,
    Uint32,
    Int32,
    Uint64,
    Int64,
    Float32,
    Float64,
}

impl SampleType {
    /// Bytes of one sample.
    pub const fn width(self) -> u64 {
        match self {
            SampleType::Uint8 | SampleType::Int8 => 1,
            SampleType::Uint16 | SampleType::Int16 => 2,
            SampleType::Uint32 | SampleType::Int32 | SampleType::Float32 => 4,
            SampleType::Uint64 | SampleType::Int64 | SampleType::Float64 => 8,
        }
    }
}

/// What an image's bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub width: u32,
    pub height: u32,
    pub bands: u32,
    pub samples: SampleType,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadImage {
    #[error(
        "{0:?}: images have edges of 1 to {MAX_EDGE_PX} px, 1 to {MAX_BANDS} bands and at most {MAX_IMAGE_LEN} bytes"
    )]
    Shape(Shape),
    #[error("{got} bytes are no image of {shape:?}")]
    Length { got: usize, shape: Shape },
}

impl Shape {
    pub const fn new(size: SizePx, bands: u32, samples: SampleType) -> Self {
        Self { width: size.width, height: size.height, bands, samples }
    }

    /// The shape of the labels.
    pub(crate) const fn of_labels(self) -> Self {
        Self { bands: 1, samples: SampleType::Uint8, ..self }
    }

    pub const fn size(self) -> SizePx {
        SizePx::new(self.width, self.height)
    }

    pub fn pixels(self) -> u64 {
        self.size().pixels()
    }

    /// Length of the image's bytes.
    pub fn byte_len(self) -> Result<u64, BadImage> {
        let edges = 1..=MAX_EDGE_PX;
        let ok = edges.contains(&self.width)
            && edges.contains(&self.height)
            && (1..=MAX_BANDS).contains(&self.bands);
        // At most 2^14 * 2^14 * 2^12 * 2^3.
        Some(self)
            .filter(|_| ok)
            .map(|shape| shape.pixels() * u64::from(shape.bands) * shape.samples.width())
            .filter(|&len| len <= MAX_IMAGE_LEN)
            .ok_or(BadImage::Shape(self))
    }

    /// Whether the image is stored as PNG: others are stored as `.npy`.
    pub(crate) const fn is_png(self) -> bool {
        matches!(self.samples, SampleType::Uint8 | SampleType::Uint16) && self.bands <= 4
    }
}

/// Samples are little-endian; the bands of a pixel lie side by side, pixels row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    shape: Shape,
    bytes: Vec<u8>,
}

impl Image {
    pub fn new(shape: Shape, bytes: Vec<u8>) -> Result<Self, BadImage> {
        if bytes.len() as u64 == shape.byte_len()? {
            Ok(Self { shape, bytes })
        } else {
            Err(BadImage::Length { got: bytes.len(), shape })
        }
    }

    pub const fn shape(&self) -> Shape {
        self.shape
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
