//! Making a bundle.

use std::{io::Write, path::Path};

use swath_weights::TensorFile;
use swath_zip::{Source, ZipWriter};

use crate::{
    DOCUMENT, EVAL, WEIGHTS,
    document::{Document, Members, Sum},
    error::{BundleError, Located, Problem, Result, within},
    limits::{MAX_EVAL_LEN, MAX_WEIGHTS_LEN},
    model::Model,
};

/// What the messages of a writer call the file that is not there yet.
const FILE: &str = "bundle.zip";

/// Writes a bundle to `into`, from the first byte to the last. `weights` is a safetensors file without a
/// NaN or an infinity, `program` the version of swath. The bytes depend on what is given and on nothing
/// else.
pub fn write<W: Write>(
    into: W,
    program: &str,
    model: &Model,
    weights: &Path,
    eval: Option<&[u8]>,
) -> Result<W, BundleError> {
    let source = open_weights(weights).map_err(|located| located.in_file(weights))?;
    write_members(into, program, model, &source, eval).map_err(|located| located.in_file(Path::new(FILE)))
}

fn open_weights(path: &Path) -> Result<Source, Located> {
    let source = Source::open(path)?;
    at_most(source.len(), MAX_WEIGHTS_LEN)?;
    let tensors = TensorFile::safetensors(path, source.clone())?;
    for name in tensors.names() {
        tensors.f32(name)?;
    }
    Ok(source)
}

fn write_members<W: Write>(
    into: W,
    program: &str,
    model: &Model,
    weights: &Source,
    eval: Option<&[u8]>,
) -> Result<W, Located> {
    let eval = eval.map(|json| {
        at_most(json.len() as u64, MAX_EVAL_LEN)?;
        serde_json::from_slice::<serde::de::IgnoredAny>(json).map_err(Problem::Json)?;
        Ok(Source::from(json.to_vec()))
    });
    let eval = eval.transpose().map_err(within::<Problem>(EVAL))?;
    let members = Members { weights: Sum::of(weights)?, eval: eval.as_ref().map(Sum::of).transpose()? };
    let json = Document::new(program, model, members).and_then(|document| document.to_json());
    let document = Source::from(json.map_err(within(DOCUMENT))?);
    let mut zip = ZipWriter::new(into);
    // The small ones first: a reader that comes from the front knows what follows.
    for (name, member) in [(DOCUMENT, Some(&document)), (EVAL, eval.as_ref()), (WEIGHTS, Some(weights))] {
        if let Some(member) = member {
            zip.member(name, member).map_err(within(name))?;
        }
    }
    Ok(zip.finish()?)
}

fn at_most(len: u64, limit: u64) -> Result<()> {
    if len <= limit { Ok(()) } else { Err(Problem::TooLong { len, limit }) }
}
