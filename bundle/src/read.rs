//! Opening a bundle: everything is checked before anything is handed out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use swath_proto::ids::Digest;
use swath_weights::TensorFile;
use swath_zip::{Source, Zip};

use crate::{
    DOCUMENT, EVAL, WEIGHTS,
    document::{Document, Sum},
    error::{BundleError, Located, Problem, Result, within},
    limits::{self, MAX_DOCUMENT_LEN, MAX_EVAL_LEN, MAX_WEIGHTS_LEN},
    model::Model,
};

/// A bundle that holds what it promises.
#[derive(Debug)]
pub struct Bundle {
    file: PathBuf,
    document: Document,
    weights: Source,
    eval: Option<Vec<u8>>,
}

impl Bundle {
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BundleError> {
        let path = path.as_ref();
        let source = Source::open(path).map_err(Located::from);
        source.and_then(|source| Self::read(path, &source)).map_err(|located| located.in_file(path))
    }

    /// As [`Bundle::open`], from memory. `name` is for messages.
    pub fn from_bytes(name: &str, bytes: impl Into<Bytes>) -> Result<Self, BundleError> {
        let path = Path::new(name);
        Self::read(path, &Source::from(bytes.into())).map_err(|located| located.in_file(path))
    }

    fn read(path: &Path, source: &Source) -> Result<Self, Located> {
        if !source.prefix(4)?.starts_with(b"PK\x03\x04") {
            return Err(Problem::NotABundle.into());
        }
        let zip = Zip::open(source, limits::ZIP)?;
        let mut members = members(&zip, source)?;
        let document = members.remove(DOCUMENT).ok_or(Problem::Missing).and_then(|member| {
            let json = member.read(0..member.len())?;
            // It holds the sums of all others, and this is its own.
            if zip.crc32(DOCUMENT) != Some(crc32fast::hash(&json)) {
                return Err(Problem::CheckSum);
            }
            Document::parse(&json)
        });
        let document = document.map_err(within(DOCUMENT))?;
        let mut promised = |name, sum: &Sum| {
            let member: Source = members.remove(name).ok_or(Problem::Missing)?;
            sum.hold(&member).map(|()| member)
        };
        let weights = promised(WEIGHTS, &document.members.weights).map_err(within(WEIGHTS))?;
        let eval = document.members.eval.as_ref().map(|sum| {
            let member = promised(EVAL, sum)?;
            let json = member.read(0..member.len())?;
            serde_json::from_slice::<serde::de::IgnoredAny>(&json).map_err(Problem::Json)?;
            Ok(json)
        });
        let eval = eval.transpose().map_err(within::<Problem>(EVAL))?;
        if let Some(name) = members.keys().next() {
            return Err(within(name)(Problem::Stranger));
        }
        let bundle = Self { file: path.to_owned(), document, weights, eval };
        bundle.tensors()?;
        Ok(bundle)
    }

    /// The name it was opened under.
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub const fn model(&self) -> &Model {
        &self.document.model
    }

    /// The version of swath that wrote it.
    pub fn program(&self) -> &str {
        &self.document.program
    }

    /// Its `eval.json`, which is JSON.
    pub fn eval(&self) -> Option<&[u8]> {
        self.eval.as_deref()
    }

    /// Its tensors, which are read when they are asked for: a NaN is an error then.
    pub fn weights(&self) -> Result<TensorFile, BundleError> {
        self.tensors().map_err(|located| located.in_file(&self.file))
    }

    pub const fn weights_sha256(&self) -> Digest {
        self.document.members.weights.sha256
    }

    /// Its safetensors file, of the SHA-256 that it promises; of a bundle in memory this is no copy.
    pub fn weights_file(&self) -> Result<Bytes, BundleError> {
        let read = || {
            let bytes = self.weights.bytes()?;
            // The file may have been written over since it was opened.
            if !self.weights.lies_in_memory() {
                self.document.members.weights.hold(&Source::from(bytes.clone()))?;
            }
            Ok(bytes)
        };
        read().map_err(|error: Problem| within(WEIGHTS)(error).in_file(&self.file))
    }

    fn tensors(&self) -> Result<TensorFile, Located> {
        let name = self.file.join(WEIGHTS);
        TensorFile::safetensors(&name, self.weights.clone()).map_err(within(WEIGHTS))
    }
}

/// All members, by names that are known.
fn members(zip: &Zip<'_>, source: &Source) -> Result<BTreeMap<String, Source>, Located> {
    for name in zip.names() {
        if climbs(name) {
            return Err(within(name)(Problem::Climbs));
        }
        if zip.is_link(name) {
            return Err(within(name)(Problem::Link));
        }
    }
    if !zip.contains(DOCUMENT) && zip.contains("pipeline-config.json") {
        return Err(Problem::RasterVision.into());
    }
    let (mut members, mut ranges) = (BTreeMap::new(), Vec::new());
    for name in zip.names() {
        let limit = match name {
            DOCUMENT => MAX_DOCUMENT_LEN,
            WEIGHTS => MAX_WEIGHTS_LEN,
            EVAL => MAX_EVAL_LEN,
            _ => return Err(within(name)(Problem::Stranger)),
        };
        let range = zip.range(name).map_err(within(name))?;
        let len = range.end - range.start;
        if len > limit {
            return Err(within(name)(Problem::TooLong { len, limit }));
        }
        members.insert(name.to_owned(), source.section(range.clone())?);
        ranges.push((range, name));
    }
    ranges.sort_by_key(|(range, _)| (range.start, range.end));
    match ranges.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
        Some(pair) => Err(within(pair[1].1)(Problem::Overlap)),
        None => Ok(members),
    }
}

/// Whether a name, taken for a path on any system, leads out of the folder that it is unpacked in.
fn climbs(name: &str) -> bool {
    let drive = name.as_bytes().get(1) == Some(&b':');
    drive || name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_are_told_from_those_that_do_not() {
        for name in ["../x", "a/../x", "..", "/x", "\\x", "a\\..\\x", "..\\x", "C:x", "c:\\x", "\\\\host\\x"]
        {
            assert!(climbs(name), "{name}");
        }
        for name in ["x", "a/x", "..x", "a..", "a/..x", "ab:c/...", ""] {
            assert!(!climbs(name), "{name}");
        }
    }
}
