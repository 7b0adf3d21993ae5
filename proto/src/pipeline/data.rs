//! `[data]`: how pixels are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NumberOrMany, Path, check::Check};

/// How pixels are read, the same for training and prediction. Applied in this order: nodata and
/// mask, bands, nan, reclass, scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataEntry {
    /// The image's bands in the order in which the network sees them, counted from 1 as in GDAL and
    /// QGIS. The first `model.bands` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = 65535)))]
    pub bands: Option<Vec<u32>>,
    /// The value of pixels that have no data: a number, "file" (as the file says) or "none".
    pub nodata: Nodata,
    /// Do mask and alpha band say which pixels have no data? "use" or "ignore".
    pub mask: MaskUse,
    /// How values become what the network sees.
    pub scale: Scale,
    /// What is not a number: "nodata" (the pixel has no data), or the number that stands for it.
    pub nan: NanUse,
    /// Values that stand for others, the first rule that fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reclass: Vec<Reclass>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Nodata {
    Word(NodataWord),
    Value(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodataWord {
    /// As the file says.
    File,
    /// All pixels have data.
    None,
}

impl Default for Nodata {
    fn default() -> Self {
        Self::Word(NodataWord::File)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaskUse {
    /// A pixel that the mask or alpha band covers has no data.
    #[default]
    Use,
    Ignore,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scale {
    Word(ScaleWord),
    Range(ScaleRange),
    Statistics(ScaleStatistics),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleWord {
    /// "cast" of 8-bit images, "stats" of all others.
    Auto,
    /// The largest value of the image's type (255, 65535) becomes 1; fractions stay as they are.
    Cast,
    /// Mean and deviation, as the stage analyze finds them: three deviations to both sides become 0 to 1.
    Stats,
    /// Values as they are.
    None,
}

/// Mean and deviation of every band, known from elsewhere: as "stats", without the stage analyze.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleStatistics {
    /// One a band.
    pub means: Vec<f64>,
    /// One a band.
    pub stds: Vec<f64>,
}

/// `min` becomes 0 and `max` 1, and what lies beyond becomes the nearer of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleRange {
    /// One number, or one a band.
    pub min: NumberOrMany,
    /// One number, or one a band.
    pub max: NumberOrMany,
}

impl Default for Scale {
    fn default() -> Self {
        Self::Word(ScaleWord::Auto)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NanUse {
    Word(NanWord),
    Value(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NanWord {
    /// The pixel has no data.
    Nodata,
}

impl Default for NanUse {
    fn default() -> Self {
        Self::Word(NanWord::Nodata)
    }
}

/// Values that stand for another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reclass {
    /// A value, or [lowest, highest].
    pub from: ValueOrRange,
    /// What stands for it.
    pub to: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ValueOrRange {
    Value(f64),
    Range([f64; 2]),
}

impl DataEntry {
    pub(super) fn check(&self, bands: u32, analyzes: bool, check: &mut Check<'_>) {
        if check.sound(&["data.bands", "model.bands"])
            && let Some(order) = &self.bands
            && order.len() != bands as usize
        {
            let why = format!(
                "must name as many bands as the network sees, {bands} (model.bands), and names {}",
                order.len()
            );
            check.wrong("data.bands", why);
        }
        if self.scale == Scale::Word(ScaleWord::Stats) && !analyzes && check.sound(&["stages"]) {
            check.wrong("data.scale", "needs the statistics that the stage analyze makes: name it in stages");
        }
        if let Scale::Range(ScaleRange { min, max }) = &self.scale
            && check.sound(&["data.scale", "model.bands"])
        {
            for (key, numbers) in [("data.scale.min", min), ("data.scale.max", max)] {
                if let NumberOrMany::Many(list) = numbers
                    && list.len() != bands as usize
                {
                    check.wrong(
                        key,
                        format!(
                            "must have one number a band, {bands} of them (model.bands), and has {}",
                            list.len()
                        ),
                    );
                } else if numbers.iter().any(|number| !number.is_finite()) {
                    check.wrong(key, "must be finite");
                }
            }
            let pairs = (0..bands as usize).filter_map(|band| Some((min.of(band)?, max.of(band)?)));
            if check.sound(&["data.scale"])
                && let Some((low, high)) = pairs.into_iter().find(|(low, high)| low >= high)
            {
                check.wrong("data.scale.max", format!("must be above min: {high} is not above {low}"));
            }
        }
        if let Scale::Statistics(ScaleStatistics { means, stds }) = &self.scale
            && check.sound(&["data.scale", "model.bands"])
        {
            for (key, list) in [("data.scale.means", means), ("data.scale.stds", stds)] {
                check.need(list.len() == bands as usize, key, || {
                    format!(
                        "must have one number a band, {bands} of them (model.bands), and has {}",
                        list.len()
                    )
                });
                check.need(list.iter().all(|number| number.is_finite()), key, || "must be finite".into());
            }
            check
                .need(stds.iter().all(|std| *std >= 0.0), "data.scale.stds", || "must not be below 0".into());
        }
        if let NanUse::Value(value) = self.nan {
            check.need(value.is_finite(), "data.nan", || "must be finite, or \"nodata\"".into());
        }
        for (at, rule) in self.reclass.iter().enumerate() {
            let place = Path::from("data.reclass").index(at);
            check.need(rule.to.is_finite(), place.key("to"), || "must be finite".into());
            if let ValueOrRange::Range([low, high]) = rule.from {
                check.need(low <= high, place.key("from"), || "must be [lowest, highest]".into());
            }
        }
    }
}
