//! A zip file's members, found and unpacked. Check sums of stored ones are handed out, and not held against
//! them: PyTorch can be told to leave them out.

use std::{collections::BTreeMap, io::Read as _, ops::Range};

use flate2::read::DeflateDecoder;

use crate::{
    LOCAL,
    directory::{Limits, Member, members, number},
    error::{Result, ZipError, at_most, malformed},
    source::Source,
};

const LOCAL_LEN: u64 = 30;
const ENCRYPTED: u64 = 1;
const STORED: u64 = 0;
const DEFLATED: u64 = 8;

/// What kind of file a mode is of, and the kind that leads to another.
const KIND: u64 = 0o170_000;
const LINK: u64 = 0o120_000;

/// The members of a zip file, by name.
#[derive(Debug)]
pub struct Zip<'s> {
    source: &'s Source,
    members: BTreeMap<String, Member>,
}

impl<'s> Zip<'s> {
    pub fn open(source: &'s Source, limits: Limits) -> Result<Self> {
        Ok(Self { source, members: members(source, limits)? })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Whether a member is a symbolic link.
    pub fn is_link(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|member| member.mode & KIND == LINK)
    }

    /// What the directory says that a member's check sum is.
    pub fn crc32(&self, name: &str) -> Option<u32> {
        self.members.get(name).map(|member| member.crc32)
    }

    /// Where the bytes of a member lie.
    pub fn range(&self, name: &str) -> Result<Range<u64>> {
        let member = self.member(name)?;
        if member.flags & ENCRYPTED != 0 || member.method != STORED || member.packed_len != member.len {
            return Err(ZipError::Packed);
        }
        self.place(name, member)
    }

    /// The bytes of a member, `most` of them, unpacked where they are compressed, and held against their check sum. For zip
    /// files of others: ours are stored.
    pub fn unpacked(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        let member = self.member(name)?;
        at_most(member.len, most, "bytes of a member of a zip file")?;
        if member.flags & ENCRYPTED != 0 || ![STORED, DEFLATED].contains(&member.method) {
            return Err(ZipError::Packed);
        }
        let packed = self.source.read(self.place(name, member)?)?;
        let bytes = if member.method == STORED { packed } else { inflate(&packed, member.len)? };
        match bytes.len() as u64 == member.len && crc32fast::hash(&bytes) == member.crc32 {
            true => Ok(bytes),
            false => malformed("a zip member that is not what its check sum says"),
        }
    }

    fn member(&self, name: &str) -> Result<&Member> {
        match self.members.get(name) {
            Some(member) => Ok(member),
            None => malformed("a zip file without this member"),
        }
    }

    /// Of a member as it is in the file.
    fn place(&self, name: &str, member: &Member) -> Result<Range<u64>> {
        let name_at = member.header_at.saturating_add(LOCAL_LEN);
        let header = self.source.read(member.header_at..name_at)?;
        if !header.starts_with(LOCAL) {
            return malformed("a zip member that is not where the directory says");
        }
        let (name_len, extra_len) = (number(&header, 26, 2)?, number(&header, 28, 2)?);
        if self.source.read(name_at..name_at.saturating_add(name_len))? != name.as_bytes() {
            return malformed("a zip member of another name than the directory says");
        }
        let from = name_at + name_len + extra_len;
        match from.checked_add(member.packed_len) {
            Some(end) if end <= self.source.len() => Ok(from..end),
            _ => malformed("a zip member that goes on behind the end of the file"),
        }
    }
}

fn inflate(packed: &[u8], len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than it says shows that it lied, and no more is made of it.
    let mut unpacking = DeflateDecoder::new(packed).take(len.saturating_add(1));
    unpacking.read_to_end(&mut bytes).map_err(ZipError::io("it can't be unpacked"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        END, ENTRY,
        directory::{END_64, END_64_LOCATOR, ENTRY_LEN},
    };

    const MEMBERS: [(&str, &[u8]); 3] = [("a/x", b"first"), ("a/y", b""), ("a/z", b"third member")];

    const LIMITS: Limits = Limits { members: 100, directory_len: 10_000 };

    /// A plain archive of stored members.
    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, body) in members {
            let at = bytes.len() as u32;
            let sizes = [(body.len() as u32).to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
            let name_len = (name.len() as u16).to_le_bytes();
            bytes.extend([LOCAL, &[0; 14], &sizes, &name_len, &[0; 2], name.as_bytes(), body].concat());
            let place = [&[0; 12], at.to_le_bytes().as_slice()].concat();
            directory.extend([ENTRY, &[0; 16], &sizes, &name_len, &place, name.as_bytes()].concat());
        }
        let n = (members.len() as u16).to_le_bytes();
        let at = (bytes.len() as u32).to_le_bytes();
        let len = (directory.len() as u32).to_le_bytes();
        [
            bytes,
            directory,
            END.to_vec(),
            vec![0; 4],
            n.to_vec(),
            n.to_vec(),
            len.to_vec(),
            at.to_vec(),
            vec![0; 2],
        ]
        .concat()
    }

    /// All members, or what is wrong.
    fn bodies(bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, String> {
        let source = Source::from(bytes);
        let zip = Zip::open(&source, LIMITS).map_err(|problem| problem.to_string())?;
        let body = |name| zip.range(name).and_then(|range| source.read(range));
        zip.names().map(|name| body(name).map_err(|problem| problem.to_string())).collect()
    }

    fn find(bytes: &[u8], what: &[u8]) -> usize {
        bytes.windows(what.len()).position(|window| window == what).unwrap()
    }

    #[test]
    fn members_are_found() {
        let wanted: Vec<_> = MEMBERS.iter().map(|(_, body)| body.to_vec()).collect();
        assert_eq!(bodies(zip(&MEMBERS)).unwrap(), wanted);
        let mut commented = zip(&MEMBERS);
        let comment_len = commented.len() - 2;
        commented[comment_len] = 7;
        commented.extend(b"PK\x05\x06abc");
        assert_eq!(bodies(commented).unwrap(), wanted);
        assert!(bodies(zip(&[])).unwrap().is_empty());
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = crate::ZipWriter::new(Vec::new());
        for (name, body) in MEMBERS {
            writer.member(name, &Source::from(body.to_vec())).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let source = Source::from(bytes.clone());
        let zip = Zip::open(&source, LIMITS).unwrap();
        assert_eq!((zip.crc32("a/x"), zip.crc32("b")), (Some(crc32fast::hash(b"first")), None));
        assert!(!zip.is_link("a/x"));
        let wanted: Vec<_> = MEMBERS.iter().map(|(_, body)| body.to_vec()).collect();
        assert_eq!(bodies(bytes).unwrap(), wanted);
    }

    #[test]
    fn members_that_are_compressed_are_unpacked_up_to_a_limit() {
        use std::io::Write as _;
        let body = b"again and again and again and again".repeat(20);
        let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        packed.write_all(&body).unwrap();
        let mut bytes = zip(&[("a", &packed.finish().unwrap())]);
        let entry = find(&bytes, ENTRY);
        bytes[entry + 10] = 8;
        bytes[entry + 16..entry + 20].copy_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes[entry + 24..entry + 28].copy_from_slice(&(body.len() as u32).to_le_bytes());
        let unpacked = |bytes: &[u8], most| {
            let source = Source::from(bytes.to_vec());
            let zip = Zip::open(&source, LIMITS).unwrap();
            assert!(matches!(zip.range("a"), Err(ZipError::Packed)));
            zip.unpacked("a", most).map_err(|error| error.to_string())
        };
        assert_eq!(unpacked(&bytes, 700).unwrap(), body);
        assert!(unpacked(&bytes, 699).unwrap_err().contains("at most 699"));
        for (at, value) in [(16, 1), (24, 1), (24, 0xff), (10, 12)] {
            let mut bad = bytes.clone();
            bad[entry + at] = value;
            assert!(unpacked(&bad, 1 << 20).is_err(), "{at}");
        }
    }

    #[test]
    fn a_directory_that_asks_for_much_is_refused() {
        let source = Source::from(zip(&MEMBERS));
        for limits in [Limits { members: 2, ..LIMITS }, Limits { directory_len: 140, ..LIMITS }] {
            assert!(matches!(Zip::open(&source, limits), Err(ZipError::TooMuch { .. })), "{limits:?}");
        }
    }

    #[test]
    fn sizes_and_places_of_64_bits_are_followed() {
        let mut bytes = zip(&MEMBERS[..1]);
        let end = find(&bytes, END);
        let entry = find(&bytes, ENTRY);
        let wide = [5u64, 5, 0].map(u64::to_le_bytes).concat();
        bytes.truncate(end);
        bytes[entry + 20..entry + 28].fill(0xff);
        bytes[entry + 42..entry + 46].fill(0xff);
        // Another field comes first.
        bytes[entry + 30] = 4 + 2 + 4 + 24;
        bytes.extend([&[9, 9, 2, 0, 1, 1, 1, 0, 24, 0], wide.as_slice()].concat());
        let end_64 = bytes.len() as u64;
        bytes.extend([END_64, &[0; 28]].concat());
        bytes.extend([1, end_64 - entry as u64, entry as u64].map(u64::to_le_bytes).concat());
        bytes.extend(
            [END_64_LOCATOR, &[0; 4], &end_64.to_le_bytes(), &[0; 4], END, &[0xff; 16], &[0; 2]].concat(),
        );
        assert_eq!(bodies(bytes.clone()).unwrap(), [b"first"]);
        for at in [entry + 61, entry + 69, entry + 77] {
            let mut far = bytes.clone();
            far[at..at + 8].fill(0xff);
            assert!(bodies(far).is_err());
        }
    }

    #[test]
    fn archives_that_mislead_are_refused() {
        let good = zip(&MEMBERS);
        let (entry, end) = (find(&good, ENTRY), find(&good, END));
        let refuse = |change: &dyn Fn(&mut Vec<u8>), words: &str| {
            let mut bytes = good.clone();
            change(&mut bytes);
            let problem = bodies(bytes).unwrap_err();
            assert!(problem.contains(words), "{problem}");
        };
        refuse(&|b| b[entry + ENTRY_LEN + 2] = b'y', "two members of one name, such as 'a/y'");
        refuse(&|b| b[entry + ENTRY_LEN + 2] = b'w', "of another name than the directory says");
        refuse(&|b| b[entry + ENTRY_LEN] = 0xff, "whose name is not UTF-8");
        refuse(&|b| b[entry + 42] = 1, "not where the directory says");
        refuse(&|b| b[entry + 45] = 0x7f, "are wanted of");
        refuse(&|b| b[entry + 8] = 1, "compressed or encrypted");
        refuse(&|b| b[entry + 10] = 8, "compressed or encrypted");
        refuse(&|b| b[entry + 20] = 1, "compressed or encrypted");
        refuse(&|b| (b[entry + 23], b[entry + 27]) = (0x7f, 0x7f), "goes on behind the end");
        refuse(&|b| b[entry + 28] = 0xff, "directory ends within a member");
        refuse(&|b| b[end + 10] = 2, "more of a directory than it says");
        refuse(&|b| b[end + 10] = 4, "less of a directory than it says");
        refuse(&|b| b[end + 15] = 1, "directory is not before its end");
        refuse(&|b| b[end + 19] = 0xff, "directory is not before its end");
        refuse(&|b| b.push(0), "without its end");
        refuse(&|b| b.truncate(end), "without its end");
        refuse(&|b| b.clear(), "without its end");
    }
}
