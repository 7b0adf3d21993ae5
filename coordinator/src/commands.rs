//! What people ask of a run: small objects under the root, so that credentials for the root are
//! enough to steer. Each has a name of its own that begins with its time, is obeyed in that order,
//! and is removed once its effect is written down.

use std::collections::HashSet;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_proto::{ids::RunId, item::Place, keys};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Pause,
    Resume,
    Cancel,
    /// Make buried items new again: these, or all of them.
    Replay(Option<Vec<Place>>),
    Rank(NewRank),
    /// Do without these items for good.
    Drop(Vec<Place>),
}

/// What is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRank {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u32>,
}

impl NewRank {
    pub const fn is_empty(self) -> bool {
        self.priority.is_none() && self.share.is_none()
    }
}

impl Command {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Command::Pause => "pause",
            Command::Resume => "resume",
            Command::Cancel => "cancel",
            Command::Replay(_) => "replay",
            Command::Rank(_) => "priority",
            Command::Drop(_) => "drop",
        }
    }

    fn body(&self) -> Vec<u8> {
        match self {
            // Places are strings: nothing here can fail.
            Command::Replay(places) => serde_json::to_vec(places).unwrap_or_default(),
            Command::Rank(rank) => serde_json::to_vec(rank).unwrap_or_default(),
            Command::Drop(places) => serde_json::to_vec(places).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn parse(name: &str, body: &[u8]) -> anyhow::Result<Self> {
        match name {
            "pause" => Ok(Command::Pause),
            "resume" => Ok(Command::Resume),
            "cancel" => Ok(Command::Cancel),
            "replay" => {
                Ok(Command::Replay(serde_json::from_slice(body).context("reading the places to replay")?))
            }
            "priority" => Ok(Command::Rank(serde_json::from_slice(body).context("reading the priority")?)),
            "drop" => Ok(Command::Drop(serde_json::from_slice(body).context("reading the places to drop")?)),
            _ => anyhow::bail!("no command is called '{name}'"),
        }
    }
}

/// Puts a command down for whichever coordinator serves the run.
pub async fn give(blobs: &SharedBlobs, run: &RunId, command: &Command) -> anyhow::Result<()> {
    let (now_ms, any) = (jiff::Timestamp::now().as_millisecond(), rand::random::<u32>());
    let key = keys::command(run, &format!("{now_ms:014}-{any:08x}-{}", command.name()));
    blobs.put(&key, command.body().into()).await.with_context(|| format!("writing {key}"))
}

/// What was put down and is not removed yet, oldest first, with its key.
pub async fn pending(blobs: &SharedBlobs, run: &RunId) -> anyhow::Result<Vec<(String, Command)>> {
    let mut listed: Vec<_> =
        blobs.list(&keys::commands(run)).try_collect().await.context("looking for commands")?;
    listed.sort_by(|one, other| one.key.cmp(&other.key));
    let mut commands = Vec::new();
    for object in listed {
        let body = match blobs.get(&object.key).await {
            // Another coordinator has obeyed it.
            Err(error) if error.kind == Kind::NotFound => continue,
            body => body?,
        };
        let name = object.key.rsplit(['/', '-']).next().unwrap_or_default();
        match Command::parse(name, &body) {
            Ok(command) => commands.push((object.key, command)),
            Err(error) => {
                tracing::warn!(key = object.key, error = format!("{error:#}"), "command is dropped");
                blobs.delete(&object.key).await?;
            }
        }
    }
    Ok(commands)
}

/// Runs that somebody has asked something of.
pub async fn asked_of(blobs: &SharedBlobs) -> anyhow::Result<HashSet<RunId>> {
    let listed: Vec<_> = blobs.list(keys::COMMANDS).try_collect().await.context("looking for commands")?;
    let run = |key: &str| key.strip_prefix(keys::COMMANDS)?.split_once('/')?.0.parse().ok();
    Ok(listed.iter().filter_map(|object| run(&object.key)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::item::Stage;

    #[test]
    fn a_command_reads_back_what_it_writes() {
        let places = vec![Place::new(Stage::Predict, 0, 3)];
        let rank = NewRank { priority: Some(-3), share: None };
        for command in [
            Command::Pause,
            Command::Cancel,
            Command::Replay(None),
            Command::Replay(Some(places.clone())),
            Command::Rank(rank),
            Command::Drop(places),
        ] {
            assert_eq!(Command::parse(command.name(), &command.body()).unwrap(), command);
        }
        assert!(Command::parse("explode", b"").is_err());
        assert!(Command::parse("replay", b"{").is_err());
    }
}
