//! Stores hold files that are cut off, swapped, corrupted or made up. None of them panics, and none is
//! taken for a chip that it is not.

#![expect(clippy::unwrap_used, reason = "what shows a failure in a test is a panic")]

mod chips;

use chips::{all_kinds, chip, shard, slice};
use swath_proto::geometry::{SizePx, WindowPx};
use swath_shard::{
    Chip, Entry, Image, Index, SampleType, Shape, fuzz_index,
    image::BadImage,
    index::BadIndex,
    read::{BadRead, Cause},
    read_chip,
};

const SIZE: SizePx = SizePx::new(40, 24);

fn one(bands: u32, samples: SampleType) -> Chip {
    chip("a", WindowPx::new(0, 0, 40, 24), SIZE, bands, samples)
}

fn parse(json: &str) -> Result<Index, BadIndex> {
    fuzz_index(json.as_bytes());
    Index::parse(json.as_bytes())
}

/// The only entry of a shard, after its index was rewritten.
fn entry(json: &str) -> Entry {
    parse(json).unwrap().chips()[0].clone()
}

fn json_of(chips: &[Chip]) -> String {
    String::from_utf8(shard(chips).1.to_bytes().unwrap()).unwrap()
}

#[test]
fn an_index_that_does_not_add_up_is_refused() {
    let good = json_of(&[one(3, SampleType::Uint8), one_at(40)]);
    let index = parse(&good).unwrap();
    let image = index.chips()[0].image();
    let label = index.chips()[0].label();
    let max = u64::MAX;
    let len = |len: u64| format!("\"at\":512,\"len\":{len}");
    for (from, to, wanted) in [
        ("\"version\":\"1\"", "\"version\":\"2\"", "unknown variant `2`, expected `1`"),
        ("\"tar_len\"", "\"surprise\":1,\"tar_len\"", "unknown field `surprise`"),
        (&format!("\"tar_len\":{}", index.tar_len()), "\"tar_len\":512", "so the tar has"),
        (&format!("\"tar_len\":{}", index.tar_len()), &format!("\"tar_len\":{max}"), "so the tar has"),
        ("\"at\":512,", &format!("\"at\":{max},"), "can't follow byte 0"),
        ("\"at\":512,", "\"at\":0,", "can't follow byte 0"),
        ("\"at\":512,", "\"at\":1024,", "can't follow byte 0"),
        ("\"at\":512,", "\"at\":-1,", "invalid value"),
        (&len(image.len), &len(max), "can't follow byte 0"),
        (&len(image.len), &len(0), "can't follow byte 0"),
        // The next member would overlap, or leave a gap.
        (&len(image.len), &len(image.len + 512), "can't follow"),
        (&format!("\"at\":{}", label.at), &format!("\"at\":{}", label.at + 512), "can't follow"),
        ("\"width\":40,\"height\":24", "\"width\":4294967295,\"height\":4294967295", "images have edges"),
        ("\"width\":40,\"height\":24", "\"width\":0,\"height\":24", "images have edges"),
        ("\"width\":40,\"height\":24", "\"width\":41,\"height\":24", "are not the labels of 984 pixels"),
        ("\"bands\":3", "\"bands\":0", "images have edges"),
        ("\"bands\":3", "\"bands\":4097", "images have edges"),
        ("\"uint8\"", "\"complex64\"", "unknown variant"),
        ("\"255\":10", &format!("\"255\":{max}"), "are not the labels"),
        ("\"255\":10", "\"255\":9", "are not the labels"),
        ("\"255\":10", "\"255\":10,\"254\":0", "are not the labels"),
        ("\"255\":10", "\"256\":10", "expected u8"),
        ("a/x0_y0_40x24", "a/x40_y0_40x24", "is there twice"),
        ("a/x0_y0_40x24", "../x0_y0_40x24", "is no name of a chip"),
        ("a/x0_y0_40x24", "a/x0_y0_0x24", "a window without pixels"),
    ] {
        assert!(good.contains(from), "{from} in {good}");
        let error = parse(&good.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(wanted), "{to}: {error}");
    }
    assert!(matches!(index.check_tar(3), Err(BadIndex::OtherTar { got: 3, .. })));
}

fn one_at(col: i64) -> Chip {
    chip("a", WindowPx::new(col, 0, 40, 24), SIZE, 3, SampleType::Uint8)
}

#[test]
fn no_change_of_a_byte_and_no_cut_makes_the_index_panic() {
    let good = json_of(&all_kinds()[..3]).into_bytes();
    for at in 0..good.len() {
        fuzz_index(&good[..at]);
        for byte in [0, b'0', b'9', b'-', b'e', b'"', b'}', b']', 255] {
            let mut bad = good.clone();
            bad[at] = byte;
            fuzz_index(&bad);
        }
    }
    let deep = "[".repeat(100_000);
    assert!(parse(&format!("{{\"version\":\"1\",\"tar_len\":1024,\"chips\":{deep}")).is_err());
}

#[test]
fn no_change_of_a_byte_makes_a_chip_panic_or_change_its_labels() {
    for chip in [one(3, SampleType::Uint8), one(5, SampleType::Float32)] {
        let (tar, index) = shard(std::slice::from_ref(&chip));
        let entry = &index.chips()[0];
        for at in 0..slice(&tar, entry).len() {
            for change in [1, 0x80, 0xff] {
                let mut bad = slice(&tar, entry).to_vec();
                bad[at] ^= change;
                if let Ok(read) = read_chip(&bad, entry) {
                    assert_eq!((read.key(), read.counts()), (chip.key(), chip.counts()));
                    assert_eq!(read.image.shape(), chip.image.shape());
                    // A PNG has check sums.
                    assert!(chip.image.shape().bands > 4 || read.image == chip.image, "byte {at}");
                }
            }
        }
    }
}

#[test]
fn a_tar_that_was_cut_off_or_shifted_is_no_chip() {
    let (tar, index) = shard(&[one(3, SampleType::Uint8), one_at(40)]);
    let entries = index.chips();
    let whole = slice(&tar, &entries[0]);
    for len in (0..whole.len()).step_by(37) {
        assert!(
            matches!(cause(read_chip(&whole[..len], &entries[0])), Cause::Length { got, .. } if got == len)
        );
    }
    let shifted = &tar[1..=whole.len()];
    assert!(matches!(cause(read_chip(shifted, &entries[0])), Cause::Header(_)));
}

fn cause(read: Result<Chip, BadRead>) -> Cause {
    read.unwrap_err().source
}

#[test]
fn an_index_of_another_tar_is_found_out() {
    // The same lengths, and another window.
    let (tar, _) = shard(&[one_at(41)]);
    let (_, index) = shard(&[one_at(40)]);
    let entry = &index.chips()[0];
    let error = read_chip(slice(&tar, entry), entry).unwrap_err().to_string();
    assert!(error.contains("the tar does not have a/x40_y0_40x24.json where the index says"), "{error}");
}

#[test]
fn images_of_another_shape_than_the_index_says_are_refused() {
    for (bands, samples, from, to, wanted) in [
        (3, SampleType::Uint8, "\"bands\":3", "\"bands\":4", "shape"),
        (1, SampleType::Uint8, "\"uint8\"", "\"uint16\"", "shape"),
        (5, SampleType::Float32, "\"float32\"", "\"int32\"", "shape"),
    ] {
        let (tar, _) = shard(&[one(bands, samples)]);
        let entry = entry(&json_of(&[one(bands, samples)]).replace(from, to));
        assert!(
            matches!(cause(read_chip(slice(&tar, &entry), &entry)), Cause::Differs(what) if what == wanted)
        );
    }
}

/// Replaces a member's data by others of the same length, in the tar of one chip.
fn with_member(chip: &Chip, member: fn(&Entry) -> swath_shard::index::Member, data: &[u8]) -> Cause {
    let (mut tar, index) = shard(std::slice::from_ref(chip));
    let entry = &index.chips()[0];
    let (at, len) = (member(entry).at as usize, member(entry).len as usize);
    assert!(data.len() <= len, "{} bytes do not fit into {len}", data.len());
    tar[at..at + len].fill(0);
    tar[at..at + data.len()].copy_from_slice(data);
    cause(read_chip(slice(&tar, entry), entry))
}

fn png_header(width: u32, height: u32, depth: u8, color: u8) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    chunk.extend([depth, color, 0, 0, 0]);
    let crc = (!chunk.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    }))
    .to_be_bytes();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".as_slice(), &chunk, &crc].concat()
}

#[test]
fn a_png_that_would_unpack_to_more_than_the_index_says_is_not_unpacked() {
    let chip = one(3, SampleType::Uint8);
    for (header, wanted) in [
        (png_header(60_000, 60_000, 8, 2), "60000x60000 px"),
        (png_header(40, 24, 16, 2), "Sixteen"),
        (png_header(40, 24, 8, 6), "Rgba"),
        (png_header(40, 24, 8, 3), "Indexed"),
    ] {
        let error = with_member(&chip, Entry::image, &header).to_string();
        assert!(error.contains(wanted) && error.contains("the index says"), "{error}");
    }
    let error = with_member(&chip, Entry::label, &png_header(1 << 30, 1, 8, 0)).to_string();
    assert!(error.contains("the label can't be read: a PNG of 1073741824x1 px"), "{error}");
    assert!(matches!(with_member(&chip, Entry::image, &png_header(40, 24, 8, 2)), Cause::Png(_)));
    assert!(matches!(with_member(&chip, Entry::image, b"GIF89a"), Cause::Png(_)));
}

#[test]
fn an_npy_of_another_type_or_order_is_refused() {
    let chip = one(5, SampleType::Float32);
    let npy =
        |dict: &str| [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), format!("{dict:<117}\n").as_bytes()].concat();
    for dict in [
        "{'descr': '>f4', 'fortran_order': False, 'shape': (24, 40, 5), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (24, 40, 5), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (24, 40, 5), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 24, 5), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (24, 40, 5), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    ] {
        let error = with_member(&chip, Entry::image, &npy(dict)).to_string();
        assert!(error.contains(&dict[..20]) && error.contains("the index says"), "{error}");
    }
    for cut in [0, 7, 8, 9, 10] {
        let whole = npy("{}");
        assert!(matches!(with_member(&chip, Entry::image, &whole[..cut]), Cause::Npy(_)));
    }
}

#[test]
fn an_image_is_as_long_as_its_shape_says() {
    let shape = Shape::new(SIZE, 3, SampleType::Uint16);
    assert!(matches!(Image::new(shape, vec![0; 5759]), Err(BadImage::Length { got: 5759, .. })));
    assert!(Image::new(shape, vec![0; 5760]).is_ok());
    let vast = Shape { width: 16384, height: 16384, bands: 4096, samples: SampleType::Float64 };
    assert_eq!(vast.byte_len(), Err(BadImage::Shape(vast)));
}
