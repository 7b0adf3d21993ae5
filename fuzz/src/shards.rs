//! Shards: the index, and chips where it says that they are.

use swath_shard::{Index, ShardWriter, fuzz_index, read_chip};

use crate::{Target, sample};

pub(crate) const INDEX: Target = Target {
    name: "shard_index",
    run: fuzz_index,
    samples: || vec![sample("shard/samples/shard-v1.idx")],
    tokens: &[b"uint16", b"int8", b"float64", b"_d1", b"18446744073709551615", b"\"255\":"],
};
pub(crate) const CHIP: Target = Target {
    name: "shard_chip",
    run: chips,
    samples: shards_of_one,
    tokens: &[
        b"ustar\x0000",
        b"\x89PNG\r\n\x1a\n",
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"acTL",
        b"fcTL",
        b"fdAT",
        b"zTXt",
        b"iCCP",
        b"\x93NUMPY\x01\x00",
        b"'fortran_order': True",
        b"'descr': '>f4'",
    ],
};

/// More than any sample has; a larger image takes its time and shows nothing new.
const MAX_PIXELS_LEN: u64 = 1 << 24;

/// An index, a line feed, and the tar.
fn chips(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return };
    let (index, tar) = (&bytes[..end], &bytes[end + 1..]);
    let Ok(index) = Index::parse(index) else { return };
    for entry in index.chips() {
        let range = entry.range();
        let Some(bytes) = tar.get(range.start as usize..range.end as usize) else { continue };
        if entry.shape().byte_len().is_ok_and(|len| len > MAX_PIXELS_LEN) {
            continue;
        }
        if let Ok(chip) = read_chip(bytes, entry) {
            assert_eq!((&chip.key(), &chip.counts()), (entry.key(), entry.counts()));
            assert_eq!(chip.image.shape(), entry.shape());
            let mut writer = ShardWriter::new(Vec::new());
            writer.push(&chip).unwrap_or_else(|error| panic!("what was read can't be written: {error}"));
            let (tar, index) = writer.finish().unwrap_or_else(|error| panic!("{error}"));
            let again = read_chip(&tar[..index.chips()[0].range().end as usize], &index.chips()[0]);
            assert_eq!(again.ok().as_ref(), Some(&chip));
        }
    }
}

/// Each chip of the sample in a shard of its own.
fn shards_of_one() -> Vec<Vec<u8>> {
    let (index, tar) = (sample("shard/samples/shard-v1.idx"), sample("shard/samples/shard-v1.tar"));
    let index = Index::parse(&index).unwrap_or_else(|error| panic!("{error}"));
    let one = |entry: &swath_shard::Entry| {
        let range = entry.range();
        let chip = read_chip(&tar[range.start as usize..range.end as usize], entry).ok()?;
        let mut writer = ShardWriter::new(Vec::new());
        writer.push(&chip).ok()?;
        let (tar, index) = writer.finish().ok()?;
        Some([index.to_bytes().ok()?, b"\n".to_vec(), tar].concat())
    };
    index.chips().iter().filter_map(one).collect()
}
