//! Which of the chips to train on are seen, and how often.

use serde::{Deserialize, Serialize};

use super::BadTrainSpec;

/// Some of the chips, drawn from the seed: what is small is part of what is large.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subset {
    /// At most so many.
    Chips(u32),
    /// This share of them, one chip at least.
    Share(f64),
    /// At most so many, which are validated on too, as they are: a network that can learn anything knows them by heart
    /// in the end.
    Overfit(u32),
}

impl Subset {
    /// How many it leaves of so many.
    pub fn size(self, n_chips: usize) -> usize {
        let wanted = match self {
            Self::Chips(n) | Self::Overfit(n) => n as usize,
            Self::Share(share) => (n_chips as f64 * share).round().max(1.0) as usize,
        };
        wanted.min(n_chips)
    }

    pub(super) fn check(self) -> Result<(), BadTrainSpec> {
        let (key, value, why) = match self {
            Self::Chips(0) => ("chips", 0.0, "must be 1 or more"),
            Self::Overfit(0) => ("overfit", 0.0, "must be 1 or more"),
            Self::Share(share) if !(share > 0.0 && share <= 1.0) => {
                ("share", share, "must be above 0, 1 at most")
            }
            _ => return Ok(()),
        };
        Err(BadTrainSpec(format!("subset.{key} = {value}: {why}")))
    }
}

/// Draws chips with rare classes more often; an epoch has as many steps as without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oversample {
    /// A class that is in `n` chips has the factor `sqrt(most / n)`, where `most` is that of the class that is in the
    /// most of them.
    Balanced,
    /// One for each class. A chip goes by the largest of the classes that it has.
    Factors(Vec<f32>),
}

impl Oversample {
    pub const MOST: f32 = 1000.0;

    pub(super) fn check(&self, classes: u32) -> Result<(), BadTrainSpec> {
        let Self::Factors(factors) = self else { return Ok(()) };
        let fits = factors.len() == classes as usize
            && factors.iter().all(|factor| (1.0..=Self::MOST).contains(factor));
        let text =
            || format!("oversample.factors = {factors:?}: must be {classes} numbers, 1 to {}", Self::MOST);
        fits.then_some(()).ok_or_else(|| BadTrainSpec(text()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::TrainSpec;

    fn read(more: &str) -> Result<TrainSpec, String> {
        let text = format!("architecture = \"tiny\"\nclasses = 2\n{more}");
        let spec: TrainSpec = toml::from_str(&text).map_err(|error| error.to_string())?;
        spec.check().map_err(|error| error.to_string())?;
        let json = serde_json::to_string(&spec).map_err(|error| error.to_string())?;
        assert_eq!(serde_json::from_str::<TrainSpec>(&json).unwrap(), spec);
        Ok(spec)
    }

    #[test]
    fn a_subset_is_never_larger_than_what_there_is_and_never_nothing() {
        for (text, wanted) in
            [("chips = 20", [0, 1, 18, 20]), ("share = 0.1", [0, 1, 2, 30]), ("overfit = 8", [0, 1, 8, 8])]
        {
            let subset = read(&format!("subset = {{ {text} }}")).unwrap().subset.unwrap();
            assert_eq!([0, 1, 18, 300].map(|n| subset.size(n)), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_to_be_known_by_heart_is_not_changed() {
        let spec = read("subset = { overfit = 8 }").unwrap();
        assert_eq!((spec.overfits(), spec.augments()), (true, super::super::Augment::NOTHING));
        let spec = read("subset = { chips = 8 }").unwrap();
        assert_eq!((spec.overfits(), spec.augments()), (false, spec.augment));
    }

    /// Ids of items hash it: those of before are to stay what they are.
    #[test]
    fn what_is_left_out_is_not_written() {
        let json = serde_json::to_string(&read("").unwrap()).unwrap();
        assert!(!["subset", "oversample"].iter().any(|key| json.contains(key)), "{json}");
    }

    #[test]
    fn what_can_not_be_is_refused_by_its_key() {
        for right in ["\"balanced\"", "{ factors = [1, 2.5] }"] {
            assert!(read(&format!("oversample = {right}")).is_ok());
        }
        for (wrong, key) in [
            ("subset = { chips = 0 }", "subset.chips = 0"),
            ("subset = { overfit = 0 }", "subset.overfit = 0"),
            ("subset = { share = 1.5 }", "subset.share = 1.5: must be above 0"),
            ("subset = { share = nan }", "subset.share"),
            ("subset = { share = 0.5, chips = 3 }", "subset"),
            ("oversample = { factors = [1] }", "oversample.factors"),
            ("oversample = { factors = [1, 0.5] }", "oversample.factors"),
            ("oversample = { factors = [1, 1001] }", "oversample.factors"),
            ("oversample = \"rare\"", "rare"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(key), "{wrong}: {error}");
        }
    }
}
