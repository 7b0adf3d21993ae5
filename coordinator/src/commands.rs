//! What people ask of a run: small objects under the root, so that credentials for the root are
//! enough to steer. Each is taken once and removed.

use anyhow::Context as _;
use futures::TryStreamExt as _;
use swath_backends::blobs::SharedBlobs;
use swath_proto::{ids::RunId, item::Place, keys};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Pause,
    Resume,
    Cancel,
    /// Make buried items new again: these, or all of them.
    Replay(Option<Vec<Place>>),
}

impl Command {
    const fn name(&self) -> &'static str {
        match self {
            Command::Pause => "pause",
            Command::Resume => "resume",
            Command::Cancel => "cancel",
            Command::Replay(_) => "replay",
        }
    }

    fn body(&self) -> Vec<u8> {
        match self {
            Command::Replay(places) => serde_json::to_vec(places).expect("places are strings"),
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
            _ => anyhow::bail!("no command is called '{name}'"),
        }
    }
}

/// Puts a command down for whichever coordinator serves the run.
pub async fn give(blobs: &SharedBlobs, run: &RunId, command: &Command) -> anyhow::Result<()> {
    let key = keys::command(run, command.name());
    blobs.put(&key, command.body().into()).await.with_context(|| format!("writing {key}"))
}

/// Takes what was put down since the last call.
pub async fn take(blobs: &SharedBlobs, run: &RunId) -> anyhow::Result<Vec<Command>> {
    let prefix = keys::commands(run);
    let listed: Vec<_> = blobs.list(&prefix).try_collect().await.context("looking for commands")?;
    let mut commands = Vec::new();
    for object in listed {
        let body = blobs.get(&object.key).await?;
        match Command::parse(&object.key[prefix.len()..], &body) {
            Ok(command) => commands.push(command),
            Err(error) => {
                tracing::warn!(key = object.key, error = format!("{error:#}"), "command is dropped")
            }
        }
        blobs.delete(&object.key).await?;
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::item::Stage;

    #[test]
    fn a_command_reads_back_what_it_writes() {
        let places = vec![Place::new(Stage::Predict, 0, 3)];
        for command in [Command::Pause, Command::Cancel, Command::Replay(None), Command::Replay(Some(places))]
        {
            assert_eq!(Command::parse(command.name(), &command.body()).unwrap(), command);
        }
        assert!(Command::parse("explode", b"").is_err());
        assert!(Command::parse("replay", b"{").is_err());
    }
}
