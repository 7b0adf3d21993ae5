//! The user's own steps: inputs are looked up, and the files that commands name are put under the root by
//! their content, so that every worker runs the same ones.

use std::path::{Component, Path};

use anyhow::{Context as _, bail};
use swath_proto::{
    ids::Digest,
    keys,
    pipeline::Pipeline,
    steps::{StepCommand, StepFile, StepInput, StepPlan},
};

use super::Blob;

/// Scripts, not data: data is named by inputs.
const MAX_FILE_LEN: usize = 64 << 20;

pub(super) fn steps(
    pipeline: &Pipeline,
    folder: &Path,
    blobs: &mut Vec<Blob>,
) -> anyhow::Result<Vec<StepPlan>> {
    let mut plans: Vec<StepPlan> = Vec::new();
    for (at, entry) in pipeline.steps.iter().enumerate() {
        let inputs = entry.inputs.iter().map(|word| input(word, &plans)).collect::<Option<_>>();
        let inputs = inputs.with_context(|| format!("steps[{at}].inputs: one is not known"))?;
        let mut files = Vec::new();
        for word in &entry.command {
            if let Some(file) = beside(word, folder, blobs).with_context(|| format!("steps[{at}].command"))?
                && !files.contains(&file)
            {
                files.push(file);
            }
        }
        plans.push(StepPlan {
            name: entry.name.clone(),
            each: entry.each,
            inputs,
            command: StepCommand { command: entry.command.clone(), outputs: entry.outputs.clone(), files },
        });
    }
    Ok(plans)
}

fn input(word: &str, earlier: &[StepPlan]) -> Option<StepInput> {
    Some(match word {
        "image" => StepInput::Image,
        "labels" => StepInput::Labels,
        "aoi" => StepInput::Aoi,
        "prediction" => StepInput::Prediction,
        "scores" => StepInput::Scores,
        "confidence" => StepInput::Confidence,
        "vectors" => StepInput::Vectors,
        "eval" => StepInput::Eval,
        "bundle" => StepInput::Bundle,
        "checkpoint" => StepInput::Checkpoint,
        "chips" => StepInput::Chips,
        other => {
            let (step, name) = other.split_once('/')?;
            let step = earlier.iter().position(|plan| plan.name == step)? as u32;
            StepInput::Output { step, name: name.to_owned() }
        }
    })
}

/// A word of a command that is a file beside the pipeline file.
fn beside(word: &str, folder: &Path, blobs: &mut Vec<Blob>) -> anyhow::Result<Option<StepFile>> {
    let path = Path::new(word);
    let is_below = !word.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)));
    let file = folder.join(path);
    if !is_below || !file.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    if bytes.len() > MAX_FILE_LEN {
        bail!(
            "{} has {} bytes; name data as an input, not as a file of the command",
            file.display(),
            bytes.len()
        );
    }
    let sha256 = Digest::of(&bytes);
    blobs.push((keys::step_file(&sha256), bytes.into()));
    Ok(Some(StepFile { name: word.to_owned(), sha256 }))
}
