//! `[[steps]]`: commands of the user's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Path, PredictEntry, check::Check, problem::nearest};
use crate::{ids::SceneId, item::Stage};

/// A command that runs once its inputs are there, on workers that were started with --allow-steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepEntry {
    /// Its name: letters, digits, "-" and "_".
    pub name: String,
    /// What it runs for.
    #[serde(rename = "for")]
    pub each: StepFor,
    /// Program and arguments; no shell. {in:NAME} and {out:NAME} become paths, {scene} the scene's name.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// What must be there first: what stages make, or STEP/OUTPUT of an earlier step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// File names that the command writes. It has failed if one is missing.
    #[schemars(length(min = 1))]
    pub outputs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepFor {
    /// Once for each scene.
    Scene,
    /// Once for each rectangle that is predicted.
    Item,
    /// Once.
    Run,
}

/// What steps can take, the stage that makes it, and whether there is one for each scene.
const INPUTS: [(&str, Option<Stage>, bool); 11] = [
    ("image", None, true),
    ("labels", None, true),
    ("aoi", None, true),
    ("prediction", Some(Stage::Assemble), true),
    ("scores", Some(Stage::Assemble), true),
    ("confidence", Some(Stage::Assemble), true),
    ("vectors", Some(Stage::Vectorize), true),
    ("eval", Some(Stage::Eval), false),
    ("bundle", Some(Stage::Bundle), false),
    ("checkpoint", Some(Stage::Train), false),
    ("chips", Some(Stage::Chip), false),
];

pub(super) fn check_all(
    steps: &[StepEntry],
    stages: &[Stage],
    predict: &PredictEntry,
    check: &mut Check<'_>,
) {
    for (at, step) in steps.iter().enumerate() {
        let place = Path::from("steps").index(at);
        let name = place.key("name");
        if step.name.contains('.') || step.name.parse::<SceneId>().is_err() {
            let why = "must be 1 to 100 letters, digits, '-' and '_', and begin with a letter or digit";
            check.wrong(name.clone(), why);
        } else if step.name.parse::<Stage>().is_ok() {
            check.wrong(name.clone(), "is the name of a stage");
        } else if let Some(twin) = steps[..at].iter().position(|other| other.name == step.name) {
            check.wrong(name, format!("is the name of steps[{twin}] too"));
        }
        let program = step.command.first().is_none_or(|program| !program.is_empty());
        check.need(program, place.key("command").index(0), || "must name a program".into());
        for (nth, output) in step.outputs.iter().enumerate() {
            let path = place.key("outputs").index(nth);
            if output.parse::<SceneId>().is_err() {
                check.wrong(path, "must be a plain file name of letters, digits, '.', '_' and '-'");
            } else if step.outputs[..nth].contains(output) {
                check.wrong(path, "is named twice");
            }
        }
        for (nth, input) in step.inputs.iter().enumerate() {
            if let Some(wrong) = input_problem(step, input, &steps[..at], stages, predict, check) {
                check.wrong(place.key("inputs").index(nth), wrong);
            }
        }
    }
}

fn input_problem(
    step: &StepEntry,
    input: &str,
    earlier: &[StepEntry],
    stages: &[Stage],
    predict: &PredictEntry,
    check: &Check<'_>,
) -> Option<String> {
    let words = INPUTS.map(|(word, ..)| word);
    let made: Vec<String> = earlier
        .iter()
        .flat_map(|step| step.outputs.iter().map(move |output| format!("{}/{output}", step.name)))
        .collect();
    if made.iter().any(|made| made == input) {
        let of =
            earlier.iter().find(|of| input.strip_prefix(&of.name).is_some_and(|rest| rest.starts_with('/')));
        let narrower =
            of.is_some_and(|of| of.each != StepFor::Run && of.each != step.each && step.each != StepFor::Run);
        return narrower.then(|| "both steps must be for the same, or one of them for the run".into());
    }
    let Some((_, stage, _)) = INPUTS.into_iter().find(|(word, ..)| *word == input) else {
        let all = words.into_iter().chain(made.iter().map(String::as_str));
        let near =
            nearest(input, all.clone()).map(|near| format!("nothing is called so; did you mean \"{near}\"?"));
        return Some(near.unwrap_or_else(|| {
            format!("nothing is called so; there are {}", all.collect::<Vec<_>>().join(", "))
        }));
    };
    if input == "chips" && step.each != StepFor::Run {
        return Some("is for a step for the run: for = \"run\"".into());
    }
    for (word, is_made) in [("scores", predict.scores), ("confidence", predict.confidence)] {
        if input == word && !is_made && check.sound(&[&format!("predict.{word}")]) {
            return Some(format!("needs {word} = true in [predict]"));
        }
    }
    let missing = stage.filter(|stage| !stages.contains(stage) && check.sound(&["stages"]))?;
    Some(format!("is made by the stage {missing}: name it in stages"))
}
