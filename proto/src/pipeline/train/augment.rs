//! `train.augment`: words, and tables for those who know how strong they want it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Path, check::Check};
use crate::train::Augment;

/// A word, or a table of strengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AugmentEntry {
    Word(AugmentWord),
    Strength(AugmentStrength),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AugmentWord {
    HorizontalFlip,
    VerticalFlip,
    /// Rotations by 90, 180 and 270 degrees.
    RightAngles,
    /// By 0.8 to 1.25.
    Scale,
    /// 1 pixel.
    Blur,
    /// 0.2.
    Brightness,
    /// 0.2.
    Contrast,
    /// 0.02.
    Noise,
    /// 0.1.
    ChannelDrop,
}

/// How much of it is drawn at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentStrength {
    /// The factors [from, to] between which a chip is enlarged, of which a place is cut out, or made smaller, with
    /// mirror images around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.5, max = 4)))]
    pub scale: Option<[f64; 2]>,
    /// The widest Gaussian, as its standard deviation in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub blur: Option<f64>,
    /// Values times 1, up to this much more or less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub brightness: Option<f64>,
    /// Distance of values from their band's mean in the chip, times 1, up to this much more or less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub contrast: Option<f64>,
    /// Standard deviation of what is added to each value, whose full range is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub noise: Option<f64>,
    /// Share of chips of which one band is black.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub channel_drop: Option<f64>,
}

impl AugmentWord {
    fn strength(self) -> AugmentStrength {
        let nothing = AugmentStrength::default();
        match self {
            Self::HorizontalFlip | Self::VerticalFlip | Self::RightAngles => nothing,
            Self::Scale => AugmentStrength { scale: Some([0.8, 1.25]), ..nothing },
            Self::Blur => AugmentStrength { blur: Some(1.0), ..nothing },
            Self::Brightness => AugmentStrength { brightness: Some(0.2), ..nothing },
            Self::Contrast => AugmentStrength { contrast: Some(0.2), ..nothing },
            Self::Noise => AugmentStrength { noise: Some(0.02), ..nothing },
            Self::ChannelDrop => AugmentStrength { channel_drop: Some(0.1), ..nothing },
        }
    }
}

impl AugmentEntry {
    fn strength(&self) -> AugmentStrength {
        match self {
            Self::Word(word) => word.strength(),
            Self::Strength(strength) => strength.clone(),
        }
    }

    /// That have a strength.
    fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        let AugmentStrength { scale, blur, brightness, contrast, noise, channel_drop } = self.strength();
        let given = [
            ("scale", scale.is_some()),
            ("blur", blur.is_some()),
            ("brightness", brightness.is_some()),
            ("contrast", contrast.is_some()),
            ("noise", noise.is_some()),
            ("channel_drop", channel_drop.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
    }
}

/// What the list asks for.
pub(super) fn augment(list: &[AugmentEntry]) -> Augment {
    let has = |word| list.contains(&AugmentEntry::Word(word));
    let mut augment = Augment {
        hflip: has(AugmentWord::HorizontalFlip),
        vflip: has(AugmentWord::VerticalFlip),
        rot90: has(AugmentWord::RightAngles),
        ..Augment::NOTHING
    };
    for entry in list {
        let AugmentStrength { scale, blur, brightness, contrast, noise, channel_drop } = entry.strength();
        augment.scale = scale.map(|factors| factors.map(|factor| factor as f32)).or(augment.scale);
        for (key, strength) in [
            (&mut augment.blur, blur),
            (&mut augment.brightness, brightness),
            (&mut augment.contrast, contrast),
            (&mut augment.noise, noise),
            (&mut augment.channel_drop, channel_drop),
        ] {
            *key = strength.map_or(*key, |strength| strength as f32);
        }
    }
    augment
}

pub(super) fn check(list: &[AugmentEntry], bands: u32, check: &mut Check<'_>) {
    let place = |at| Path::from("train.augment").index(at);
    for (at, entry) in list.iter().enumerate() {
        // A key that is not known was told of.
        if matches!(entry, AugmentEntry::Strength(_)) && check.sound(&[&place(at).to_string()]) {
            check.need(entry.keys().next().is_some(), place(at), || {
                "says of nothing how strong it is: { blur = 2.0 } for instance".into()
            });
        }
        for key in entry.keys() {
            if let Some(twin) = list[..at].iter().position(|other| other.keys().any(|known| known == key)) {
                check.wrong(place(at), format!("{key} is in train.augment[{twin}] already"));
            }
        }
        let strength = entry.strength();
        let rises = strength.scale.is_none_or(|[from, to]| from <= to);
        check.need(rises, place(at).key("scale"), || {
            "must be two factors that rise, [0.8, 1.25] for instance".into()
        });
        check.need(bands > 1 || strength.channel_drop.unwrap_or(0.0) == 0.0, place(at), || {
            "channel_drop: of one band nothing would be left".into()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::TrainEntry;
    use super::*;

    #[test]
    fn words_have_their_strengths_and_tables_say_them() {
        let asked = |list: &str| {
            let entry: TrainEntry = toml::from_str(&format!("augment = [{list}]")).unwrap();
            entry.augment()
        };
        assert_eq!(asked(""), Augment::NOTHING);
        assert_eq!(asked(r#""right_angles", "vertical_flip", "horizontal_flip""#), Augment::default());
        assert_eq!(TrainEntry::default().augment(), Augment::default());
        assert_eq!(
            asked(r#""blur", { scale = [0.5, 2], noise = 0.05 }, { contrast = 0.3 }"#),
            Augment { scale: Some([0.5, 2.0]), blur: 1.0, contrast: 0.3, noise: 0.05, ..Augment::NOTHING }
        );
        assert_eq!(
            asked(r#""scale", "brightness", "contrast", "noise", "channel_drop""#),
            Augment {
                scale: Some([0.8, 1.25]),
                brightness: 0.2,
                contrast: 0.2,
                noise: 0.02,
                channel_drop: 0.1,
                ..Augment::NOTHING
            }
        );
    }
}
