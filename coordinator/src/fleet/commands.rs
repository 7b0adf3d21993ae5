//! What people ask of the fleet: small objects under the root, obeyed in the order of their names, which begin with
//! their time, and removed once their effect is written down.

use anyhow::Context as _;
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_proto::{fleet::WorkerKind, ids::WorkerId, keys};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// So many, within what is allowed; as the backlog wants without a number. Begins again after a stop.
    Scale { kind: Option<WorkerKind>, workers: Option<u32> },
    /// These workers leave, or all that are there now; others are started in their place if they are needed.
    Drain { workers: Option<Vec<WorkerId>> },
    /// Everybody leaves, and nobody is started.
    Stop,
}

impl Command {
    const fn name(&self) -> &'static str {
        match self {
            Self::Scale { .. } => "scale",
            Self::Drain { .. } => "drain",
            Self::Stop => "stop",
        }
    }
}

/// Puts a command down for whichever coordinator has the fleet.
pub async fn give(blobs: &SharedBlobs, command: &Command) -> anyhow::Result<()> {
    let (now_ms, any) = (jiff::Timestamp::now().as_millisecond(), rand::random::<u32>());
    let key = keys::fleet_command(&format!("{now_ms:014}-{any:08x}-{}", command.name()));
    let body = serde_json::to_vec(command).context("writing a command")?;
    blobs.put(&key, body.into()).await.with_context(|| format!("writing {key}"))
}

/// What was put down and is not removed yet, oldest first, with its key.
pub async fn pending(blobs: &SharedBlobs) -> anyhow::Result<Vec<(String, Command)>> {
    let mut listed: Vec<_> =
        blobs.list(keys::FLEET_COMMANDS).try_collect().await.context("looking for commands to the fleet")?;
    listed.sort_by(|one, other| one.key.cmp(&other.key));
    let mut commands = Vec::new();
    for object in listed {
        let body = match blobs.get(&object.key).await {
            // Another coordinator has obeyed it.
            Err(error) if error.kind == Kind::NotFound => continue,
            body => body?,
        };
        match serde_json::from_slice(&body) {
            Ok(command) => commands.push((object.key, command)),
            Err(error) => {
                tracing::warn!(key = object.key, %error, "command to the fleet is dropped");
                blobs.delete(&object.key).await?;
            }
        }
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_back_what_it_writes() {
        for command in [
            Command::Scale { kind: Some(WorkerKind::Gpu), workers: Some(4) },
            Command::Scale { kind: None, workers: None },
            Command::Drain { workers: Some(vec!["worker-a-1".parse().unwrap()]) },
            Command::Drain { workers: None },
            Command::Stop,
        ] {
            let json = serde_json::to_vec(&command).unwrap();
            assert_eq!(serde_json::from_slice::<Command>(&json).unwrap(), command);
        }
        for wrong in [r#""explode""#, r#"{"scale":{"kind":"tpu","workers":1}}"#, r#"{"drain":{"all":true}}"#]
        {
            assert!(serde_json::from_str::<Command>(wrong).is_err(), "{wrong}");
        }
    }
}
