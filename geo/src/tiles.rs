//! A plane cut into square tiles, and the bytes of a tile in a file: a zlib stream, as TIFF's
//! compression 8 wants it, or a frame of Zstandard, as compression 50000 does. Tiles at the right and
//! lower edge are filled up with zeros. The same tile gives the same bytes on every machine: the
//! choices of either encoder do not depend on the CPU, and its level stays as it is.

use std::io::{Read, Write};

use flate2::{read::ZlibDecoder, write::ZlibEncoder};
use serde::{Deserialize, Serialize};
use swath_proto::{geometry::SizePx, item::Compression};

use crate::morton::ZOrder;

const DEFLATE_LEVEL: u32 = 6;
/// Of scores it makes three percent more bytes than deflate, in a sixth of the time; level 9 takes three times as
/// long as this one, for half of that.
const ZSTD_LEVEL: i32 = 3;
/// What a frame of that level refers back to, at most, as a power of two.
const ZSTD_WINDOW: u32 = 21;

#[derive(Debug, thiserror::Error)]
pub enum BadTile {
    #[error("a plane has {got} bytes instead of {wanted}")]
    PlaneLength { got: usize, wanted: usize },
    #[error("a tile can't be decoded: {0}")]
    Stream(#[from] std::io::Error),
    #[error("a tile has {got} bytes or more instead of {wanted}")]
    TileLength { got: usize, wanted: usize },
}

/// Bytes that deflate makes of one byte, at most. Room for what zstd makes more of comes as it is needed.
const MOST_UNPACKED: usize = 1032;

/// What is written of each value: itself, or its difference to the pixel on its left (TIFF's
/// predictor 2), which makes smooth scores smaller and class rasters larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predictor {
    None,
    Horizontal,
}

/// How a tile becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Coding {
    pub compression: Compression,
    pub predictor: Predictor,
}

impl Coding {
    pub const fn deflate(predictor: Predictor) -> Self {
        Self { compression: Compression::Deflate, predictor }
    }

    pub const fn zstd(predictor: Predictor) -> Self {
        Self { compression: Compression::Zstd, predictor }
    }
}

/// How one level is cut: squares of `block_px` with interleaved bands of 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    pub size: SizePx,
    pub block_px: u32,
    pub bands: u32,
}

impl Tiling {
    /// The order of tiles. `block_px` must not be 0.
    pub const fn order(&self) -> ZOrder {
        ZOrder::new(self.size.width.div_ceil(self.block_px), self.size.height.div_ceil(self.block_px))
    }

    /// Bytes of a raw tile.
    pub const fn tile_len(&self) -> usize {
        self.block_px as usize * self.block_px as usize * self.bands as usize
    }

    /// The raw tiles of a plane in Z-order.
    pub fn cut<'a>(&self, plane: &'a [u8]) -> Result<impl Iterator<Item = Vec<u8>> + use<'a>, BadTile> {
        let wanted = self.size.width as usize * self.size.height as usize * self.bands as usize;
        if plane.len() != wanted {
            return Err(BadTile::PlaneLength { got: plane.len(), wanted });
        }
        let tiling = *self;
        Ok(tiling.order().iter().map(move |(col, row)| tiling.tile(plane, col, row)))
    }

    fn tile(&self, plane: &[u8], col: u32, row: u32) -> Vec<u8> {
        let (bands, block) = (self.bands as usize, self.block_px as usize);
        let (col, row) = (col as usize * block, row as usize * block);
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let len = (width - col).min(block) * bands;
        let mut tile = vec![0; self.tile_len()];
        for (out, row) in tile.chunks_exact_mut(block * bands).zip(row..height) {
            let from = (row * width + col) * bands;
            out[..len].copy_from_slice(&plane[from..from + len]);
        }
        tile
    }

    /// Compresses a raw tile.
    pub fn encode(&self, mut tile: Vec<u8>, coding: Coding) -> Result<Vec<u8>, BadTile> {
        self.check_len(tile.len())?;
        if coding.predictor == Predictor::Horizontal {
            let bands = self.bands as usize;
            for row in tile.chunks_exact_mut(self.block_px as usize * bands) {
                for i in (bands..row.len()).rev() {
                    row[i] = row[i].wrapping_sub(row[i - bands]);
                }
            }
        }
        match coding.compression {
            Compression::Deflate => {
                let level = flate2::Compression::new(DEFLATE_LEVEL);
                let mut stream = ZlibEncoder::new(Vec::with_capacity(tile.len() / 8), level);
                stream.write_all(&tile)?;
                Ok(stream.finish()?)
            }
            Compression::Zstd => Ok(zstd::bulk::compress(&tile, ZSTD_LEVEL)?),
        }
    }

    /// The raw tile again. Reads no further than a tile is long, whatever the stream holds.
    pub fn decode(&self, stream: &[u8], coding: Coding) -> Result<Vec<u8>, BadTile> {
        // Room for what the stream can hold, and not for all that a header promises.
        let most = stream.len().saturating_mul(MOST_UNPACKED).min(self.tile_len() + 1);
        let mut tile = Vec::with_capacity(most);
        // One byte too many is enough to know.
        let limit = self.tile_len() as u64 + 1;
        match coding.compression {
            Compression::Deflate => ZlibDecoder::new(stream).take(limit).read_to_end(&mut tile)?,
            Compression::Zstd => {
                let mut frame = zstd::Decoder::with_buffer(stream)?.single_frame();
                frame.window_log_max(ZSTD_WINDOW)?;
                frame.take(limit).read_to_end(&mut tile)?
            }
        };
        self.check_len(tile.len())?;
        if coding.predictor == Predictor::Horizontal {
            let bands = self.bands as usize;
            for row in tile.chunks_exact_mut(self.block_px as usize * bands) {
                for i in bands..row.len() {
                    row[i] = row[i].wrapping_add(row[i - bands]);
                }
            }
        }
        Ok(tile)
    }

    fn check_len(&self, got: usize) -> Result<(), BadTile> {
        let wanted = self.tile_len();
        if got == wanted { Ok(()) } else { Err(BadTile::TileLength { got, wanted }) }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const ALL: [Coding; 4] = [
        Coding::deflate(Predictor::None),
        Coding::deflate(Predictor::Horizontal),
        Coding::zstd(Predictor::None),
        Coding::zstd(Predictor::Horizontal),
    ];

    #[test]
    fn tiles_come_in_z_order_and_are_filled_up_with_zeros() {
        let tiling = Tiling { size: SizePx::new(3, 3), block_px: 2, bands: 1 };
        let tiles: Vec<_> = tiling.cut(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap().collect();
        assert_eq!(tiles, [[1, 2, 4, 5], [3, 0, 6, 0], [7, 8, 0, 0], [9, 0, 0, 0]]);
        assert!(tiling.cut(&[0; 8]).is_err());
    }

    #[test]
    fn bands_stay_side_by_side() {
        let tiling = Tiling { size: SizePx::new(3, 1), block_px: 2, bands: 2 };
        let tiles: Vec<_> = tiling.cut(&[1, 2, 3, 4, 5, 6]).unwrap().collect();
        assert_eq!(tiles, [[1, 2, 3, 4, 0, 0, 0, 0], [5, 6, 0, 0, 0, 0, 0, 0]]);
    }

    #[test]
    fn a_tile_reads_back() {
        let mut rng = StdRng::seed_from_u64(5);
        for bands in [1, 3] {
            let tiling = Tiling { size: SizePx::new(64, 64), block_px: 64, bands };
            let tile: Vec<u8> = (0..tiling.tile_len()).map(|i| (i / 9) as u8 ^ rng.random::<u8>()).collect();
            for coding in ALL {
                let stream = tiling.encode(tile.clone(), coding).unwrap();
                assert_eq!(tiling.decode(&stream, coding).unwrap(), tile);
                assert_eq!(tiling.encode(tile.clone(), coding).unwrap(), stream);
            }
        }
    }

    #[test]
    fn the_predictor_writes_differences_a_band() {
        let tiling = Tiling { size: SizePx::new(2, 2), block_px: 2, bands: 2 };
        for of in [Coding::deflate, Coding::zstd] {
            let stream = tiling.encode(vec![5, 9, 6, 7, 0, 255, 1, 0], of(Predictor::Horizontal)).unwrap();
            let written = tiling.decode(&stream, of(Predictor::None)).unwrap();
            assert_eq!(written, [5, 9, 1, 254, 0, 255, 1, 1]);
        }
    }

    /// The bytes of a tile are part of what a run makes: neither a new encoder nor another CPU may change them.
    #[test]
    fn tiles_are_compressed_to_the_bytes_that_they_always_were() {
        let tiling = Tiling { size: SizePx::new(256, 256), block_px: 256, bands: 2 };
        let value = |i: usize| ((i / 512 * i / 300) % 256) as u8 ^ (i % 7) as u8;
        let tile: Vec<u8> = (0..tiling.tile_len()).map(value).collect();
        let sums: Vec<_> = ALL
            .iter()
            .map(|&coding| {
                swath_proto::ids::Digest::of(&tiling.encode(tile.clone(), coding).unwrap()).to_string()
            })
            .collect();
        assert_eq!(
            sums,
            [
                "63912e915ba2dccf6694feb8154baba609e08ebc889af316d762e8154f01c5c5",
                "a9e8bc74f370c4796cfe96380c20945c7b46d7805290d29ba93f46f5942666f8",
                "add7f57d1b4e1da76fe18fc0efbb01986aaab55f67b74683b45ea23912d6e37e",
                "beed25fc24ada1eb6b842fab6de864994555fe9a1bf9e1886435146c5f323887",
            ]
        );
    }

    #[test]
    fn a_stream_of_another_length_or_of_nonsense_is_refused() {
        let small = Tiling { size: SizePx::new(16, 16), block_px: 16, bands: 1 };
        let large = Tiling { size: SizePx::new(4096, 4096), block_px: 4096, bands: 1 };
        for coding in [Coding::deflate(Predictor::None), Coding::zstd(Predictor::None)] {
            let bomb = large.encode(vec![0; large.tile_len()], coding).unwrap();
            // One byte too many is enough to know.
            assert!(matches!(small.decode(&bomb, coding), Err(BadTile::TileLength { got: 257, .. })));
            let short = small.encode(vec![0; 256], coding).unwrap();
            assert!(matches!(large.decode(&short, coding), Err(BadTile::TileLength { got: 256, .. })));
            assert!(small.decode(b"not a stream", coding).is_err());
            assert!(small.decode(b"", coding).is_err());
            assert!(small.decode(&bomb[..bomb.len() / 2], coding).is_err());
        }
        assert!(small.encode(vec![0; 255], ALL[0]).is_err());
    }
}
