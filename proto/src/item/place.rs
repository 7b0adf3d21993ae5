//! Where items stand: the stages of a run, and a place for each item.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::pipeline::nearest;

/// A kind of work. The order is the order in which stages come to a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Find the numeric class of a kind of worker, and its speed.
    Probe,
    /// Read the headers of scenes.
    Survey,
    /// Sum the pixels of a scene, for scaling by statistics.
    Analyze,
    /// Cut a stretch of a scene's windows into a shard of training samples.
    Chip,
    /// Fit a network to the shards.
    Train,
    /// Run the network over a rectangle.
    Predict,
    /// Join a scene's predicted rectangles to one file.
    Assemble,
    /// Count a scene's prediction against its labels.
    Eval,
    /// Trace a scene's prediction into polygons.
    Vectorize,
    /// Trace the predictions of all scenes together, across their borders.
    Merge,
    /// Pack the trained network with all that is needed to predict with it.
    Bundle,
    /// Run a command of the user's own.
    Step,
    /// Do nothing: what `swath bench control` measures the control path with.
    Noop,
}

impl Stage {
    pub const ALL: [Stage; 13] = [
        Stage::Probe,
        Stage::Survey,
        Stage::Analyze,
        Stage::Chip,
        Stage::Train,
        Stage::Predict,
        Stage::Assemble,
        Stage::Eval,
        Stage::Vectorize,
        Stage::Merge,
        Stage::Bundle,
        Stage::Step,
        Stage::Noop,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Stage::Probe => "probe",
            Stage::Survey => "survey",
            Stage::Analyze => "analyze",
            Stage::Chip => "chip",
            Stage::Train => "train",
            Stage::Predict => "predict",
            Stage::Assemble => "assemble",
            Stage::Eval => "eval",
            Stage::Vectorize => "vectorize",
            Stage::Merge => "merge",
            Stage::Bundle => "bundle",
            Stage::Step => "step",
            Stage::Noop => "noop",
        }
    }

    /// Counts the changes of a stage's code that change its output; part of every item's id.
    pub const fn revision(self) -> u32 {
        match self {
            // 2: the tiles of a map stand cell by cell, and the files say their statistics; weights follow the gradient
            // by the engine's fused kernel, which rounds otherwise.
            Stage::Predict | Stage::Assemble | Stage::Train => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stage {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Stage::ALL.into_iter().find(|stage| stage.name() == s).ok_or_else(|| {
            // Those that a pipeline can name.
            let inner = [Stage::Probe, Stage::Step, Stage::Noop];
            let named = Stage::ALL.into_iter().filter(|stage| !inner.contains(stage));
            let names: Vec<&str> = named.map(Stage::name).collect();
            match nearest(s, names.iter().copied()) {
                Some(near) => format!("no stage is called '{s}'; did you mean {near}?"),
                None => format!("no stage is called '{s}'; the stages are {}", names.join(", ")),
            }
        })
    }
}

/// Where an item stands in its run: one bit of the ledger. Scenes are planned in lots (the scenes
/// of one survey item), so that work begins before the last header is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Place {
    pub stage: Stage,
    pub lot: u32,
    pub index: u32,
}

impl Place {
    pub const fn new(stage: Stage, lot: u32, index: u32) -> Self {
        Self { stage, lot, index }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.stage, self.lot, self.index)
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("'{s}' is not a place: it should look like predict.0.17");
        let mut parts = s.split('.');
        let (Some(stage), Some(lot), Some(index), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            stage: stage.parse()?,
            lot: lot.parse().map_err(|_| wrong())?,
            index: index.parse().map_err(|_| wrong())?,
        })
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_stage_is_told_with_the_one_that_was_meant_or_with_those_of_pipelines() {
        let told = |word: &str| word.parse::<Stage>().unwrap_err();
        assert_eq!(told("chips"), "no stage is called 'chips'; did you mean chip?");
        assert_eq!(told("vectorise"), "no stage is called 'vectorise'; did you mean vectorize?");
        let all = told("bake");
        assert!(all.contains("survey, analyze, chip") && all.ends_with("bundle"), "{all}");
        assert!(!all.contains("probe") && !all.contains("noop"), "{all}");
    }

    #[test]
    fn a_place_reads_back_what_it_prints() {
        let place = Place::new(Stage::Predict, 3, 17);
        assert_eq!(place.to_string(), "predict.3.17");
        assert_eq!("predict.3.17".parse(), Ok(place));
        for bad in ["predict.3", "predict.3.17.1", "bake.0.0", "predict.x.1", "predict.0.-1", ""] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
