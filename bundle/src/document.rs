//! `bundle.json`.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use swath_proto::ids::Digest;
use swath_zip::{Source, ZipError};

use crate::{
    error::{Problem, Result, shown},
    limits::MAX_DOCUMENT_LEN,
    model::Model,
};

const VERSION: &str = "1";
const MAX_PROGRAM_LEN: usize = 100;

/// Version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    version: String,
    pub(crate) program: String,
    pub(crate) model: Model,
    pub(crate) members: Members,
}

/// What every version has, so that any program can say which one is needed.
#[derive(Deserialize)]
struct Head {
    version: String,
    program: String,
}

/// All others, and what they must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Members {
    #[serde(rename = "weights.safetensors")]
    pub(crate) weights: Sum,
    #[serde(rename = "eval.json", default, skip_serializing_if = "Option::is_none")]
    pub(crate) eval: Option<Sum>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sum {
    pub(crate) len: u64,
    pub(crate) sha256: Digest,
}

impl Document {
    pub(crate) fn new(program: &str, model: &Model, members: Members) -> Result<Self> {
        let (version, program) = (VERSION.to_owned(), program.to_owned());
        let document = Self { version, program, model: model.clone(), members };
        document.check()?;
        Ok(document)
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        let Head { version, program } = serde_json::from_slice(json).map_err(Problem::Json)?;
        if version != VERSION {
            return Err(Problem::Version { found: shown(&version), program: shown(&program) });
        }
        let document: Self = serde_json::from_slice(json).map_err(Problem::Json)?;
        document.check()?;
        Ok(document)
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self).map_err(Problem::Json)?;
        json.push(b'\n');
        match json.len() as u64 {
            len if len > MAX_DOCUMENT_LEN => Err(Problem::TooLong { len, limit: MAX_DOCUMENT_LEN }),
            _ => Ok(json),
        }
    }

    fn check(&self) -> Result<()> {
        if self.program.is_empty() || self.program.len() > MAX_PROGRAM_LEN {
            let text = format!("program '{}': must have 1 to {MAX_PROGRAM_LEN} bytes", shown(&self.program));
            return Err(Problem::Model(text));
        }
        self.model.check()
    }
}

impl Sum {
    pub(crate) fn of(member: &Source) -> Result<Self, ZipError> {
        let mut hash = Sha256::new();
        member.for_each_piece(|piece| -> Result<(), ZipError> {
            hash.update(piece);
            Ok(())
        })?;
        Ok(Self { len: member.len(), sha256: Digest::from_sha256(hash) })
    }

    pub(crate) fn hold(&self, member: &Source) -> Result<()> {
        // The length first: it costs nothing.
        if member.len() != self.len {
            return Err(Problem::Length { wanted: self.len, found: member.len() });
        }
        let found = Self::of(member)?.sha256;
        match found == self.sha256 {
            true => Ok(()),
            false => Err(Problem::Digest { wanted: self.sha256, found }),
        }
    }
}
