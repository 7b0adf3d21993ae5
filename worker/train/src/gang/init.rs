//! Weights to begin with, from a file of this machine: of a bundle, or the file as it is. They go under the root by
//! their content, where all ranks find them.

use std::path::Path;

use swath_bundle::Bundle;
use swath_proto::{ids::Digest, item::Weights, keys, pipeline::is_bundle, train::TrainSpec};

use crate::{
    error::{Result, TrainError},
    store::Store,
};

pub(super) struct Init {
    pub(super) weights: Weights,
    bytes: Vec<u8>,
}

impl Init {
    /// `spec` is what is to be trained from it. The error does not name the file.
    pub(super) fn read(path: &Path, spec: &TrainSpec) -> std::result::Result<Self, String> {
        let name = path.display().to_string();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let file = std::fs::read(path).map_err(|error| error.to_string())?;
        let (bytes, extension) = if is_bundle(&name) {
            (of_bundle(&name, file, spec)?, "safetensors")
        } else if spec.architecture.endings().contains(&ending) {
            (file, ending)
        } else {
            let endings = spec.architecture.endings().join(", .");
            return Err(format!("must be a file of weights (.{endings}), or a bundle (.zip)"));
        };
        let weights = Weights::File { sha256: Digest::of(&bytes), extension: extension.into() };
        Ok(Self { weights, bytes })
    }

    pub(super) fn put(self, store: &Store) -> Result<()> {
        let key = keys::model(&self.weights).ok_or_else(|| TrainError::config("init: must name a file"))?;
        if store.exists(&key)? { Ok(()) } else { store.put(&key, self.bytes) }
    }
}

fn of_bundle(name: &str, file: Vec<u8>, spec: &TrainSpec) -> std::result::Result<Vec<u8>, String> {
    let bundle = Bundle::from_bytes(name, file).map_err(|error| error.to_string())?;
    let model = bundle.model();
    if model.architecture != spec.architecture {
        let (holds, wanted) = (model.architecture.name(), spec.architecture.name());
        return Err(format!("the bundle holds a network of the architecture {holds:?}, and not {wanted:?}"));
    }
    let n_classes = model.classes.len();
    if n_classes != spec.classes as usize && !spec.fresh_head {
        return Err(format!(
            "the bundle's network tells {n_classes} classes apart, and not {}: fresh_head = true draws its last layer anew",
            spec.classes
        ));
    }
    let mut bytes = Vec::new();
    bundle.copy_weights(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
