//! PNG with the settings that suit chips, and a reader that believes the index, not the file.

use std::io::Cursor;

use png::{BitDepth, ColorType, Compression, Decoder, Encoder, EncodingError, Filter};

use crate::image::{BadImage, Image, SampleType, Shape};

/// Measured on drawn imagery (`cargo run --release -p swath-shard --example speed`): better compression
/// saves an eighth of an image and takes ten times as long, a simpler filter makes it larger. Labels
/// are a hundredth of the image with any setting; this filter costs the least to undo.
const IMAGE: (Compression, Filter) = (Compression::Fast, Filter::Adaptive);
const LABELS: (Compression, Filter) = (Compression::Fast, Filter::Up);
/// Noisy imagery is a third larger like this, and read in a twentieth of the time.
const STORED: (Compression, Filter) = (Compression::NoCompression, Filter::NoFilter);

/// How the PNG of an image is made. Readers need not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Compressed,
    /// For imagery that hardly gets smaller, or is read far more often than it is moved.
    Stored,
}

#[derive(Debug, thiserror::Error)]
pub enum BadPng {
    #[error("{0}")]
    Decoding(#[from] png::DecodingError),
    #[error("a PNG of {width}x{height} px, {color:?}, {depth:?}; the index says {wanted:?}")]
    Shape { width: u32, height: u32, color: ColorType, depth: BitDepth, wanted: Shape },
    #[error(transparent)]
    Image(#[from] BadImage),
}

/// How PNG calls a shape; `None` where it can't hold it.
fn format(shape: Shape) -> Option<(ColorType, BitDepth)> {
    let color = match shape.bands {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        4 => ColorType::Rgba,
        _ => return None,
    };
    match shape.samples {
        SampleType::Uint8 => Some((color, BitDepth::Eight)),
        SampleType::Uint16 => Some((color, BitDepth::Sixteen)),
        _ => None,
    }
}

pub(crate) fn encode_image(image: &Image, how: Encoding) -> Result<Vec<u8>, EncodingError> {
    let how = match how {
        Encoding::Compressed => IMAGE,
        Encoding::Stored => STORED,
    };
    match image.shape().samples {
        SampleType::Uint16 => encode(image.shape(), &swapped(image.bytes().to_vec()), how),
        _ => encode(image.shape(), image.bytes(), how),
    }
}

pub(crate) fn encode_labels(shape: Shape, labels: &[u8]) -> Result<Vec<u8>, EncodingError> {
    encode(shape.of_labels(), labels, LABELS)
}

fn encode(
    shape: Shape,
    bytes: &[u8],
    (compression, filter): (Compression, Filter),
) -> Result<Vec<u8>, EncodingError> {
    let mut out = Vec::with_capacity(bytes.len() / 2);
    let mut encoder = Encoder::new(&mut out, shape.width, shape.height);
    if let Some((color, depth)) = format(shape) {
        encoder.set_color(color);
        encoder.set_depth(depth);
    }
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(out)
}

/// Nothing as large as a picture is allocated before the file has been found to have the shape.
pub(crate) fn decode(file: &[u8], shape: Shape) -> Result<Image, BadPng> {
    let mut decoder = Decoder::new(Cursor::new(file));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info()?;
    let (width, height, color, depth) = (info.width, info.height, info.color_type, info.bit_depth);
    if (width, height) != (shape.width, shape.height) || Some((color, depth)) != format(shape) {
        return Err(BadPng::Shape { width, height, color, depth, wanted: shape });
    }
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; shape.byte_len()? as usize];
    // The first frame of an animation may be smaller than the picture.
    let frame = reader.next_frame(&mut bytes)?;
    if (frame.width, frame.height) != (width, height) {
        let (width, height) = (frame.width, frame.height);
        return Err(BadPng::Shape { width, height, color, depth, wanted: shape });
    }
    let bytes = if depth == BitDepth::Sixteen { swapped(bytes) } else { bytes };
    Ok(Image::new(shape, bytes)?)
}

/// PNG is big-endian.
fn swapped(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|sample| sample.swap(0, 1));
    bytes
}
