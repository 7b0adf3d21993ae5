//! A job definition from its configuration, and the digest by which an equal one is known again: Batch gives every
//! registration a revision of its own, equal or not.

use std::collections::BTreeMap;

use serde::Serialize;
use swath_proto::ids::Digest;

use super::settings::Image;

/// A parameter of the definition that nothing refers to: unlike a tag, nobody can change it later.
pub const DIGEST: &str = "swath-definition";
/// Raised when [`super::register`] makes something else of the same content.
const REVISION: u32 = 1;
/// Open files of a container: readers of many scenes have many.
pub const OPEN_FILES: i32 = 65_536;

/// All that decides a job definition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Definition {
    pub name: String,
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub image: Image,
    pub attempts: u32,
}

impl Definition {
    /// Variables that differ from fleet to fleet come with each job.
    pub fn new(fleet: &str, section: &str, command: Vec<String>, image: &Image, attempts: u32) -> Self {
        // Its log is read by programs.
        let environment = BTreeMap::from([("SWATH_LOG_FORMAT".to_owned(), "json".to_owned())]);
        Self { name: format!("{fleet}-{section}"), command, environment, image: image.clone(), attempts }
    }

    pub fn digest(&self) -> String {
        // Maps are sorted, fields in their order: the same content is the same text.
        let text = serde_json::to_vec(&(REVISION, self)).expect("words and numbers");
        Digest::of(&text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Definition {
        let image: Image = serde_json::from_value(serde_json::json!({
            "uri": "1.dkr.ecr.eu-central-1.amazonaws.com/swath:1", "vcpus": 4, "memory_mib": 15_000, "gpus": 1,
        }))
        .unwrap();
        Definition::new("maps", "gpu", vec!["worker".into()], &image, 3)
    }

    #[test]
    fn equal_content_is_known_again_and_every_change_is_another_definition() {
        let first = definition();
        assert_eq!(first.digest(), definition().digest());
        let changed = |change: fn(&mut Definition)| {
            let mut other = definition();
            change(&mut other);
            assert_ne!(other.digest(), first.digest(), "{other:?}");
        };
        changed(|other| other.image.uri.push('2'));
        changed(|other| other.image.gpus = 2);
        changed(|other| other.image.memory_mib += 1);
        changed(|other| other.image.shared_memory_mib = Some(64));
        changed(|other| other.command.push("--slots=2".into()));
        changed(|other| other.attempts = 4);
        changed(|other| drop(other.environment.insert("A".into(), "b".into())));
    }
}
