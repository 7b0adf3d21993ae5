//! The file that says what is to be trained: read, with the weights that it names, and held against what lies under the root.

use std::path::Path;

use swath_proto::{
    ids::Digest,
    text::text,
    train::{Shards, TRAIN_FILE, TrainFile},
};
use swath_shard::Index;

use super::init::Init;
use crate::{
    data::Shard,
    error::{Result, TrainError},
    store::Store,
};

#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct BadTrainFile {
    path: String,
    why: String,
}

/// Reads and checks it: JSON where its name says so, TOML otherwise.
pub fn read_file(path: &Path) -> std::result::Result<TrainFile, BadTrainFile> {
    let wrong = |why: String| BadTrainFile { path: path.display().to_string(), why };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let text = text(bytes, TRAIN_FILE).map_err(wrong)?;
    let is_workers = path.extension().is_some_and(|extension| extension == "json");
    let mut file: TrainFile = if is_workers {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        TrainFile::parse(&text).map_err(wrong)?
    };
    if let Some(init) = &mut file.init {
        *init = path.parent().unwrap_or(Path::new("")).join(&*init);
        let read = Init::read(init, &file.train);
        file.train.weights =
            Some(read.map_err(|why| wrong(format!("init: {}: {why}", init.display())))?.weights);
    }
    file.check().map_err(wrong)?;
    Ok(file)
}

/// Of what is trained: where a machine keeps the weights that it begins with does not matter to the others.
pub(super) fn digest(file: &TrainFile) -> Result<Digest> {
    let wrong = |error: serde_json::Error| TrainError::config(error.to_string());
    let json = serde_json::to_vec(&TrainFile { init: None, ..file.clone() }).map_err(wrong)?;
    Ok(Digest::of(&json))
}

/// Puts what the network begins with under the root.
pub(super) fn put_init(file: &TrainFile, store: &Store) -> Result<()> {
    let Some(init) = &file.init else { return Ok(()) };
    let wrong = |why: String| TrainError::config(format!("init: {}: {why}", init.display()));
    let read = Init::read(init, &file.train).map_err(wrong)?;
    if file.train.weights.as_ref() != Some(&read.weights) {
        return Err(wrong("has changed a moment ago".into()));
    }
    read.put(store)
}

/// The shards to train on, and those to validate on.
pub(super) fn shards(named: &Shards, store: &Store) -> Result<(Vec<Shard>, Vec<Shard>)> {
    Ok((found(&named.train, store)?, found(&named.validation, store)?))
}

fn found(named: &[String], store: &Store) -> Result<Vec<Shard>> {
    let mut shards = Vec::new();
    for key in named {
        if key.ends_with('/') {
            let found: Vec<String> = store.list(key)?;
            if found.is_empty() {
                return Err(TrainError::config(format!(
                    "{key}: there is no such folder under the root, or nothing in it: {}",
                    store.uri(key)
                )));
            }
            // By its index a tar is missed that is not there.
            let mut found: Vec<String> = found.iter().filter_map(|key| tar_of(key)).collect();
            // Stores list as they like; the order of chips is to be the same for all ranks.
            found.sort();
            found.dedup();
            if found.is_empty() {
                return Err(TrainError::config(format!("{key}: there is no .tar in it")));
            }
            for key in found {
                shards.push(shard(store, key)?);
            }
        } else {
            shards.push(shard(store, key.clone())?);
        }
    }
    Ok(shards)
}

/// The tar that this is, or is the index of.
fn tar_of(key: &str) -> Option<String> {
    let stem = key.strip_suffix(".tar").or_else(|| key.strip_suffix(".idx"))?;
    Some(format!("{stem}.tar"))
}

fn shard(store: &Store, key: String) -> Result<Shard> {
    let Some(stem) = key.strip_suffix(".tar") else {
        return Err(TrainError::config(format!(
            "{key}: shards are called *.tar, folders of them end in a slash"
        )));
    };
    let index = format!("{stem}.idx");
    let missing = || TrainError::data(format!("{index} is not there, the index that belongs beside {key}"));
    let bytes = match store.get(&index)? {
        Some(bytes) => bytes,
        None if store.exists(&key)? => return Err(missing()),
        None => {
            let uri = store.uri(&key);
            return Err(TrainError::config(format!("{key}: there is no such shard under the root: {uri}")));
        }
    };
    let index = Index::parse(&bytes).map_err(|error| TrainError::data(format!("{index}: {error}")))?;
    Ok(Shard { key, index })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str =
        "output = \"mine/\"\nshards.train = [\"chips/\"]\n[train]\narchitecture = \"tiny\"\nclasses = 2\n";

    #[test]
    fn a_file_that_can_not_be_trained_from_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
            read_file(&folder.path().join(name)).map_err(|error| error.to_string())
        };
        let init = |name: &str| RIGHT.replace("[train]", &format!("init = \"{name}\"\n[train]"));
        for (content, wanted) in [
            (
                &b"II*\0\xff"[..],
                "mine.toml: it is no text in UTF-8, and must be a file for swath train (TOML)",
            ),
            (RIGHT.replace("[\"chips/\"]", "[]").as_bytes(), "mine.toml: shards.train: names no shard"),
            (init("no.pt").as_bytes(), "/no.pt: No such file"),
            (init("mine.toml").as_bytes(), "mine.toml: must be a file of weights (.safetensors"),
        ] {
            let told = read("mine.toml", content).unwrap_err();
            assert!(told.contains(wanted), "{told}");
        }
        // What a worker writes for its ranks begins with weights where its run does.
        let weights = "weights = { file = { sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\", \
                       extension = \"safetensors\" } }\n";
        let of_run: TrainFile = toml::from_str(&format!("{RIGHT}{weights}")).unwrap();
        assert_eq!(read("ours.json", &serde_json::to_vec(&of_run).unwrap()), Ok(of_run));
    }

    #[test]
    fn weights_to_begin_with_are_known_by_their_content_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |name: &str, content: &str| {
            std::fs::write(folder.path().join(name), content).unwrap();
            let path = folder.path().join("mine.toml");
            let init = format!("init = \"{name}\"\n[train]");
            std::fs::write(&path, RIGHT.replace("[train]", &init)).unwrap();
            super::digest(&read_file(&path).unwrap()).unwrap()
        };
        let one = digest("one.safetensors", "weights");
        assert_eq!(digest("other.safetensors", "weights"), one);
        assert_ne!(digest("other.safetensors", "other weights"), one);
    }
}
