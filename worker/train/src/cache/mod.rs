//! Chips on this machine's disk, decoded: what is read again is copied and not fetched, and not decoded either. A
//! file a shard, with a place for each of its chips; a place says by a check sum whether there is a chip in it, so
//! processes fill one file together, and one that dies in the middle does no harm.

mod room;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use swath_shard::{Chip, ChipKey, Entry, Image, Shape};

pub(crate) use self::room::Room;

/// What ends a place that is taken; with another layout it is another word.
const TAKEN: [u8; 4] = *b"chp1";
/// Places begin where pages of the file system do: what is not written takes no room.
const PAGE: u64 = 4096;

/// Chips of a shard that have a place.
struct Kept {
    /// Where each of them begins in the tar, in the order of places.
    begins: Vec<u64>,
    place_len: u64,
    path: PathBuf,
}

pub(crate) struct Cache {
    /// By the shard's key.
    files: HashMap<String, Kept>,
    /// The disk is full, or worse: nothing more is written.
    is_broken: AtomicBool,
}

impl Cache {
    /// A chip of that shard, if it is kept, and whole.
    pub(crate) fn get(&self, shard: &str, entry: &Entry) -> Option<Chip> {
        let (path, at) = self.place(shard, entry)?;
        match read(path, at, entry) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), chip = %entry.key(), %error, "a chip is fetched anew");
                None
            }
        }
    }

    /// Whether there is a place for it, that can be written to.
    pub(crate) fn keeps(&self, shard: &str, entry: &Entry) -> bool {
        !self.is_broken.load(Ordering::Relaxed) && self.place(shard, entry).is_some()
    }

    pub(crate) fn put(&self, shard: &str, entry: &Entry, chip: &Chip) {
        if self.is_broken.load(Ordering::Relaxed) {
            return;
        }
        let Some((path, at)) = self.place(shard, entry) else { return };
        if let Err(error) = write(path, at, chip)
            && !self.is_broken.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(path = %path.display(), %error, "no more chips are kept: they are fetched each time");
        }
    }

    fn place(&self, shard: &str, entry: &Entry) -> Option<(&Path, u64)> {
        let file = self.files.get(shard)?;
        let place = file.begins.binary_search(&entry.image().at).ok()?;
        Some((&file.path, place as u64 * file.place_len))
    }
}

/// Image, labels, [`TAKEN`] and the check sum of both.
fn place_len(entry: &Entry) -> u64 {
    let image_len = entry.shape().byte_len().unwrap_or(u64::MAX / 2);
    (image_len + entry.shape().pixels() + 8).next_multiple_of(PAGE)
}

/// `None` where the place is empty.
fn read(path: &Path, at: u64, entry: &Entry) -> io::Result<Option<Chip>> {
    let file = File::open(path)?;
    let shape: Shape = entry.shape();
    let image_len = shape.byte_len().map_err(io::Error::other)?;
    let (labels_at, end) = (at + image_len, at + image_len + shape.pixels());
    let mut last = [0; 8];
    let is_there = file.read_exact_at(&mut last, end);
    if is_there.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) || last == [0; 8] {
        return Ok(None);
    }
    is_there?;
    let (mut image, mut labels) = (vec![0; image_len as usize], vec![0; shape.pixels() as usize]);
    file.read_exact_at(&mut image, at)?;
    file.read_exact_at(&mut labels, labels_at)?;
    if last != ending(&image, &labels) {
        return Err(io::Error::other("it is damaged"));
    }
    let ChipKey { scene, window, .. } = entry.key().clone();
    let image = Image::new(shape, image).map_err(io::Error::other)?;
    Ok(Some(Chip { scene, window, draw: None, source_pixel_crs: None, image, labels }))
}

fn write(path: &Path, at: u64, chip: &Chip) -> io::Result<()> {
    let (image, labels) = (chip.image.bytes(), &chip.labels[..]);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let parts = [image, labels, &ending(image, labels)];
    let mut at = at;
    for part in parts {
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(())
}

fn ending(image: &[u8], labels: &[u8]) -> [u8; 8] {
    let sum = crc32c::crc32c_append(crc32c::crc32c(image), labels).to_le_bytes();
    let mut ending = [0; 8];
    ending[..4].copy_from_slice(&TAKEN);
    ending[4..].copy_from_slice(&sum);
    ending
}
