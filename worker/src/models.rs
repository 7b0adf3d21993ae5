//! Model files: fetched once into a local cache, under the name of their content.

use std::path::PathBuf;

use anyhow::anyhow;
use swath_proto::{
    ids::Digest,
    item::{ModelRef, Weights},
    keys,
};

use crate::{context::Context, failure::JobError};

/// Where the model's weights lie on this machine; `None` for weights that come from a seed.
pub async fn file(cx: &Context, model: &ModelRef) -> Result<Option<PathBuf>, JobError> {
    let (Weights::File { sha256, extension }, Some(key)) = (&model.weights, keys::model(&model.weights))
    else {
        return Ok(None);
    };
    let path = cx.cache.join(format!("{sha256}.{extension}"));
    if tokio::fs::try_exists(&path).await.unwrap_or(false) {
        return Ok(Some(path));
    }
    let bytes = cx.blobs.get(&key).await?;
    if Digest::of(&bytes) != *sha256 {
        return Err(JobError::data(anyhow!(
            "{key} does not hash to its name: put the model under the root again"
        )));
    }
    let cache = cx.cache.clone();
    let target = path.clone();
    let write = move || -> std::io::Result<()> {
        std::fs::create_dir_all(&cache)?;
        let mut temporary = tempfile::NamedTempFile::new_in(&cache)?;
        std::io::Write::write_all(&mut temporary, &bytes)?;
        temporary.persist(&target)?;
        Ok(())
    };
    tokio::task::spawn_blocking(write).await.map_err(JobError::internal)?.map_err(|error| {
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        let class = if full {
            swath_proto::outcome::FailureClass::Capacity
        } else {
            swath_proto::outcome::FailureClass::Config
        };
        JobError::new(class, anyhow!(error).context(format!("writing the model to {}", path.display())))
    })?;
    Ok(Some(path))
}
