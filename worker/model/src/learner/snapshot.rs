//! A state as it was after some step, to be written down while the next steps change it.

use std::{collections::BTreeMap, io::Write};

use swath_weights::TensorInfo;

use super::{Counts, Learner, info};
use crate::{
    error::{ModelError, Result},
    weights::values,
};

/// All that the next step depends on, copied out of the learner.
pub struct Snapshot {
    counts: Counts,
    tensors: BTreeMap<String, (TensorInfo, Vec<f32>)>,
}

impl Learner {
    /// Its state as it is now.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let copied = self.all().map(|(name, tensor)| Ok((name, (info(tensor), values(tensor)?))));
        Ok(Snapshot { counts: self.counts(), tensors: copied.collect::<Result<_>>()? })
    }
}

impl Snapshot {
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    pub fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        self.tensors.iter().map(|(name, (info, _))| (name.clone(), info.clone())).collect()
    }

    /// The elements of a tensor, little-endian. NaN and infinities are an error.
    pub fn write(&self, name: &str, into: &mut dyn Write) -> Result<()> {
        let (_, values) = self.tensors.get(name).ok_or_else(|| no_tensor(name))?;
        write(name, values, into)
    }
}

pub(super) fn write(name: &str, values: &[f32], into: &mut dyn Write) -> Result<()> {
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(ModelError::data(format!(
            "'{name}' has become {} at element {at}: lower the learning rate",
            values[at]
        )));
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    into.write_all(&bytes).map_err(|error| ModelError::internal(format!("writing '{name}': {error}")))
}

pub(super) fn no_tensor(name: &str) -> ModelError {
    ModelError::internal(format!("there is no tensor '{name}' in this network"))
}
