//! A file of weights: its tensors by name, whatever its format.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use swath_zip::Source;

use crate::{
    dtype::Dtype,
    error::{Located, Problem, Result, WeightsError, at_most},
    limits::{MAX_SHARING, MAX_SPANS},
    safetensors::{self, write_safetensors},
    torch,
    view::View,
};

/// What a tensor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
}

impl TensorInfo {
    /// Bytes of all elements; `None`: more than a number holds.
    pub fn n_bytes(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape.iter().try_fold(self.dtype.size() as u64, |n, &d| n.checked_mul(d))
    }
}

/// An open file. Tensors are read when they are asked for.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    source: Source,
    views: BTreeMap<String, View>,
    metadata: BTreeMap<String, String>,
}

/// Opens a file of any format that is known, told by its content.
pub fn open(path: impl AsRef<Path>) -> Result<TensorFile, WeightsError> {
    let path = path.as_ref();
    Source::open(path)
        .map_err(Located::from)
        .and_then(|source| TensorFile::read(path, source))
        .map_err(|located| located.in_file(path))
}

impl TensorFile {
    /// As [`open`], from memory. `name` is for messages.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let path = Path::new(name);
        Self::read(path, Source::from(bytes)).map_err(|located| located.in_file(path))
    }

    /// As [`open`], within another file and of one format only. `name` is for messages.
    pub fn safetensors(name: &Path, source: Source) -> Result<Self, WeightsError> {
        let read = || match safetensors::is_start(&source.prefix(16)?, source.len()) {
            true => Self::read(name, source.clone()),
            false => Err(Problem::NotWeights("this is not a safetensors file").into()),
        };
        read().map_err(|located| located.in_file(name))
    }

    fn read(path: &Path, source: Source) -> Result<Self, Located> {
        let mut metadata = BTreeMap::new();
        let tensors = match Format::of(&source)? {
            Format::Archive => torch::read_archive(&source)?,
            Format::Stream => torch::read_stream(&source)?,
            Format::Safetensors => {
                let contents = safetensors::read(&source)?;
                metadata = contents.metadata;
                contents.tensors
            }
        };
        check_sizes(&tensors, source.len())?;
        Ok(Self { path: path.to_owned(), source, views: tensors.into_iter().collect(), metadata })
    }

    /// As it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In alphabetical order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.views.keys().map(String::as_str)
    }

    pub fn info(&self, name: &str) -> Option<TensorInfo> {
        self.views.get(name).map(info)
    }

    /// Words beside the tensors of a safetensors file.
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The elements of a tensor in order, each as the nearest float. A NaN or an infinity is an error.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let view = self.view(name)?;
        let mut floats = Vec::with_capacity(view.n_elements() as usize);
        let read = view.for_each_piece(&self.source, |piece| {
            let from = floats.len();
            view.dtype.extend_f32(piece, &mut floats);
            match floats[from..].iter().position(|float| !float.is_finite()) {
                Some(at) => {
                    Err(Problem::NotFinite { index: (from + at) as u64, value: f64::from(floats[from + at]) })
                }
                None => Ok(()),
            }
        });
        read.map(|()| floats).map_err(|problem| self.error(name, problem))
    }

    /// The elements of a tensor in order, little-endian.
    pub fn raw(&self, name: &str) -> Result<Vec<u8>, WeightsError> {
        let view = self.view(name)?;
        let mut bytes = Vec::with_capacity(view.n_bytes().unwrap_or(0) as usize);
        let read = view.for_each_piece(&self.source, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        read.map(|()| bytes).map_err(|problem| self.error(name, problem))
    }

    /// Writes all tensors as a safetensors file: the same bytes for the same tensors and metadata, and
    /// there whole or not at all.
    pub fn write_safetensors(
        &self,
        path: impl AsRef<Path>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), WeightsError> {
        let path = path.as_ref();
        let tensors = self.views.iter().map(|(name, view)| (name.clone(), info(view))).collect();
        write_safetensors(path, &tensors, metadata, |name, into: &mut dyn Write| {
            let written = self.view(name)?.for_each_piece(&self.source, |piece| {
                into.write_all(piece).map_err(Problem::io("a copy of it can't be written"))
            });
            written.map_err(|problem| self.error(name, problem))
        })
    }

    fn view(&self, name: &str) -> Result<&View, WeightsError> {
        self.views.get(name).ok_or_else(|| self.error(name, Problem::NoSuchTensor(self.views.len())))
    }

    fn error(&self, name: &str, problem: Problem) -> WeightsError {
        problem.within(name).in_file(&self.path)
    }
}

fn info(view: &View) -> TensorInfo {
    TensorInfo { dtype: view.dtype, shape: view.shape().to_vec() }
}

/// What a tensor takes in memory is bounded by the file: strides could repeat an element for ever.
fn check_sizes(tensors: &[(String, View)], file_len: u64) -> Result<(), Located> {
    let (mut total, mut spans) = (0u64, 0u64);
    for (name, view) in tensors {
        let n_bytes = view.n_bytes().unwrap_or(u64::MAX);
        at_most(n_bytes, file_len, "bytes of a tensor in a smaller file")
            .map_err(|problem| problem.within(name))?;
        total = total.saturating_add(n_bytes);
        spans = spans.saturating_add(view.span_bytes());
    }
    at_most(total, file_len.saturating_mul(MAX_SHARING), "bytes of tensors in a smaller file")?;
    Ok(at_most(spans, file_len.saturating_mul(MAX_SPANS), "bytes to be read from a smaller file")?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Archive,
    Stream,
    Safetensors,
}

impl Format {
    /// What is no file of weights is named, so far as it can be.
    fn of(source: &Source) -> Result<Self> {
        let prefix = source.prefix(512)?;
        let not = |what| Err(Problem::NotWeights(what));
        match prefix.as_slice() {
            [] => not("the file is empty: fetch it again"),
            [b'P', b'K', 3, 4, ..] => Ok(Self::Archive),
            prefix if torch::is_stream(prefix) => Ok(Self::Stream),
            prefix if safetensors::is_start(prefix, source.len()) => Ok(Self::Safetensors),
            [0x80, 2..=5, ..] => {
                not("this is a pickle, but not by torch.save: load it with Python and save it by \
                 torch.save(model.state_dict(), ...)")
            }
            [b'<', ..] => not("this is a web page: the address it was fetched from is not that of the file"),
            prefix if prefix.starts_with(b"version https://git-lfs") => {
                not("this is a pointer of Git LFS: fetch the file itself by 'git lfs pull'")
            }
            prefix if prefix.starts_with(b"\x89HDF") => {
                not("this is HDF5, as Keras writes it: convert it to safetensors")
            }
            _ => not("this is neither safetensors nor by torch.save: give a .safetensors, .pth or .pt file"),
        }
    }
}
