//! Model files: fetched once into a local cache, under the name of their content.

use std::{io::ErrorKind, path::PathBuf, sync::PoisonError};

use anyhow::anyhow;
use swath_proto::{
    ids::Digest,
    item::{ModelRef, Weights},
    keys,
    outcome::FailureClass,
};

use crate::{context::Context, failure::JobError};

/// Where the model's weights lie on this machine; `None` for weights that come from a seed.
pub async fn file(cx: &Context, model: &ModelRef) -> Result<Option<PathBuf>, JobError> {
    let (Weights::File { sha256, extension }, Some(key)) = (&model.weights, keys::model(&model.weights))
    else {
        return Ok(None);
    };
    let path = cx.cache.join(format!("{sha256}.{extension}"));
    let is_known = || cx.cached.lock().unwrap_or_else(PoisonError::into_inner).contains(sha256);
    let know = || cx.cached.lock().unwrap_or_else(PoisonError::into_inner).insert(*sha256);
    if is_known() {
        return Ok(Some(path));
    }
    // Others write there too: a name is believed once its content was seen.
    if let Ok(bytes) = tokio::fs::read(&path).await
        && Digest::of(&bytes) == *sha256
    {
        know();
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
        let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let error = anyhow!(error).context(format!("writing the model to {}", path.display()));
        if is_full { JobError::new(FailureClass::Capacity, error) } else { JobError::Unfit(error) }
    })?;
    know();
    Ok(Some(path))
}
