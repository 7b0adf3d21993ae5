//! Model files: fetched once into a local cache, under the name of their content.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::PoisonError,
};

use anyhow::anyhow;
use sha2::{Digest as _, Sha256};
use swath_model::{Files, Ranges};
use swath_proto::{
    ids::Digest,
    item::{ModelRef, Precision, Weights},
    keys,
    outcome::FailureClass,
};

use crate::{context::Context, failure::JobError};

/// Bytes hashed at a time.
const PIECE: usize = 1 << 17;

/// Where what the model names lies on this machine, for each of its networks.
pub async fn files(cx: &Context, model: &ModelRef) -> Result<Vec<Files>, JobError> {
    let mut all = Vec::new();
    for network in model.networks() {
        all.push(files_of(cx, &network).await?);
    }
    Ok(all)
}

/// Of one network: others beside it are not looked at.
pub async fn files_of(cx: &Context, model: &ModelRef) -> Result<Files, JobError> {
    let weights = match (&model.weights, keys::model(&model.weights)) {
        (Weights::File { sha256, .. }, Some(key)) => Some(cached(cx, *sha256, &key).await?),
        _ => None,
    };
    let ranges = match model.precision {
        Precision::Int8(content) => {
            let path = cached(cx, content, &keys::ranges(&content)).await?;
            let json = tokio::fs::read(&path).await;
            let json = json.map_err(|error| JobError::Unfit(anyhow!("{}: {error}", path.display())))?;
            Some(Ranges::from_json(&json)?)
        }
        Precision::Fp32 | Precision::Bf16 | Precision::Fp16 => None,
    };
    Ok(Files { weights, ranges })
}

async fn cached(cx: &Context, content: Digest, key: &str) -> Result<PathBuf, JobError> {
    let path = cx.cache.join(key.rsplit('/').next().unwrap_or(key));
    let is_known = || cx.cached.lock().unwrap_or_else(PoisonError::into_inner).contains(&content);
    let know = || cx.cached.lock().unwrap_or_else(PoisonError::into_inner).insert(content);
    if is_known() {
        return Ok(path);
    }
    // Others write there too: a name is believed once its content was seen.
    if is_of(&path, content).await? || (link(cx, key, &path).await && is_of(&path, content).await?) {
        know();
        return Ok(path);
    }
    let bytes = cx.blobs.get(key).await?;
    if Digest::of(&bytes) != content {
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
    Ok(path)
}

/// Gives it a second name here, where the root is on the same disk: nothing is copied, and what is deleted there stays.
async fn link(cx: &Context, key: &str, path: &Path) -> bool {
    let under_root = PathBuf::from(cx.blobs.uri(key));
    under_root.is_absolute()
        && tokio::fs::create_dir_all(&cx.cache).await.is_ok()
        && tokio::fs::hard_link(under_root, path).await.is_ok()
}

/// Whether there is a file of this content. It is read piece by piece.
async fn is_of(path: &Path, content: Digest) -> Result<bool, JobError> {
    let path = path.to_owned();
    let hash = move || -> std::io::Result<Digest> {
        let (mut file, mut hash, mut piece) = (File::open(path)?, Sha256::new(), vec![0; PIECE]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(Digest::from_sha256(hash)),
                n => hash.update(&piece[..n]),
            }
        }
    };
    let found = tokio::task::spawn_blocking(hash).await.map_err(JobError::internal)?;
    Ok(found.is_ok_and(|found| found == content))
}
