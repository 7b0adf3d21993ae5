//! What is to be trained, as it is written down for ranks: a TOML file of a person's, or JSON of a worker's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swath_proto::{
    ids::Digest,
    train::{Start, TrainSpec},
};
use swath_shard::Index;

use super::init::Init;
use crate::{
    coming::Coming,
    data::Shard,
    error::{Result, TrainError},
    store::Store,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainFile {
    /// What the keys of all that is written begin with: a folder under the root.
    pub output: String,
    pub shards: Shards,
    /// A file of this machine whose weights the network begins with: a path from where the file lies. Its content is
    /// named in `train.weights` once it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// In a run whose chips are still being cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coming: Option<Coming>,
    pub train: TrainSpec,
}

/// Keys of tars under the root, each with its index beside it; or folders of them, which end in a slash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    pub train: Vec<String>,
    #[serde(default)]
    pub validation: Vec<String>,
}

const PIPELINE: &str = "it is a pipeline file: give it to swath run, which cuts chips and trains on them; this takes a file \
                        that names shards of chips";

fn is_pipeline(text: &str) -> bool {
    let has = |table: &toml::Table, keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
    text.parse::<toml::Table>()
        .is_ok_and(|table| has(&table, &["scenes", "stages", "classes"]) && !has(&table, &["shards"]))
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct BadTrainFile {
    path: String,
    why: String,
}

impl TrainFile {
    /// Reads and checks it: JSON where its name says so, TOML otherwise.
    pub fn read(path: &Path) -> std::result::Result<Self, BadTrainFile> {
        let wrong = |why: String| BadTrainFile { path: path.display().to_string(), why };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let is_workers = path.extension().is_some_and(|extension| extension == "json");
        let mut file: Self = if is_workers {
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
        } else {
            toml::from_str(&text).map_err(|error| match is_pipeline(&text) {
                true => wrong(PIPELINE.into()),
                false => wrong(error.to_string()),
            })?
        };
        // A worker has seen to it that they lie under the root.
        if file.train.weights.is_some() && !is_workers {
            return Err(wrong(
                "train.weights: is filled in from `init`, which names a file of weights above [shards]"
                    .into(),
            ));
        }
        if !is_workers && (file.coming.is_some() || file.train.start == Start::WithChips) {
            return Err(wrong(
                "train.start: only a run knows which chips are still to come: leave it out".into(),
            ));
        }
        if let Some(init) = &mut file.init {
            *init = path.parent().unwrap_or(Path::new("")).join(&*init);
            let read = Init::read(init, &file.train);
            file.train.weights =
                Some(read.map_err(|why| wrong(format!("init: {}: {why}", init.display())))?.weights);
        }
        file.train.check().map_err(|error| wrong(format!("train: {error}")))?;
        if file.shards.train.is_empty() {
            return Err(wrong("shards.train: names no shard and no folder of them".into()));
        }
        if file.train.balanced {
            return Err(wrong("train.balanced: only a run counts pixels before; give class_weights".into()));
        }
        let folder = &file.output;
        if !folder.ends_with('/') || folder.starts_with('/') || folder.split('/').any(|part| part == "..") {
            return Err(wrong(format!(
                "output = {folder:?}: must be a folder under the root, mine/ for instance"
            )));
        }
        Ok(file)
    }

    /// Of what is trained: where a machine keeps the weights that it begins with does not matter to the others.
    pub(super) fn digest(&self) -> Result<Digest> {
        let wrong = |error: serde_json::Error| TrainError::config(error.to_string());
        let json = serde_json::to_vec(&Self { init: None, ..self.clone() }).map_err(wrong)?;
        Ok(Digest::of(&json))
    }

    /// Puts what the network begins with under the root.
    pub(crate) fn put_init(&self, store: &Store) -> Result<()> {
        let Some(init) = &self.init else { return Ok(()) };
        let wrong = |why: String| TrainError::config(format!("init: {}: {why}", init.display()));
        let read = Init::read(init, &self.train).map_err(wrong)?;
        if self.train.weights.as_ref() != Some(&read.weights) {
            return Err(wrong("has changed a moment ago".into()));
        }
        read.put(store)
    }

    /// The shards to train on, and those to validate on.
    pub(crate) fn shards(&self, store: &Store) -> Result<(Vec<Shard>, Vec<Shard>)> {
        let of = |named: &[String]| -> Result<Vec<Shard>> {
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
        };
        Ok((of(&self.shards.train)?, of(&self.shards.validation)?))
    }
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

    fn read(name: &str, text: &str) -> std::result::Result<TrainFile, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        TrainFile::read(&folder.path().join(name)).map_err(|error| error.why)
    }

    #[test]
    fn a_file_is_read_and_what_it_can_not_say_is_told() {
        let right = read("mine.toml", RIGHT).unwrap();
        assert_eq!((right.output.as_str(), &right.shards.train[..]), ("mine/", &["chips/".to_owned()][..]));
        let weights = "weights = { file = { sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\", \
                       extension = \"safetensors\" } }\n";
        for (text, wanted) in [
            (RIGHT.replace("mine/", "mine"), "output = \"mine\": must be a folder under the root"),
            (RIGHT.replace("mine/", "../mine/"), "must be a folder under the root"),
            (RIGHT.replace("[\"chips/\"]", "[]"), "shards.train: names no shard"),
            (format!("{RIGHT}epochs = 0\n"), "train: epochs = 0: must be 1 to 100000"),
            (format!("{RIGHT}epoch = 3\n"), "unknown field `epoch`"),
            (
                "stages = [\"chip\"]\n[chips]\nsize = 96\n".to_owned(),
                "it is a pipeline file: give it to swath run",
            ),
            (format!("{RIGHT}balanced = true\n"), "train.balanced: only a run counts pixels"),
            (format!("{RIGHT}start = \"with-chips\"\n"), "train.start: only a run knows"),
            (format!("{RIGHT}{weights}"), "train.weights: is filled in from `init`"),
            (RIGHT.replace("[train]", "init = \"no.pt\"\n[train]"), "/no.pt: No such file"),
            (
                RIGHT.replace("[train]", "init = \"mine.toml\"\n[train]"),
                "mine.toml: must be a file of weights (.safetensors",
            ),
        ] {
            let told = read("mine.toml", &text).unwrap_err();
            assert!(told.contains(wanted), "{text}: {told}");
        }
        // What a worker writes for its ranks begins with weights where its run does.
        let of_run: TrainFile = toml::from_str(&format!("{RIGHT}{weights}")).unwrap();
        assert_eq!(read("ours.json", &serde_json::to_string(&of_run).unwrap()), Ok(of_run));
    }

    #[test]
    fn weights_to_begin_with_are_known_by_their_content_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |name: &str, content: &str| {
            std::fs::write(folder.path().join(name), content).unwrap();
            let path = folder.path().join("mine.toml");
            let init = format!("init = \"{name}\"\n[train]");
            std::fs::write(&path, RIGHT.replace("[train]", &init)).unwrap();
            TrainFile::read(&path).unwrap().digest().unwrap()
        };
        let one = digest("one.safetensors", "weights");
        assert_eq!(digest("other.safetensors", "weights"), one);
        assert_ne!(digest("other.safetensors", "other weights"), one);
    }
}
