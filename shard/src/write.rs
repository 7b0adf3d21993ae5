//! Lays chips out as a tar whose bytes depend on the chips alone.

use std::{
    collections::HashSet,
    io::{self, Write},
};

use tar::{Builder, Header};

use crate::{
    BLOCK,
    chip::{BadChip, Chip, ClassCounts},
    image::Shape,
    index::{BadIndex, Entry, Index, MAX_META_LEN, Member},
    key::ChipKey,
    npy,
    png::{self, Encoding},
};

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("chip {key}: {source}")]
    Chip { key: ChipKey, source: BadChip },
    #[error("chip {key} can't be encoded: {message}")]
    Encode { key: ChipKey, message: String },
    #[error("chip {0} is in the shard already")]
    Twice(ChipKey),
    #[error("the shard can't be written: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Index(#[from] BadIndex),
}

/// A chip's members, compressed. Encoding takes nearly all the time of writing, and may be done on
/// many threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChip {
    key: ChipKey,
    shape: Shape,
    counts: ClassCounts,
    image: Vec<u8>,
    label: Vec<u8>,
    json: Vec<u8>,
}

impl EncodedChip {
    pub fn new(chip: &Chip) -> Result<Self, WriteError> {
        Self::with(chip, Encoding::default())
    }

    pub fn with(chip: &Chip, encoding: Encoding) -> Result<Self, WriteError> {
        let key = chip.key();
        let failed = |message: String| WriteError::Encode { key: key.clone(), message };
        let meta = chip.meta().map_err(|source| WriteError::Chip { key: key.clone(), source })?;
        let json = serde_json::to_vec(&meta).map_err(|e| failed(e.to_string()))?;
        if json.len() as u64 > MAX_META_LEN {
            return Err(failed(format!("{} bytes of JSON", json.len())));
        }
        let shape = chip.image.shape();
        let image = if shape.is_png() {
            png::encode_image(&chip.image, encoding).map_err(|e| failed(e.to_string()))?
        } else {
            npy::encode(&chip.image)
        };
        let label = png::encode_labels(shape, &chip.labels).map_err(|e| failed(e.to_string()))?;
        Ok(Self { key, shape, counts: meta.counts, image, label, json })
    }
}

/// What comes after a chip's key in the names of its members.
pub(crate) fn extensions(shape: Shape) -> [&'static str; 3] {
    [if shape.is_png() { "img.png" } else { "img.npy" }, "label.png", "json"]
}

/// Chips keep the order in which they are pushed.
pub struct ShardWriter<W: Write> {
    tar: Builder<W>,
    at: u64,
    chips: Vec<Entry>,
    keys: HashSet<ChipKey>,
}

impl<W: Write> ShardWriter<W> {
    pub fn new(sink: W) -> Self {
        Self { tar: Builder::new(sink), at: 0, chips: Vec::new(), keys: HashSet::new() }
    }

    pub fn push(&mut self, chip: &Chip) -> Result<(), WriteError> {
        self.push_encoded(EncodedChip::new(chip)?)
    }

    pub fn push_encoded(&mut self, chip: EncodedChip) -> Result<(), WriteError> {
        let EncodedChip { key, shape, counts, image, label, json } = chip;
        if !self.keys.insert(key.clone()) {
            return Err(WriteError::Twice(key));
        }
        let [image_ext, label_ext, json_ext] = extensions(shape);
        let image = self.append(&key, image_ext, &image)?;
        let label = self.append(&key, label_ext, &label)?;
        let json = self.append(&key, json_ext, &json)?;
        self.chips.push(Entry { key, shape, counts, image, label, json });
        Ok(())
    }

    fn append(&mut self, key: &ChipKey, extension: &str, data: &[u8]) -> Result<Member, WriteError> {
        let mut header = Header::new_ustar();
        header.set_path(format!("{key}.{extension}"))?;
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.tar.append(&header, data)?;
        let member = Member { at: self.at + BLOCK, len: data.len() as u64 };
        self.at = member.end();
        Ok(member)
    }

    /// Bytes written so far.
    pub const fn len(&self) -> u64 {
        self.at
    }

    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Ends the tar. Its length is in the index.
    pub fn finish(self) -> Result<(W, Index), WriteError> {
        Ok((self.tar.into_inner()?, Index::of(self.chips)?))
    }
}
