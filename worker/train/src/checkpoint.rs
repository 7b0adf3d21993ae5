//! All that is needed to go on, in one safetensors file: weights, statistics of batch norms and the
//! optimizer's moments, and beside them where the training stood.

use std::{collections::BTreeMap, io::Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use swath_model::{Counts, Learner, Loss, Scale, Snapshot};
use swath_proto::ids::Digest;
use swath_weights::{TensorFile, TensorInfo, safetensors_bytes};

use crate::error::{Result, TrainError};

/// The words of the file's metadata.
const POSITION: &str = "position";
const SHA256: &str = "sha256";

/// Where a training stands: which step is next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    version: Version,
    /// Of all that decides what comes out.
    pub(crate) training: Digest,
    /// From 0.
    pub(crate) epoch: u32,
    /// Within the epoch.
    pub(crate) step: u64,
    /// Steps of the optimizer.
    pub(crate) updates: u64,
    /// Those of them in which the encoder stayed as it was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) frozen_updates: u64,
    /// In fp16 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scale: Option<Scale>,
    /// Over the epoch's steps so far.
    pub(crate) loss_sum: f64,
    pub(crate) loss_weight: f64,
    pub(crate) best: Option<Best>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Version {
    #[serde(rename = "1")]
    V1,
}

/// The epoch with the highest mean IoU, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    pub epoch: u32,
    pub mean_iou: f64,
}

impl Position {
    pub(crate) fn begin(training: Digest) -> Self {
        let (loss_sum, loss_weight) = (0.0, 0.0);
        Self {
            version: Version::V1,
            training,
            epoch: 0,
            step: 0,
            updates: 0,
            frozen_updates: 0,
            scale: None,
            loss_sum,
            loss_weight,
            best: None,
        }
    }

    /// Nothing was learnt yet.
    pub(crate) const fn is_begin(&self) -> bool {
        self.epoch == 0 && self.step == 0
    }

    pub(crate) fn end_epoch(&mut self) {
        (self.epoch, self.step) = (self.epoch + 1, 0);
        self.set_loss(Loss::default());
    }

    pub(crate) fn loss(&self) -> Loss {
        Loss { sum: self.loss_sum, weight: self.loss_weight }
    }

    pub(crate) fn set_loss(&mut self, loss: Loss) {
        (self.loss_sum, self.loss_weight) = (loss.sum, loss.weight);
    }
}

/// A state as it is written down. `key` is for messages.
pub(crate) fn bytes(key: &str, state: &Snapshot, position: &Position) -> Result<Vec<u8>> {
    let Counts { updates, frozen: frozen_updates, scale } = state.counts();
    let position = Position { updates, frozen_updates, scale, ..position.clone() };
    let json = serde_json::to_string(&position)
        .map_err(|error| TrainError::data(format!("{key}: its position can't be written: {error}")))?;
    let tensors = state.tensors();
    let mut hash = Sha256::new_with_prefix(&json);
    for name in tensors.keys() {
        state.write(name, &mut Hashing(&mut hash))?;
    }
    let metadata = [(POSITION, json), (SHA256, Digest::from_sha256(hash).to_string())];
    encode(key, &tensors, metadata, |name, into| state.write(name, into))
}

/// The network alone, as a predictor loads it.
pub(crate) fn weights(
    key: &str,
    learner: &Learner,
    metadata: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Vec<u8>> {
    encode(key, &learner.weights(), metadata, |name, into| learner.write(name, into))
}

fn encode(
    key: &str,
    tensors: &BTreeMap<String, TensorInfo>,
    metadata: impl IntoIterator<Item = (&'static str, String)>,
    write: impl Fn(&str, &mut dyn Write) -> swath_model::Result<()>,
) -> Result<Vec<u8>> {
    let metadata = metadata.into_iter().map(|(word, value)| (word.to_owned(), value)).collect();
    safetensors_bytes(key, tensors, &metadata, |name, into| Ok::<_, TrainError>(write(name, into)?))
}

/// A checkpoint that is whole, and not yet looked at any further.
pub(crate) struct Read {
    pub(crate) key: String,
    pub(crate) position: Position,
    file: TensorFile,
}

/// The error says what is damaged.
pub(crate) fn read(key: &str, bytes: Vec<u8>) -> std::result::Result<Read, String> {
    let file = TensorFile::from_bytes(key, bytes).map_err(|error| error.to_string())?;
    let word = |word: &str| {
        file.metadata().get(word).ok_or_else(|| format!("it has no '{word}' beside its tensors"))
    };
    let (json, sha256) = (word(POSITION)?, word(SHA256)?);
    let mut hash = Sha256::new_with_prefix(json);
    for name in file.names() {
        hash.update(file.raw(name).map_err(|error| error.to_string())?);
    }
    if Digest::from_sha256(hash).to_string() != *sha256 {
        return Err("its content does not hash to what it says".into());
    }
    let position = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(Read { key: key.to_owned(), position, file })
}

impl Read {
    /// Refused where it is of another training: to begin again in silence would throw away what somebody
    /// waited for.
    pub(crate) fn of(self, training: Digest) -> Result<Self> {
        if self.position.training == training {
            return Ok(self);
        }
        Err(TrainError::config(format!(
            "{} is of another training: its options or chips were others; delete it and those beside it, or give \
             another output",
            self.key
        )))
    }

    pub(crate) fn restore(self, learner: &mut Learner) -> Result<Position> {
        let Position { updates, frozen_updates: frozen, scale, .. } = self.position;
        learner.restore(self.file, Counts { updates, frozen, scale })?;
        Ok(self.position)
    }
}

struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
