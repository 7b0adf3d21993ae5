//! How an item can end other than well. The class of a failure decides what happens next.

use serde::{Deserialize, Serialize};

use crate::{
    geometry::RectPx,
    ids::{SceneId, WorkerId},
    item::Place,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// A server or network fault: try again after a pause.
    Transient,
    /// The worker has to go: hand back, not counted.
    Preempted,
    /// Too little memory or disk: fewer items at a time, or another worker.
    Capacity,
    /// This worker could not do it (no such file here, no permission, a bug): another may.
    Fault,
    /// The input is bad: the same error will come again. Buried with its cause.
    Data,
    /// The set-up is wrong: every item would fail in this way. The run stops.
    Config,
    /// No failure of the item's own: people have said that the run is to do without it.
    Dropped,
}

impl FailureClass {
    pub const fn name(self) -> &'static str {
        match self {
            FailureClass::Transient => "transient",
            FailureClass::Preempted => "preempted",
            FailureClass::Capacity => "capacity",
            FailureClass::Fault => "fault",
            FailureClass::Data => "data",
            FailureClass::Config => "config",
            FailureClass::Dropped => "dropped",
        }
    }
}

/// What went wrong, where, and with which input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub class: FailureClass,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<SceneId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rect: Option<RectPx>,
    pub worker: WorkerId,
}

impl Failure {
    /// What failures of one scene have in common that have one cause: class and message, but for the digits of offsets
    /// and rectangles.
    pub fn kind(&self) -> (FailureClass, Option<&SceneId>, String) {
        let words = self.message.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        (self.class, self.scene.as_ref(), words)
    }
}

/// What a finished item tells the ledger about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Seconds from claim to finish.
    pub seconds: f64,
    /// Pixels of the scene that the item covered.
    pub pixels: u64,
    /// Bytes of output that it wrote.
    pub bytes: u64,
}

/// A buried item: an object under `buried/`, so that losing the ledger loses no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Versioned", into = "Versioned")]
pub struct Buried {
    pub place: Place,
    pub attempts: u32,
    pub failure: Failure,
    /// When, in RFC 3339, if it was written down.
    pub written: Option<String>,
    /// The end of what its last attempt has logged, oldest line first.
    pub log: Vec<String>,
}

impl Buried {
    pub const fn is_dropped(&self) -> bool {
        matches!(self.failure.class, FailureClass::Dropped)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "version")]
enum Versioned {
    #[serde(rename = "1")]
    V1 { place: Place, attempts: u32, failure: Failure },
    #[serde(rename = "2")]
    V2 {
        place: Place,
        attempts: u32,
        failure: Failure,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        written: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
}

impl From<Versioned> for Buried {
    fn from(versioned: Versioned) -> Self {
        match versioned {
            Versioned::V1 { place, attempts, failure } => {
                Self { place, attempts, failure, written: None, log: Vec::new() }
            }
            Versioned::V2 { place, attempts, failure, written, log } => {
                Self { place, attempts, failure, written, log }
            }
        }
    }
}

impl From<Buried> for Versioned {
    fn from(buried: Buried) -> Self {
        let Buried { place, attempts, failure, written, log } = buried;
        Self::V2 { place, attempts, failure, written, log }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Buried {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_frozen_grave_still_reads_and_the_newest_is_still_written() {
        let oldest = read(include_str!("../samples/buried-v1.json"));
        assert_eq!((oldest.attempts, oldest.log.len(), oldest.written), (3, 0, None));
        let newest = include_str!("../samples/buried-v2.json");
        let grave = read(newest);
        assert_eq!(grave.log.len(), 2);
        assert_eq!(serde_json::to_string_pretty(&grave).unwrap(), newest.trim_end());
        assert_eq!((grave.place, grave.failure), (oldest.place, oldest.failure));
    }

    #[test]
    fn a_class_is_called_what_it_is_written_as() {
        use FailureClass::*;
        for class in [Transient, Preempted, Capacity, Fault, Data, Config, Dropped] {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }

    #[test]
    fn the_page_about_failures_has_a_row_for_each_class_and_no_other() {
        use FailureClass::*;
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/failures.md");
        let page = std::fs::read_to_string(page).unwrap();
        let told: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(told, [Transient, Preempted, Capacity, Fault, Data, Config].map(FailureClass::name));
    }

    #[test]
    fn a_grave_of_another_make_is_refused() {
        let newest = include_str!("../samples/buried-v2.json");
        for (what, bad) in [
            ("a newer version", newest.replacen("\"2\"", "\"99\"", 1)),
            ("an unknown class", newest.replace("\"data\"", "\"bad luck\"")),
            ("no place", newest.replace("predict.0.3", "bake.0")),
        ] {
            assert!(serde_json::from_str::<Buried>(&bad).is_err(), "{what}");
        }
    }
}
