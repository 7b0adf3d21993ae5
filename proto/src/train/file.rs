//! What is to be trained, as it is written down for ranks: a TOML file of a person's, or JSON of a worker's.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Start, TrainSpec};
use crate::ids::Digest;

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

/// What is there of the chips to train on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coming {
    /// Names all that was planned.
    pub plan: Digest,
    /// Chip items of the plan, of those to train on.
    pub planned: u32,
    /// Where in the plan the shards are from, in their order. What was planned before the last of them is there, or has
    /// kept no chip.
    pub places: Vec<u32>,
    /// Nothing more will come, and the chips to validate on are there too.
    pub is_all: bool,
}

/// Keys of tars under the root, each with its index beside it; or folders of them, which end in a slash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    pub train: Vec<String>,
    #[serde(default)]
    pub validation: Vec<String>,
}

/// What such a file is.
pub const TRAIN_FILE: &str = "a file for swath train (TOML)";

const PIPELINE: &str = "it is a pipeline file: give it to swath run, which cuts chips and trains on them; this takes a file \
                        that names shards of chips";

impl TrainFile {
    /// Of a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| match is_pipeline(text) {
            true => PIPELINE.to_owned(),
            false => error.to_string(),
        })?;
        if file.coming.is_some() || file.train.start == Start::WithChips {
            return Err("train.start: only a run knows which chips are still to come: leave it out".into());
        }
        // A worker has seen to it that they lie under the root.
        match file.train.weights {
            Some(_) => {
                Err("train.weights: is filled in from `init`, which names a file of weights above [shards]"
                    .into())
            }
            None => Ok(file),
        }
    }

    /// All that can be known without another file.
    pub fn check(&self) -> Result<(), String> {
        self.train.check().map_err(|error| format!("train: {error}"))?;
        if self.shards.train.is_empty() {
            return Err("shards.train: names no shard and no folder of them".into());
        }
        if self.train.balanced {
            return Err("train.balanced: only a run counts pixels before; give class_weights".into());
        }
        if let Some(key) = self.shards.train.iter().chain(&self.shards.validation).find(|key| !is_key(key)) {
            return Err(format!("shards: {key}: must be a key under the root"));
        }
        if !self.output.ends_with('/') || !is_key(&self.output) {
            return Err(format!(
                "output = {:?}: must be a folder under the root, mine/ for instance",
                self.output
            ));
        }
        Ok(())
    }
}

fn is_key(key: &str) -> bool {
    !key.starts_with('/') && !key.contains("://") && !key.split('/').any(|part| part == "..")
}

fn is_pipeline(text: &str) -> bool {
    let has = |table: &toml::Table, keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
    text.parse::<toml::Table>()
        .is_ok_and(|table| has(&table, &["scenes", "stages", "classes"]) && !has(&table, &["shards"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str =
        "output = \"mine/\"\nshards.train = [\"chips/\"]\n[train]\narchitecture = \"tiny\"\nclasses = 2\n";

    #[test]
    fn a_file_is_read_and_what_it_can_not_say_is_told() {
        let read = |text: &str| TrainFile::parse(text).and_then(|file| file.check().map(|()| file));
        let right = read(RIGHT).unwrap();
        assert_eq!((right.output.as_str(), &right.shards.train[..]), ("mine/", &["chips/".to_owned()][..]));
        let weights = "weights = { file = { sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\", \
                       extension = \"safetensors\" } }\n";
        for (text, wanted) in [
            (RIGHT.replace("mine/", "mine"), "output = \"mine\": must be a folder under the root"),
            (RIGHT.replace("mine/", "/mine/"), "must be a folder under the root"),
            (RIGHT.replace("mine/", "../mine/"), "must be a folder under the root"),
            (RIGHT.replace("chips/", "s3://other/chips/"), "must be a key under the root"),
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
        ] {
            let told = read(&text).unwrap_err();
            assert!(told.contains(wanted), "{text}: {told}");
        }
    }
}
