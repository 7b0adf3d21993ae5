//! Which chips are kept, and what goes to make room for them.

use std::{
    collections::{HashMap, HashSet},
    ffi::CString,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::SystemTime,
};

use swath_backends::blobs::Meta;
use swath_proto::ids::Digest;

use super::{Cache, Kept, PAGE, place_len};
use crate::{
    data::Shard,
    error::{Kind, Result, TrainError},
    store::Store,
};

/// In the cache.
pub(super) const FOLDER: &str = "chips";

/// Where chips are kept, and how many more bytes of them may be.
pub(crate) struct Room {
    folder: PathBuf,
    left: u64,
    ours: HashSet<PathBuf>,
}

impl Room {
    /// So many bytes, but no more than half of what the disk has for chips: those that are there, and what is left.
    pub(crate) fn open(cache: &Path, bytes: u64) -> Result<Self> {
        let folder = cache.join(FOLDER);
        let failed = |error: io::Error| failed(&folder, error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let used: u64 = listed(&folder).map_err(failed)?.iter().map(|(_, len, _)| len).sum();
        let left = bytes.min(used.saturating_add(free(&folder).map_err(failed)?) / 2);
        Ok(Self { folder, left, ours: HashSet::new() })
    }

    /// For all chips of these shards, or for as many of the first as there is room for.
    /// Where `tars` has none for a shard, nothing is known to tell its content by, and nothing of it is kept.
    pub(crate) fn keep(&mut self, store: &Store, shards: &[Shard], tars: &[Option<Meta>]) -> Result<Cache> {
        let mut files = HashMap::new();
        for (shard, tar) in shards.iter().zip(tars) {
            let Some(tar) = tar else { continue };
            let chips = shard.index.chips();
            let place_len = chips.iter().map(place_len).max().unwrap_or(PAGE);
            let n_kept = (self.left / place_len).min(chips.len() as u64);
            if n_kept > 0 && !files.contains_key(&shard.key) {
                self.left -= n_kept * place_len;
                let begins = chips[..n_kept as usize].iter().map(|entry| entry.image().at).collect();
                let path = self.folder.join(name(store, shard, tar)?);
                self.ours.insert(path.clone());
                files.insert(shard.key.clone(), Kept { begins, place_len, path });
            }
        }
        Ok(Cache { files, is_broken: AtomicBool::new(false) })
    }

    /// Takes away what other trainings have left, the oldest first, until what is left of the room holds it.
    pub(crate) fn clear(self) -> Result<()> {
        let failed = |error: io::Error| failed(&self.folder, error);
        let (ours, mut others): (Vec<_>, Vec<_>) = listed(&self.folder)
            .map_err(failed)?
            .into_iter()
            .partition(|(_, _, path)| self.ours.contains(path));
        for (_, _, path) in ours {
            // It counts as used now.
            File::open(&path).and_then(|file| file.set_modified(SystemTime::now())).map_err(failed)?;
        }
        others.sort_by(|one, other| other.cmp(one));
        let mut left = self.left;
        for (_, len, path) in others {
            match left.checked_sub(len) {
                Some(rest) => left = rest,
                // Another process may be clearing too.
                None => match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                    _ => left = 0,
                },
            }
        }
        Ok(())
    }
}

fn failed(folder: &Path, error: io::Error) -> TrainError {
    TrainError::new(Kind::Config, format!("keeping chips in {}: {error}", folder.display()))
}

/// When each file was used last, what it takes of the disk, and its path.
fn listed(folder: &Path) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(meta) => files.push((meta.modified()?, meta.blocks() * 512, entry.path())),
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// Bytes that this user may still write.
fn free(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: zeroes are a valid statvfs, the path ends with a zero, and the call only writes into its argument.
    let (told, disk) = unsafe {
        let mut disk = std::mem::zeroed::<libc::statvfs>();
        (libc::statvfs(path.as_ptr(), &mut disk), disk)
    };
    if told == 0 { Ok(disk.f_bavail.saturating_mul(disk.f_frsize)) } else { Err(io::Error::last_os_error()) }
}

/// Of what decides a file's content: where the tar is, what state it is in, and how it was read.
fn name(store: &Store, shard: &Shard, tar: &Meta) -> Result<String> {
    let wrong = |error| TrainError::data(format!("{}: {error}", shard.key));
    let words = (store.uri(&shard.key), tar.len, &tar.tag, shard.index.chips());
    Ok(Digest::of(&serde_json::to_vec(&words).map_err(wrong)?).to_string())
}
