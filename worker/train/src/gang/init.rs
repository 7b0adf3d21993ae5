//! Weights to begin with, from a file of this machine: of a bundle, or the file as it is. They go under the root by
//! their content, where all ranks find them.

use std::path::Path;

use bytes::Bytes;
use swath_bundle::Bundle;
use swath_proto::{ids::Digest, item::Weights, keys, pipeline::is_bundle, train::TrainSpec};

use crate::{
    error::{Result, TrainError},
    store::Store,
};

pub(super) struct Init {
    pub(super) weights: Weights,
    bytes: Bytes,
}

impl Init {
    /// `spec` is what is to be trained from it. The error does not name the file.
    pub(super) fn read(path: &Path, spec: &TrainSpec) -> std::result::Result<Self, String> {
        let name = path.display().to_string();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let file = std::fs::read(path).map_err(|error| error.to_string())?;
        let (bytes, sha256, extension) = if is_bundle(&name) {
            let (bytes, sha256) = of_bundle(&name, file, spec)?;
            (bytes, sha256, "safetensors")
        } else if spec.architecture.endings().contains(&ending) {
            let sha256 = Digest::of(&file);
            (file.into(), sha256, ending)
        } else {
            let endings = spec.architecture.endings().join(", .");
            return Err(format!("must be a file of weights (.{endings}), or a bundle (.zip)"));
        };
        Ok(Self { weights: Weights::File { sha256, extension: extension.into() }, bytes })
    }

    pub(super) fn put(self, store: &Store) -> Result<()> {
        let key = keys::model(&self.weights).ok_or_else(|| TrainError::config("init: must name a file"))?;
        if store.exists(&key)? { Ok(()) } else { store.put(&key, self.bytes) }
    }
}

/// Its weights and their name.
fn of_bundle(name: &str, file: Vec<u8>, spec: &TrainSpec) -> std::result::Result<(Bytes, Digest), String> {
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
    let weights = bundle.weights_file().map_err(|error| error.to_string())?;
    Ok((weights, bundle.weights_sha256()))
}
