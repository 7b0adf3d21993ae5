//! Blobs in a folder. A new object is written under a temporary name and linked to its own: the
//! file system lets the first link win, and nobody ever sees half a file.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::anyhow;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use tempfile::NamedTempFile;

use super::{Blobs, Listed, Meta, Piece, Put};
use crate::{Error, Kind, Result};

/// Where files are written before they have a name; on the same file system.
const TEMPORARY: &str = ".tmp";
/// What is older was left behind by a process that died.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone)]
pub struct Folder {
    root: Arc<Path>,
}

impl Folder {
    pub fn open(root: &Path) -> Result<Self> {
        let doing = || format!("opening the folder {}", root.display());
        let failed = |error: io::Error| Error::new(Kind::Config, doing(), error);
        let temporary = root.join(TEMPORARY);
        fs::create_dir_all(&temporary).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        for entry in fs::read_dir(&temporary).map_err(failed)?.flatten() {
            let changed = entry.metadata().and_then(|meta| meta.modified());
            let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
            if age.is_some_and(|age| age > LEFT_BEHIND) {
                // Another process may be cleaning too.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { root: root.into() })
    }

    /// For those who only look: makes nothing. A folder that is not there is empty.
    pub fn at(root: &Path) -> Result<Self> {
        let doing = || format!("opening the folder {}", root.display());
        let root = real(root).map_err(|error| Error::new(Kind::Config, doing(), error))?;
        Ok(Self { root: root.into() })
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        if !key.split('/').all(is_name) || key.contains('\0') {
            let why = anyhow!("keys are names separated by single slashes");
            return Err(Error::new(Kind::Config, format!("using the key '{key}'"), why));
        }
        Ok(self.root.join(key))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        verb: &'static str,
        key: &str,
        work: impl FnOnce(Folder, PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path(key)?;
        let doing = format!("{verb} {}", path.display());
        let folder = self.clone();
        let done = tokio::task::spawn_blocking(move || work(folder, path)).await;
        let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|error| Error::new(kind(&error), doing, error))
    }

    fn temporary(&self) -> io::Result<NamedTempFile> {
        // Results are for others to read too: what the umask allows, as with any file.
        let as_usual = fs::Permissions::from_mode(0o666);
        tempfile::Builder::new().permissions(as_usual).tempfile_in(self.root.join(TEMPORARY))
    }

    /// Gives a finished file its name, if nobody was first.
    fn publish(file: NamedTempFile, path: &Path) -> io::Result<Put> {
        make_parent(path)?;
        // A name must not outlive a power cut without its bytes: whoever finds it believes them.
        file.as_file().sync_data()?;
        match fs::hard_link(file.path(), path) {
            Ok(()) => Ok(Put::Created),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Put::Exists),
            Err(error) => Err(error),
        }
    }
}

/// The path without links, as it will be once the folders that are missing have been made.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for ancestor in path.ancestors() {
        match ancestor.canonicalize() {
            Ok(real) => {
                let missing = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
                return Ok(if missing.as_os_str().is_empty() { real } else { real.join(missing) });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

#[async_trait]
impl Blobs for Folder {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put> {
        let write = move |folder: Folder, path: PathBuf| {
            let mut file = folder.temporary()?;
            file.write_all(&body)?;
            Self::publish(file, &path)
        };
        self.blocking("writing", key, write).await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let write = move |folder: Folder, path: PathBuf| {
            let mut file = folder.temporary()?;
            file.write_all(&body)?;
            make_parent(&path)?;
            file.as_file().sync_data()?;
            file.persist(&path).map(drop).map_err(|error| error.error)
        };
        self.blocking("writing", key, write).await
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        self.blocking("reading", key, |_, path| fs::read(path).map(Bytes::from)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let read = move |_, path: PathBuf| {
            let file = File::open(path)?;
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(Bytes::from(bytes))
        };
        self.blocking("reading", key, read).await
    }

    async fn head(&self, key: &str) -> Result<Option<Meta>> {
        let look = |_, path: PathBuf| match fs::metadata(path) {
            Ok(meta) if meta.is_file() => {
                let tag = format!(
                    "{}-{}-{}",
                    meta.len(),
                    i128::from(meta.mtime_nsec()) + i128::from(meta.mtime()) * 1_000_000_000,
                    meta.ino()
                );
                Ok(Some(Meta { len: meta.len(), tag }))
            }
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        };
        self.blocking("looking at", key, look).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed>> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        let (send, receive) = tokio::sync::mpsc::channel(256);
        tokio::task::spawn_blocking(move || {
            // Begin in the deepest folder that the prefix names whole.
            let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
            if !folder.is_empty() && !folder.split('/').all(is_name) || prefix.starts_with('/') {
                return; // no key begins like this
            }
            let mut emit = |listed: io::Result<Listed>| {
                let doing = || format!("listing {}/{prefix}", root.display());
                send.blocking_send(listed.map_err(|error| Error::new(kind(&error), doing(), error))).is_ok()
            };
            walk(&root, folder, &prefix, &mut emit);
        });
        futures::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive))).boxed()
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let delete = |_, path: PathBuf| match fs::remove_file(path) {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        };
        self.blocking("deleting", key, delete).await
    }

    async fn compose_new(&self, key: &str, pieces: Vec<Piece>) -> Result<Put> {
        for piece in &pieces {
            if let Piece::Range { key, .. } = piece {
                self.path(key)?;
            }
        }
        let compose = move |folder: Folder, path: PathBuf| {
            let mut target = folder.temporary()?;
            // Neighbouring pieces often come from one file.
            let mut open: Option<(String, File)> = None;
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => target.write_all(&bytes)?,
                    Piece::Range { key, range } => {
                        if open.as_ref().is_none_or(|(name, _)| *name != key) {
                            let source = folder.path(&key).map_err(io::Error::other)?;
                            let file = File::open(&source)
                                .map_err(|error| io::Error::new(error.kind(), format!("{key}: {error}")))?;
                            open = Some((key.clone(), file));
                        }
                        let Some((_, source)) = &mut open else { continue };
                        source.seek(SeekFrom::Start(range.start))?;
                        let wanted = range.end - range.start;
                        // Between two files this is copy_file_range: no byte passes through here.
                        if io::copy(&mut source.take(wanted), target.as_file_mut())? != wanted {
                            let text = format!("{key} ends before byte {}", range.end);
                            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                        }
                    }
                }
            }
            Self::publish(target, &path)
        };
        self.blocking("composing", key, compose).await
    }

    fn uri(&self, key: &str) -> String {
        self.root.join(key).display().to_string()
    }
}

/// Sends what lies below `folder` in the order of keys. False: nobody listens any more.
fn walk(root: &Path, folder: &str, prefix: &str, emit: &mut impl FnMut(io::Result<Listed>) -> bool) -> bool {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return true,
        Err(error) => return emit(Err(error)),
    };
    // A folder sorts as if its name ended with a slash, since its keys go on with one.
    let mut names = Vec::new();
    for entry in entries {
        let named = entry.and_then(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok(if entry.file_type()?.is_dir() { format!("{name}/") } else { name })
        });
        match named {
            Ok(name) => names.push(name),
            Err(error) => return emit(Err(error)),
        }
    }
    names.sort();
    for name in names {
        let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let may_hold = key.starts_with(prefix) || (key.ends_with('/') && prefix.starts_with(&key));
        if !may_hold || key == format!("{TEMPORARY}/") {
            continue;
        }
        let goes_on = match key.strip_suffix('/') {
            Some(folder) => walk(root, folder, prefix, emit),
            None => match fs::metadata(root.join(&key)) {
                Ok(meta) => emit(Ok(Listed { key, len: meta.len() })),
                Err(error) if is_absent(&error) => true,
                Err(error) => emit(Err(error)),
            },
        };
        if !goes_on {
            return false;
        }
    }
    true
}

/// What may stand between two slashes of a key.
fn is_name(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".." && part != TEMPORARY
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// A folder is not an object either.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind as Of;
    matches!(error.kind(), Of::NotFound | Of::NotADirectory | Of::IsADirectory)
}

fn kind(error: &io::Error) -> Kind {
    match error.kind() {
        _ if is_absent(error) => Kind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Refused,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory => Kind::Full,
        io::ErrorKind::UnexpectedEof => Kind::Corrupt,
        _ => Kind::Transient,
    }
}

#[cfg(test)]
mod tests;
