//! What a predict item leaves: one blob with the compressed tiles of all its products and levels. They
//! stand as they will stand in the assembled file, ready to be copied into it by range.
//!
//! ```text
//! magic       8 bytes   "swathpk\0"
//! version     u32, little-endian: 2
//! header_len  u32, little-endian
//! header      JSON: rectangle, block size, products, tallies, compressed size of each tile
//! tiles       product by product, in the order of [`stretches`]
//! ```

mod header;

use swath_proto::geometry::{RectPx, SizePx};

pub use header::{BadPack, Level, PackHeader, Product};
use header::{Header, HeaderProduct, MAGIC, VERSION};

use crate::{
    pyramid::{Reduction, reduce, stretches},
    tally::Tally,
    tiles::{BadTile, Coding, Tiling},
};

/// The class of each pixel.
pub const CLASSES: &str = "classes";
/// Quantised softmax, the classes of a pixel side by side.
pub const SCORES: &str = "scores";
/// How sure the class of each pixel is.
pub const CONFIDENCE: &str = "confidence";

/// How a product's overviews and tiles are made of its plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making {
    pub reduction: Reduction,
    pub coding: Coding,
    /// What stands for pixels that do not count, in a product of one band.
    pub nodata: Option<u8>,
}

/// One product of an item, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedProduct {
    pub name: String,
    pub bands: u32,
    pub coding: Coding,
    /// One a band.
    pub tallies: Vec<Tally>,
    /// Compressed tiles by level, in Z-order.
    pub levels: Vec<Vec<Vec<u8>>>,
}

impl EncodedProduct {
    /// Makes `n_levels` levels of an item's plane, cuts and compresses them.
    pub fn of_plane(
        name: &str,
        plane: Vec<u8>,
        size: SizePx,
        block_px: u32,
        n_levels: u32,
        making: Making,
    ) -> Result<Self, BadTile> {
        let Making { reduction, coding, nodata } = making;
        let bands = reduction.bands();
        let tallies = match nodata {
            Some(nodata) => vec![Tally::of_map(&plane, nodata)],
            None => Tally::of_bands(&plane, bands as usize),
        };
        let (mut plane, mut tiling) = (plane, Tiling { size, block_px, bands });
        let mut levels = Vec::new();
        for level in 0..n_levels {
            if level > 0 {
                plane = reduce(&plane, tiling.size, reduction);
                tiling.size = crate::pyramid::level_size(size, level);
            }
            levels.push(encode_all(&tiling, &plane, coding)?);
        }
        Ok(Self { name: name.to_owned(), bands, coding, tallies, levels })
    }
}

/// A tile that equals the one before is compressed once: where nothing is to be predicted, most do.
fn encode_all(tiling: &Tiling, plane: &[u8], coding: Coding) -> Result<Vec<Vec<u8>>, BadTile> {
    let mut tiles: Vec<Vec<u8>> = Vec::new();
    let mut before: Vec<u8> = Vec::new();
    for tile in tiling.cut(plane)? {
        let packed = match tiles.last() {
            Some(packed) if tile == before => packed.clone(),
            _ => tiling.encode(tile.clone(), coding)?,
        };
        tiles.push(packed);
        before = tile;
    }
    Ok(tiles)
}

/// Writes the blob of an item, blank where no pixel of it counted. A header that [`PackHeader::parse`] would not take is
/// an error here.
pub fn build(
    rect: RectPx,
    block_px: u32,
    is_blank: bool,
    products: &[EncodedProduct],
) -> Result<Vec<u8>, BadPack> {
    let sizes = |tiles: &Vec<Vec<u8>>| tiles.iter().map(|tile| tile.len() as u64).collect();
    let header = Header {
        rect,
        block_px,
        is_blank,
        products: products
            .iter()
            .map(|product| HeaderProduct {
                name: product.name.clone(),
                bands: product.bands,
                compression: product.coding.compression,
                predictor: product.coding.predictor,
                tallies: product.tallies.clone(),
                levels: product.levels.iter().map(sizes).collect(),
            })
            .collect(),
    };
    let json = serde_json::to_vec(&header).map_err(BadPack::Json)?;
    let parsed = PackHeader::check(header, json.len(), VERSION)?;
    let mut pack = Vec::with_capacity(parsed.total_len() as usize);
    pack.extend_from_slice(MAGIC);
    pack.extend_from_slice(&VERSION.to_le_bytes());
    pack.extend_from_slice(&(json.len() as u32).to_le_bytes());
    pack.extend_from_slice(&json);
    for product in products {
        for stretch in stretches(rect.size(), block_px, product.levels.len() as u32) {
            let tiles = &product.levels[stretch.level as usize][stretch.tiles];
            tiles.iter().for_each(|tile| pack.extend_from_slice(tile));
        }
    }
    Ok(pack)
}

#[cfg(test)]
mod tests {
    use swath_proto::item::Compression;

    use super::*;
    use crate::{
        pyramid::{level_size, levels},
        tiles::Predictor,
    };

    const RECT: RectPx = RectPx::new(128, 64, 100, 70);
    const BLOCK: u32 = 32;
    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/pack-v2.bin");
    const SAMPLE_OF_V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/pack-v1.bin");

    fn class_plane() -> Vec<u8> {
        (0..RECT.pixels() as u32).map(|i| u8::from((i % 100 / 7 + i / 100 / 9) % 3 == 0) * 2).collect()
    }

    fn score_plane() -> Vec<u8> {
        (0..RECT.pixels() as u32).flat_map(|i| [(i % 100) as u8, 255 - (i / 100) as u8]).collect()
    }

    fn sample() -> Vec<u8> {
        let of = |name, plane, reduction, coding| {
            let making = Making { reduction, coding, nodata: None };
            EncodedProduct::of_plane(name, plane, RECT.size(), BLOCK, 3, making).unwrap()
        };
        let classes = of(CLASSES, class_plane(), Reduction::Mode, Coding::deflate(Predictor::None));
        let mean = Reduction::Mean { bands: 2 };
        let scores = of(SCORES, score_plane(), mean, Coding::zstd(Predictor::Horizontal));
        build(RECT, BLOCK, false, &[classes, scores]).unwrap()
    }

    fn assert_holds_the_planes(pack: &[u8]) {
        let header = PackHeader::parse(pack).unwrap().unwrap();
        assert_eq!((header.rect, header.block_px, header.total_len()), (RECT, BLOCK, pack.len() as u64));
        for (name, mut plane, reduction) in
            [(CLASSES, class_plane(), Reduction::Mode), (SCORES, score_plane(), Reduction::Mean { bands: 2 })]
        {
            let product = header.product(name).unwrap();
            assert_eq!(product.levels.len(), 3);
            for (number, level) in product.levels.iter().enumerate() {
                let size = level_size(RECT.size(), number as u32);
                let tiling = Tiling { size, block_px: BLOCK, bands: product.bands };
                let wanted: Vec<_> = tiling.cut(&plane).unwrap().collect();
                assert_eq!(level.tiles().len(), wanted.len());
                for (range, wanted) in level.tiles().zip(wanted) {
                    let stream = &pack[range.start as usize..range.end as usize];
                    assert_eq!(tiling.decode(stream, product.coding).unwrap(), wanted);
                }
                plane = reduce(&plane, size, reduction);
            }
        }
    }

    #[test]
    fn a_pack_reads_back() {
        let pack = sample();
        assert_holds_the_planes(&pack);
        assert_eq!(sample(), pack);
    }

    #[test]
    fn equal_tiles_are_packed_as_if_each_stood_alone() {
        let size = SizePx::new(4 * BLOCK, 3 * BLOCK - 5);
        let plane: Vec<u8> =
            (0..size.pixels() as u32).map(|i| u8::from(i % size.width >= 2 * BLOCK)).collect();
        for predictor in [Predictor::None, Predictor::Horizontal] {
            let tiling = Tiling { size, block_px: BLOCK, bands: 1 };
            let coding = Coding { compression: Compression::default(), predictor };
            let alone = tiling.cut(&plane).unwrap().map(|tile| tiling.encode(tile, coding).unwrap());
            assert_eq!(encode_all(&tiling, &plane, coding).unwrap(), alone.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_pack_says_that_it_is_blank() {
        let classes = vec![0; RECT.pixels() as usize];
        let coding = Coding::deflate(Predictor::None);
        let making = Making { reduction: Reduction::Mode, coding, nodata: None };
        let product = EncodedProduct::of_plane(CLASSES, classes, RECT.size(), BLOCK, 1, making);
        let pack = build(RECT, BLOCK, true, &[product.unwrap()]).unwrap();
        assert!(PackHeader::parse(&pack).unwrap().unwrap().is_blank);
        assert!(!PackHeader::parse(&sample()).unwrap().unwrap().is_blank);
    }

    #[test]
    fn packs_of_every_version_still_read() {
        for (sample, n_tallies) in [(SAMPLE_OF_V1, 0), (SAMPLE, 1)] {
            let pack = std::fs::read(sample).unwrap();
            assert_holds_the_planes(&pack);
            let header = PackHeader::parse(&pack).unwrap().unwrap();
            assert_eq!(header.product(CLASSES).unwrap().tallies.len(), n_tallies);
        }
    }

    #[test]
    fn a_pack_tells_of_its_pixels_what_adds_up_to_its_scene() {
        let header = PackHeader::parse(&sample()).unwrap().unwrap();
        let tallies = |name| header.product(name).unwrap().tallies.clone();
        assert_eq!(tallies(CLASSES), Tally::of_bands(&class_plane(), 1));
        assert_eq!(tallies(SCORES), Tally::of_bands(&score_plane(), 2));
        let coding = Coding::deflate(Predictor::None);
        let making = Making { reduction: Reduction::Mode, coding, nodata: Some(2) };
        let product =
            EncodedProduct::of_plane(CLASSES, class_plane(), RECT.size(), BLOCK, 1, making).unwrap();
        assert_eq!(product.tallies, [Tally::of_map(&class_plane(), 2)]);
    }

    #[test]
    #[ignore = "writes the sample of a new version; those that exist are frozen"]
    fn freeze_the_sample() {
        assert!(!std::path::Path::new(SAMPLE).exists(), "{SAMPLE} is frozen");
        std::fs::write(SAMPLE, sample()).unwrap();
    }

    #[test]
    fn tiles_stand_without_gaps_in_the_order_of_the_file() {
        let pack = sample();
        let header = PackHeader::parse(&pack).unwrap().unwrap();
        let mut at = header.header_len();
        for product in header.products() {
            for stretch in stretches(RECT.size(), BLOCK, 3) {
                let level = &product.levels[stretch.level as usize];
                let [bytes] = &level.bytes(stretch.tiles)[..] else { panic!("not together") };
                assert_eq!(bytes.start, at);
                at = bytes.end;
            }
        }
        assert_eq!(at, pack.len() as u64);
        assert_eq!(levels(RECT.size(), BLOCK).len(), 3);
    }

    #[test]
    fn every_prefix_asks_for_more_until_the_header_is_whole() {
        let pack = sample();
        let whole = PackHeader::parse(&pack).unwrap().unwrap();
        let header_len = whole.header_len() as usize;
        for len in 0..header_len {
            assert_eq!(PackHeader::parse(&pack[..len]).unwrap(), None, "{len} bytes");
            let wanted = PackHeader::bytes_wanted(&pack[..len]).unwrap();
            assert_eq!(wanted, if len < 16 { 16 } else { header_len as u64 });
        }
        assert_eq!(PackHeader::parse(&pack[..header_len]).unwrap(), Some(whole));
    }

    #[test]
    fn nonsense_is_refused_and_never_panics() {
        let pack = sample();
        let header_len = PackHeader::parse(&pack).unwrap().unwrap().header_len() as usize;
        assert!(matches!(PackHeader::parse(b"GIF8"), Err(BadPack::Magic)));
        let mut other = pack.clone();
        other[8] = 3;
        assert!(matches!(PackHeader::parse(&other), Err(BadPack::Version(3))));
        other = pack.clone();
        other[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(PackHeader::parse(&other[..16]), Err(BadPack::HeaderLength(_))));
        for at in 0..header_len {
            for byte in [0, b'9', b'-', b'}', 255] {
                let mut broken = pack[..header_len].to_vec();
                broken[at] = byte;
                if let Ok(Some(header)) = PackHeader::parse(&broken) {
                    assert!(header.products().iter().all(|p| p.levels.iter().all(|l| l.tiles().count() > 0)));
                }
            }
        }
    }

    #[test]
    fn headers_that_do_not_add_up_are_refused() {
        let good = r#"{"rect":{"col":0,"row":0,"width":40,"height":20},"block_px":32,"products":[
            {"name":"classes","bands":1,"predictor":"none","tallies":[
            {"pixels":800,"min":0,"max":2,"sum":9,"squares":9}],"levels":[[10,11],[9]]}]}"#;
        let parse = |json: &str| {
            let len = (json.len() as u32).to_le_bytes();
            PackHeader::parse(&[MAGIC.as_slice(), &VERSION.to_le_bytes(), &len, json.as_bytes()].concat())
        };
        assert!(parse(good).unwrap().is_some());
        for (from, to) in [
            ("[10,11]", "[10]"),
            ("[10,11]", "[10,11,12]"),
            ("[10,11]", "[10,0]"),
            ("[10,11]", "[10,99999999999]"),
            ("[[10,11],[9]]", "[]"),
            ("\"block_px\":32", "\"block_px\":0"),
            ("\"block_px\":32", "\"block_px\":1000000"),
            ("\"width\":40", "\"width\":0"),
            ("\"col\":0", "\"col\":4294967295"),
            ("\"width\":40,\"height\":20", "\"width\":4000000000,\"height\":4000000000"),
            ("\"bands\":1", "\"bands\":0"),
            ("\"bands\":1", "\"bands\":70000"),
            ("\"classes\"", "\"\""),
            ("\"none\"", "\"vertical\""),
            ("\"none\"", "\"none\",\"compression\":\"lzw\""),
            ("\"max\":2", "\"max\":256"),
            ("\"bands\":1", "\"bands\":2"),
            ("\"products\"", "\"surprise\":1,\"products\""),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from}");
            assert!(parse(&bad).is_err(), "{to}");
        }
        let twice = good.replace(
            "]}]}",
            "]},{\"name\":\"classes\",\"bands\":1,\"predictor\":\"none\",\"tallies\":[],\"levels\":[[1,1]]}]}",
        );
        assert!(parse(&twice).is_err());
    }
}
