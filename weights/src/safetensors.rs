//! The safetensors format: the length of a header, the header in JSON, the tensors' bytes.

use std::{collections::BTreeMap, fs::File, io::Write, os::unix::fs::PermissionsExt as _, path::Path};

use safetensors::tensor::{Metadata, TensorInfo as Stored};
use serde::Serialize;
use swath_zip::Source;

use crate::{
    dtype::Dtype,
    error::{Located, Problem, Result, WeightsError, at_most, malformed, shown},
    file::TensorInfo,
    limits::{MAX_NAME_LEN, MAX_SAFETENSORS_HEADER_LEN, MAX_TENSORS},
    view::{Layout, View},
};

/// Bytes of the header's length. A header is padded to a multiple of it.
const LEN: u64 = 8;
/// The one name that no tensor can have.
const METADATA: &str = "__metadata__";

pub(crate) fn is_start(prefix: &[u8], file_len: u64) -> bool {
    match prefix.split_first_chunk() {
        Some((len, [b'{', ..])) => u64::from_le_bytes(*len) <= file_len - LEN,
        _ => false,
    }
}

pub(crate) struct Contents {
    pub(crate) tensors: Vec<(String, View)>,
    pub(crate) metadata: BTreeMap<String, String>,
}

pub(crate) fn read(source: &Source) -> Result<Contents, Located> {
    let len = source.prefix(LEN)?.first_chunk().copied().map_or(0, u64::from_le_bytes);
    at_most(len, MAX_SAFETENSORS_HEADER_LEN, "bytes of header")?;
    let header = source.read(LEN..LEN + len)?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|error| Problem::Malformed(format!("its header can't be read: {error}")))?;
    if (LEN + len).checked_add(header.data_len() as u64) != Some(source.len()) {
        let text = format!("{} bytes of tensors after {}", header.data_len(), LEN + len);
        return malformed(format!("{text} in a file of {}", source.len())).map_err(Located::from);
    }
    let mut tensors = Vec::new();
    for (name, stored) in header.tensors() {
        let view = view(stored, LEN + len).map_err(|problem| problem.within(&name))?;
        tensors.push((name, view));
    }
    at_most(tensors.len() as u64, MAX_TENSORS as u64, "tensors")?;
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Contents { tensors, metadata })
}

fn view(stored: &Stored, data_at: u64) -> Result<View> {
    let Some(dtype) = Dtype::of_safetensors(stored.dtype) else {
        return Err(Problem::Unsupported(format!(
            "elements of type {:?} are not read: convert them to floats and save them again",
            stored.dtype
        )));
    };
    let (from, to) = stored.data_offsets;
    let shape = stored.shape.iter().map(|&d| d as u64).collect();
    let n_elements = (to - from) / dtype.size();
    View::new(
        dtype,
        Layout::contiguous(shape, n_elements as u64)?,
        data_at + from as u64..data_at + to as u64,
    )
}

#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__", skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, Stored>,
}

/// Writes a file whose bytes depend on the tensors and the metadata alone, and which is there whole or
/// not at all. `write` writes the elements of a tensor, little-endian; it is asked for one after the other.
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorInfo>,
    metadata: &BTreeMap<String, String>,
    write: impl FnMut(&str, &mut dyn Write) -> Result<(), WeightsError>,
) -> Result<(), WeightsError> {
    let io = |error| Problem::io(WRITING)(error).in_file(path);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".swath-weights-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(io)?;
    write_into(temporary.as_file_mut(), path, tensors, metadata, write)?;
    temporary.as_file().sync_all().map_err(io)?;
    temporary.persist(path).map_err(|error| io(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

/// The same bytes in memory. `name` is for messages. `E` is what `write` may fail with.
pub fn safetensors_bytes<E: From<WeightsError>>(
    name: &str,
    tensors: &BTreeMap<String, TensorInfo>,
    metadata: &BTreeMap<String, String>,
    write: impl FnMut(&str, &mut dyn Write) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut bytes = Vec::new();
    write_into(&mut bytes, Path::new(name), tensors, metadata, write)?;
    Ok(bytes)
}

const WRITING: &str = "it can't be written";

fn write_into<E: From<WeightsError>>(
    into: &mut dyn Write,
    path: &Path,
    tensors: &BTreeMap<String, TensorInfo>,
    metadata: &BTreeMap<String, String>,
    mut write: impl FnMut(&str, &mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let Plan { sizes, header } = plan(tensors, metadata).map_err(|problem| problem.in_file(path))?;
    let io = |error| E::from(Problem::io(WRITING)(error).in_file(path));
    into.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
    into.write_all(&header).map_err(io)?;
    for (name, n_bytes) in sizes {
        let mut tensor = Counting { inner: std::io::BufWriter::new(&mut *into), n_bytes: 0 };
        write(name, &mut tensor)?;
        tensor.flush().map_err(io)?;
        if tensor.n_bytes != n_bytes {
            let text = format!("{n_bytes} bytes were announced and {} written", tensor.n_bytes);
            return Err(Problem::Malformed(text).within(name).in_file(path).into());
        }
    }
    Ok(())
}

struct Plan<'a> {
    /// Bytes of each tensor, the largest elements first so that all are aligned.
    sizes: Vec<(&'a str, u64)>,
    /// Padded.
    header: Vec<u8>,
}

fn plan<'a>(
    tensors: &'a BTreeMap<String, TensorInfo>,
    metadata: &BTreeMap<String, String>,
) -> Result<Plan<'a>> {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(name, info)| (std::cmp::Reverse(info.dtype.size()), *name));
    let mut header = Header { metadata, tensors: BTreeMap::new() };
    let (mut at, mut sizes) = (0usize, Vec::new());
    for (name, info) in order {
        let shape: Option<Vec<usize>> = info.shape.iter().map(|&d| usize::try_from(d).ok()).collect();
        let n_bytes = info.n_bytes().and_then(|n| usize::try_from(n).ok());
        let end = n_bytes.and_then(|n| at.checked_add(n));
        let (Some(shape), Some(end), false) = (shape, end, name == METADATA || name.len() > MAX_NAME_LEN)
        else {
            return malformed(format!("a tensor '{}' that no file can hold", shown(name)));
        };
        let stored = Stored { dtype: info.dtype.to_safetensors(), shape, data_offsets: (at, end) };
        header.tensors.insert(name, stored);
        sizes.push((name.as_str(), (end - at) as u64));
        at = end;
    }
    let mut json = serde_json::to_vec(&header)
        .map_err(|error| Problem::Malformed(format!("its header can't be made: {error}")))?;
    json.resize(json.len().next_multiple_of(LEN as usize), b' ');
    at_most(json.len() as u64, MAX_SAFETENSORS_HEADER_LEN, "bytes of header")?;
    Ok(Plan { sizes, header: json })
}

struct Counting<W> {
    inner: W,
    n_bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.n_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
