//! What is drawn for each chip each time it is seen.

use serde::{Deserialize, Serialize};

use super::{BadTrainSpec, defaults};

/// In this order. Of what has a strength it is drawn how much: nothing where it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// With a probability of one half.
    pub hflip: bool,
    /// Likewise.
    pub vflip: bool,
    /// By 0 to 3 right angles, all alike. Takes square chips.
    pub rot90: bool,
    /// The factors between which a chip is enlarged, of which a place is cut out, or made smaller, with mirror images
    /// around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<[f32; 2]>,
    /// The widest Gaussian, as its standard deviation in pixels.
    #[serde(skip_serializing_if = "defaults::is_nothing")]
    pub blur: f32,
    /// Samples times 1, up to this much more or less; the same for all bands.
    #[serde(skip_serializing_if = "defaults::is_nothing")]
    pub brightness: f32,
    /// Distance of samples from their band's mean in the chip, likewise.
    #[serde(skip_serializing_if = "defaults::is_nothing")]
    pub contrast: f32,
    /// Standard deviation of what is added to each sample, of a range of 1 where samples are `uint8` or `uint16`, and in
    /// standard deviations of the chip's band where they are not.
    #[serde(skip_serializing_if = "defaults::is_nothing")]
    pub noise: f32,
    /// With this probability, one band is 0 everywhere.
    #[serde(skip_serializing_if = "defaults::is_nothing")]
    pub channel_drop: f32,
}

impl Augment {
    pub const NOTHING: Self = Self {
        hflip: false,
        vflip: false,
        rot90: false,
        scale: None,
        blur: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        noise: 0.0,
        channel_drop: 0.0,
    };
    /// Smaller would leave pixels out between those that are looked at.
    pub const SCALES: [f32; 2] = [0.5, 4.0];
    pub const MOST_BLUR: f32 = 10.0;

    pub(super) fn check(&self, bands: u32) -> Result<(), BadTrainSpec> {
        let bad = |text: String| Err(BadTrainSpec(text));
        let strengths = [
            ("blur", self.blur, Self::MOST_BLUR),
            ("brightness", self.brightness, 1.0),
            ("contrast", self.contrast, 1.0),
            ("noise", self.noise, 1.0),
            ("channel_drop", self.channel_drop, 1.0),
        ];
        for (key, value, most) in strengths {
            if !(0.0..=most).contains(&value) {
                return bad(format!("augment.{key} = {value}: must be 0 to {most}"));
            }
        }
        let [least, most] = Self::SCALES;
        if let Some([from, to]) = self.scale
            && !(from >= least && to <= most && from <= to)
        {
            return bad(format!(
                "augment.scale = [{from}, {to}]: must be two factors that rise, {least} to {most}"
            ));
        }
        if self.channel_drop > 0.0 && bands == 1 {
            return bad("augment.channel_drop: of one band nothing would be left".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str, bands: u32) -> Result<Augment, String> {
        let augment: Augment = toml::from_str(toml).map_err(|error| error.to_string())?;
        augment.check(bands).map_err(|error| error.to_string())?;
        Ok(augment)
    }

    #[test]
    fn what_is_written_reads_back() {
        let all = "scale = [0.8, 1.25]\nblur = 1\nbrightness = 0.2\ncontrast = 0.1\nnoise = 0.02\n\
                   channel_drop = 0.1\nhflip = false";
        let augment = read(all, 3).unwrap();
        let json = serde_json::to_string(&augment).unwrap();
        assert_eq!(serde_json::from_str::<Augment>(&json).unwrap(), augment);
        assert!((augment.vflip, augment.scale) == (true, Some([0.8, 1.25])), "{json}");
    }

    /// Ids of items hash it: those of before are to stay what they are.
    #[test]
    fn what_is_left_out_is_not_written() {
        let json = serde_json::to_string(&Augment::default()).unwrap();
        assert_eq!(json, r#"{"hflip":true,"vflip":true,"rot90":true}"#);
    }

    #[test]
    fn what_can_not_be_is_refused_by_its_key() {
        for (wrong, bands, key) in [
            ("scale = [1.2, 0.8]", 3, "augment.scale = [1.2, 0.8]"),
            ("scale = [0.1, 1]", 3, "augment.scale"),
            ("scale = [1, 5]", 3, "augment.scale"),
            ("scale = [1, nan]", 3, "augment.scale"),
            ("blur = 11", 3, "augment.blur = 11: must be 0 to 10"),
            ("brightness = -0.1", 3, "augment.brightness"),
            ("contrast = 1.5", 3, "augment.contrast"),
            ("noise = nan", 3, "augment.noise"),
            ("channel_drop = 2", 3, "augment.channel_drop"),
            ("channel_drop = 0.1", 1, "augment.channel_drop: of one band"),
        ] {
            let error = read(wrong, bands).unwrap_err();
            assert!(error.starts_with(key), "{wrong}: {error}");
        }
    }
}
