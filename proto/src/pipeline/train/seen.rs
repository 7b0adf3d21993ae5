//! `train.subset` and `train.oversample`: which chips are seen, and how often.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Path, check::Check, classes, classes::ClassEntry};
use crate::train::{self, Subset};

/// One of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubsetEntry {
    /// At most so many chips.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub chips: Option<u32>,
    /// This share of the chips.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub share: Option<f64>,
    /// At most so many chips, which are validated on too, as they are: a network that can learn anything knows them by
    /// heart in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub overfit: Option<u32>,
}

impl SubsetEntry {
    pub fn subset(&self) -> Option<Subset> {
        let chips = self.chips.map(Subset::Chips);
        chips.or(self.share.map(Subset::Share)).or(self.overfit.map(Subset::Overfit))
    }

    pub(super) fn check(&self, check: &mut Check<'_>) {
        let given = [self.chips.is_some(), self.share.is_some(), self.overfit.is_some()];
        if check.sound(&["train.subset"]) {
            check.need(given.into_iter().filter(|given| *given).count() == 1, "train.subset", || {
                "must say one of chips, share and overfit".into()
            });
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Oversample {
    Word(OversampleWord),
    ByName(BTreeMap<String, f64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OversampleWord {
    Balanced,
}

impl Oversample {
    pub fn rule(&self, classes: &[ClassEntry]) -> train::Oversample {
        match self {
            Self::Word(OversampleWord::Balanced) => train::Oversample::Balanced,
            Self::ByName(factors) => {
                let factor =
                    |class: &ClassEntry| factors.get(&class.name).map_or(1.0, |factor| *factor as f32);
                train::Oversample::Factors(classes.iter().map(factor).collect())
            }
        }
    }

    pub(super) fn check(&self, list: &[ClassEntry], check: &mut Check<'_>) {
        let Self::ByName(factors) = self else { return };
        let (place, most) = (Path::from("train.oversample"), train::Oversample::MOST);
        for (name, factor) in factors {
            let place = place.key(name.as_str());
            check.need((1.0..=f64::from(most)).contains(factor), place.clone(), || {
                format!("must be 1 to {most}: how many times as often chips with this class are seen")
            });
            classes::known(name, place, list, check);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TrainEntry;
    use super::*;

    #[test]
    fn names_become_numbers_of_classes() {
        let entry = |text: &str| toml::from_str::<TrainEntry>(text).unwrap();
        let class = |name: &str| ClassEntry { name: name.into(), color: "#000000".into(), null: false };
        let classes = ["ground", "road", "roof"].map(class);
        let rule = |text| entry(text).oversample.unwrap().rule(&classes);
        assert_eq!(rule("oversample = { road = 2.5 }"), train::Oversample::Factors(vec![1.0, 2.5, 1.0]));
        assert_eq!(rule("oversample = \"balanced\""), train::Oversample::Balanced);
        assert!(entry("").oversample.is_none() && entry("").subset.is_none());
        for (text, wanted) in [
            ("chips = 9", Subset::Chips(9)),
            ("share = 0.5", Subset::Share(0.5)),
            ("overfit = 4", Subset::Overfit(4)),
        ] {
            let entry = entry(&format!("subset = {{ {text} }}"));
            assert_eq!(entry.subset.unwrap().subset(), Some(wanted));
            assert_eq!(entry.overfits(), text == "overfit = 4");
        }
    }
}
