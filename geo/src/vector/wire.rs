//! A fragment's bytes, read with suspicion: they come from a store that others can write to.
//!
//! ```text
//! magic     8 bytes   "swathvf\0"
//! version   u32, little-endian: 1
//! item      column, row, width, height
//! regions   their number; for each
//!             pixels, sum of scores
//!             contacts: their number; for each  from the side's start << 2 | side
//!             chains: their number; for each
//!               row and column of the first corner, from the item's
//!               segments: their number; for each  length << 2 | direction
//! ```
//!
//! Numbers are LEB128; sides and directions are 0 to 3: down, right, up, left. What is checked here
//! is all that a fragment tells by itself; whether it fits its neighbours is seen when they join.

use swath_proto::geometry::RectPx;

use super::{
    cells::{first_along, length_along},
    chains::Chain,
    corner::{Corner, Direction},
    fragment::{Contact, Fragment, Region},
    regions::Tally,
};

const MAGIC: &[u8; 8] = b"swathvf\0";
const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFragment {
    #[error("this is no fragment of polygons")]
    Magic,
    #[error("version {0} of the fragment is not known; this program reads version {VERSION}")]
    Version(u32),
    #[error("a fragment ends before all that it lists")]
    Short,
    #[error("a fragment has {0} bytes too many")]
    Long(usize),
    #[error("a fragment does not add up: {0}")]
    Inconsistent(&'static str),
}

impl Fragment {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        let mut put = |number: u64| put_number(&mut out, number);
        let Self { item, regions } = self;
        [item.col, item.row, item.width, item.height].into_iter().for_each(|number| put(number.into()));
        put(regions.len() as u64);
        for Region { tally, contacts, chains } in regions {
            put(tally.pixels);
            put(tally.score_sum);
            put(contacts.len() as u64);
            for &Contact { side, at } in contacts {
                put(tagged(at - first_along(*item, side), side));
            }
            put(chains.len() as u64);
            for Chain(corners) in chains {
                let segments = || {
                    corners.windows(2).filter_map(|ends| {
                        let towards = Direction::between(ends[0], ends[1])?;
                        Some(tagged(ends[0].distance(ends[1]), towards))
                    })
                };
                put((corners[0].row - item.row).into());
                put((corners[0].col - item.col).into());
                put(segments().count() as u64);
                segments().for_each(&mut put);
            }
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadFragment> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(BadFragment::Magic)?;
        let (version, rest) = rest.split_first_chunk().ok_or(BadFragment::Short)?;
        match u32::from_le_bytes(*version) {
            VERSION => {}
            other => return Err(BadFragment::Version(other)),
        }
        let mut reader = Reader(rest);
        let fragment = reader.fragment()?;
        match reader.0.len() {
            0 => Ok(fragment),
            more => Err(BadFragment::Long(more)),
        }
    }
}

fn tagged(number: u32, direction: Direction) -> u64 {
    u64::from(number) << 2 | direction as u64
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Result<u64, BadFragment> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(BadFragment::Short)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(BadFragment::Inconsistent("a number of more than 64 bits"))
    }

    fn small(&mut self) -> Result<u32, BadFragment> {
        let number = self.number()?;
        number.try_into().map_err(|_| BadFragment::Inconsistent("a coordinate of more than 32 bits"))
    }

    fn tagged(&mut self) -> Result<(u32, Direction), BadFragment> {
        let number = self.number()?;
        let direction = Direction::ALL[number as usize & 3];
        let number = (number >> 2).try_into();
        number
            .map(|number| (number, direction))
            .map_err(|_| BadFragment::Inconsistent("a length of more than 32 bits"))
    }

    /// As many as it says come next. Room is made as they come, and each takes a byte at
    /// least: a wrong number can't ask for much.
    fn list<T, L: FromIterator<T>>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, BadFragment>,
    ) -> Result<L, BadFragment> {
        (0..self.number()?).map(|_| one(self)).collect()
    }

    fn fragment(&mut self) -> Result<Fragment, BadFragment> {
        let item = RectPx::new(self.small()?, self.small()?, self.small()?, self.small()?);
        let ends = |at: u32, len: u32| len > 0 && at.checked_add(len).is_some();
        if !ends(item.col, item.width) || !ends(item.row, item.height) {
            return Err(BadFragment::Inconsistent("an item that is empty or too far out"));
        }
        let mut pixels_left = item.pixels();
        let regions = self.list(|reader| reader.region(item, &mut pixels_left))?;
        Ok(Fragment { item, regions })
    }

    fn region(&mut self, item: RectPx, pixels_left: &mut u64) -> Result<Region, BadFragment> {
        let (pixels, score_sum) = (self.number()?, self.number()?);
        if pixels == 0 || pixels > *pixels_left {
            return Err(BadFragment::Inconsistent("a region with no pixels or more than its item"));
        }
        *pixels_left -= pixels;
        if score_sum.div_ceil(u8::MAX.into()) > pixels {
            return Err(BadFragment::Inconsistent("scores of more than 255 a pixel"));
        }
        let contacts = self.list(|reader| reader.contact(item))?;
        let chains = self.list(|reader| reader.chain(item))?;
        Ok(Region { tally: Tally { pixels, score_sum }, contacts, chains })
    }

    fn contact(&mut self, item: RectPx) -> Result<Contact, BadFragment> {
        let (along, side) = self.tagged()?;
        if along >= length_along(item, side) {
            return Err(BadFragment::Inconsistent("a contact beyond the end of its side"));
        }
        Ok(Contact { side, at: first_along(item, side) + along })
    }

    fn chain(&mut self, item: RectPx) -> Result<Chain, BadFragment> {
        let (row, col) = (self.small()?, self.small()?);
        if row > item.height || col > item.width {
            return Err(BadFragment::Inconsistent("an outline outside its item"));
        }
        let mut at = Corner::new(item.row + row, item.col + col);
        let mut last = None;
        let mut corners = vec![at];
        corners.extend(self.list::<_, Vec<_>>(|reader| {
            let (len, towards) = reader.tagged()?;
            let room = match towards {
                Direction::Down => item.bottom() - at.row,
                Direction::Right => item.right() - at.col,
                Direction::Up => at.row - item.row,
                Direction::Left => at.col - item.col,
            };
            if len == 0 || len > room {
                return Err(BadFragment::Inconsistent("an outline outside its item"));
            }
            if last.is_some_and(|last: Direction| towards != last.left() && towards != last.right()) {
                return Err(BadFragment::Inconsistent("an outline that does not turn at a corner"));
            }
            last = Some(towards);
            at = at.step(towards, len);
            Ok(at)
        })?);
        if corners.len() < 2 {
            return Err(BadFragment::Inconsistent("an outline without a side"));
        }
        Ok(Chain(corners))
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use swath_proto::geometry::SizePx;

    use super::*;
    use crate::vector::{join::polygons, tests::Raster};

    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/fragment-v1.bin");

    fn raster() -> Raster {
        Raster::drawn(&["####.#", "#..#.#", "#.##..", "##...#", "..####", "####.."])
    }

    /// The one in the middle, with chains and contacts of all kinds.
    fn sample() -> Fragment {
        raster().fragments(0, &[1, 5], &[1, 5]).swap_remove(4)
    }

    fn bytes_of(numbers: &[u64]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
        numbers.iter().for_each(|&number| put_number(&mut bytes, number));
        bytes
    }

    fn read(numbers: &[u64]) -> Result<Fragment, BadFragment> {
        Fragment::from_bytes(&bytes_of(numbers))
    }

    #[test]
    fn a_fragment_written_by_version_1_still_reads() {
        let bytes = std::fs::read(SAMPLE).unwrap();
        assert_eq!(Fragment::from_bytes(&bytes).unwrap(), sample());
        assert_eq!(sample().to_bytes(), bytes);
    }

    #[test]
    #[ignore = "writes the sample of a new version; those that exist are frozen"]
    fn freeze_the_sample() {
        assert!(!std::path::Path::new(SAMPLE).exists(), "{SAMPLE} is frozen");
        std::fs::write(SAMPLE, sample().to_bytes()).unwrap();
    }

    #[test]
    fn one_pixel_takes_this_many_bytes() {
        let (down, right, up, left) = (1 << 2, 1 << 2 | 1, 1 << 2 | 2, 1 << 2 | 3);
        let bytes = bytes_of(&[300, 7, 1, 1, 1, 1, 200, 0, 1, 0, 0, 4, down, right, up, left]);
        let fragment = Fragment::from_bytes(&bytes).unwrap();
        assert_eq!(fragment.item(), RectPx::new(300, 7, 1, 1));
        let corners = [(7, 300), (8, 300), (8, 301), (7, 301), (7, 300)];
        assert_eq!(fragment.regions[0].chains[0].0, corners.map(|(row, col)| Corner::new(row, col)));
        assert_eq!((fragment.to_bytes(), bytes.len()), (bytes, 30));
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_an_error() {
        let bytes = sample().to_bytes();
        for len in 0..bytes.len() {
            assert!(Fragment::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
        }
        let longer = [&bytes[..], &[0, 0]].concat();
        assert_eq!(Fragment::from_bytes(&longer), Err(BadFragment::Long(2)));
    }

    #[test]
    fn another_magic_or_version_is_an_error() {
        let mut bytes = sample().to_bytes();
        bytes[8] = 2;
        assert_eq!(Fragment::from_bytes(&bytes), Err(BadFragment::Version(2)));
        bytes[0] ^= 1;
        assert_eq!(Fragment::from_bytes(&bytes), Err(BadFragment::Magic));
    }

    #[test]
    fn numbers_that_do_not_add_up_are_errors() {
        let far = u64::from(u32::MAX);
        let right = |len: u64| len << 2 | 1;
        for (numbers, wanted) in [
            (&[0, 0, 0, 1, 0][..], "an item that is empty or too far out"),
            (&[0, 0, 1, 0, 0], "an item that is empty or too far out"),
            (&[far, 0, 1, 1, 0], "an item that is empty or too far out"),
            (&[0, far + 1, 1, 1, 0], "a coordinate of more than 32 bits"),
            (&[0, 0, 2, 1, 1, 0, 0, 0, 0], "a region with no pixels or more than its item"),
            (&[0, 0, 2, 1, 1, 3, 0, 0, 0], "a region with no pixels or more than its item"),
            (&[0, 0, 2, 1, 2, 1, 0, 0, 0, 2, 0, 0, 0], "a region with no pixels or more than its item"),
            (&[0, 0, 2, 1, 1, 2, 511, 0, 0], "scores of more than 255 a pixel"),
            (&[0, 0, far, far, 1, 1, u64::MAX, 0, 0], "scores of more than 255 a pixel"),
            (&[0, 0, 2, 1, 1, 2, 0, 1, 2 << 2, 0], "a contact beyond the end of its side"),
            (&[0, 0, 2, 1, 1, 2, 0, 1, right(1), 0], "a contact beyond the end of its side"),
            (&[0, 0, 2, 1, 1, 2, 0, 1, 1 << 34, 0], "a length of more than 32 bits"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 0, 0], "an outline without a side"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 2, 0, 1, right(1)], "an outline outside its item"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 3, 1, right(1)], "an outline outside its item"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 0, 1, right(3)], "an outline outside its item"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 0, 1, right(0)], "an outline outside its item"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 0, 1, 1 << 2 | 2], "an outline outside its item"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 0, 1, 1 << 2 | 3], "an outline outside its item"),
            (&[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 0, 1, 2 << 2], "an outline outside its item"),
            (
                &[0, 0, 2, 1, 1, 2, 0, 0, 1, 0, 0, 2, right(1), right(1)],
                "an outline that does not turn at a corner",
            ),
        ] {
            assert_eq!(read(numbers), Err(BadFragment::Inconsistent(wanted)), "{numbers:?}");
        }
        assert!(read(&[0, 0, 2, 1, 1, 2, 510, 1, 1 << 2, 1, 0, 0, 1, right(2)]).is_ok());
        assert!(read(&[0, 0, far, far, 1, 1 << 60, u64::MAX, 0, 0]).is_ok());
        assert!(read(&[0, 0, 2, 1, 2, 1, 0, 0, 0, 1, 0, 0, 0]).is_ok());
    }

    #[test]
    fn numbers_that_do_not_end_or_count_too_much_are_errors() {
        let mut bytes = bytes_of(&[0, 0, 2]);
        bytes.extend([0xff; 9]);
        assert_eq!(Fragment::from_bytes(&bytes), Err(BadFragment::Short));
        for last in [0x02, 0x7f, 0xff] {
            bytes.truncate(bytes_of(&[0, 0, 2]).len() + 9);
            bytes.extend([last, 0, 0]);
            let wanted = BadFragment::Inconsistent("a number of more than 64 bits");
            assert_eq!(Fragment::from_bytes(&bytes), Err(wanted));
        }
        assert_eq!(read(&[0, 0, 1, 1, u64::MAX]), Err(BadFragment::Short));
        assert_eq!(read(&[0, 0, 1, 1, 1]), Err(BadFragment::Short));
    }

    /// Whatever is still read must join or fail, too.
    #[test]
    fn bytes_that_were_tampered_with_never_panic() {
        let mut rng = StdRng::seed_from_u64(3);
        let all = raster().fragments(0, &[1, 5], &[1, 5]);
        let bytes = sample().to_bytes();
        let mut n_read = 0;
        for case in 0..60_000 {
            let mut bytes = bytes.clone();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(12..bytes.len());
                match case % 3 {
                    0 => bytes[at] ^= 1 << rng.random_range(0..8),
                    1 => bytes[at] = rng.random_range(0..32),
                    _ => bytes.insert(at, rng.random()),
                }
            }
            if let Ok(fragment) = Fragment::from_bytes(&bytes) {
                n_read += 1;
                assert_eq!(Fragment::from_bytes(&fragment.to_bytes()).as_ref(), Ok(&fragment));
                let mut changed = all.clone();
                changed[4] = fragment;
                let _ = polygons(SizePx::new(6, 6), 0, changed);
            }
        }
        assert!(n_read > 500, "only {n_read} were read");
    }
}
