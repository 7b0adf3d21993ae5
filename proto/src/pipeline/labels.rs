//! `[labels]`: how a scene's labels are read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Path, check::Check, classes, classes::ClassEntry};
use crate::source::LabelGrid;

/// How labels are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LabelsEntry {
    /// What the files are.
    pub kind: LabelKind,
    /// GeoJSON: class of features that neither `property` nor `filter` gives one. Without it such
    /// features are an error. With two classes, that which is not the null class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_class: Option<String>,
    /// GeoJSON: the property that names a feature's class: class_name or class_id where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Values of that property, of a class raster, or colours ("#rrggbb") of a raster of colours, and the
    /// class that each means. What is not listed is the class's name, its number, or its colour.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// GeoJSON: classes by any property; the first rule that fits decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<LabelFilter>,
    /// GeoJSON: widen points and lines (and polygons, where their class is named) by so many
    /// pixels. One number, or one a class: { road = 15 }.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_px: Option<BufferPx>,
    /// GeoJSON: the coordinate reference system, "EPSG:2193" for instance. Where it is left out, that which
    /// the file names, or else longitude and latitude.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
    /// Class rasters: values of pixels that count neither in training nor in evaluation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<u32>,
    /// Rasters: how they fit their scene: "georeference" (they say where they lie) or "size" (they are as
    /// large as the scene).
    pub grid: LabelGrid,
}

impl Default for LabelsEntry {
    fn default() -> Self {
        Self {
            kind: LabelKind::Auto,
            default_class: None,
            property: None,
            values: BTreeMap::new(),
            filter: Vec::new(),
            buffer_px: None,
            crs: None,
            ignore: Vec::new(),
            grid: LabelGrid::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// GeoJSON where the name ends in .geojson or .json, a class raster else.
    #[default]
    Auto,
    Geojson,
    /// A raster of class numbers.
    Raster,
    /// A raster in the colours of the classes.
    Colors,
}

/// Features whose `property` is one of `equals` are of `class`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelFilter {
    /// The class that they are of.
    pub class: String,
    /// The property that is looked at.
    pub property: String,
    /// A value, or a list of them. Any value fits where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Match>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Match {
    One(Word),
    Many(Vec<Word>),
}

/// A value as GeoJSON has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Word {
    Text(String),
    Truth(bool),
    Number(f64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BufferPx {
    All(f64),
    ByClass(BTreeMap<String, f64>),
}

fn is_color(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.chars().all(|c| c.is_ascii_hexdigit()))
}

impl LabelsEntry {
    pub(super) fn check(&self, list: &[ClassEntry], check: &mut Check<'_>) {
        if let Some(class) = &self.default_class {
            classes::known(class, "labels.default_class".into(), list, check);
        }
        for (value, class) in &self.values {
            classes::known(class, Path::from("labels.values").key(value.as_str()), list, check);
        }
        for (at, rule) in self.filter.iter().enumerate() {
            let place = Path::from("labels.filter").index(at);
            classes::known(&rule.class, place.key("class"), list, check);
            let nothing = matches!(&rule.equals, Some(Match::Many(list)) if list.is_empty());
            check.need(!nothing, place.key("equals"), || "an empty list fits nothing".into());
        }
        let place = Path::from("labels.buffer_px");
        let right = |px: f64| (0.0..=10_000.0).contains(&px);
        let why = || "must be 0 to 10000 pixels".to_owned();
        match &self.buffer_px {
            None => {}
            Some(BufferPx::All(px)) => check.need(right(*px), place, why),
            Some(BufferPx::ByClass(by_class)) => {
                for (class, px) in by_class {
                    check.need(right(*px), place.key(class.as_str()), why);
                    classes::known(class, place.key(class.as_str()), list, check);
                }
            }
        }
        check.need(self.crs.as_ref().is_none_or(|crs| !crs.trim().is_empty()), "labels.crs", || {
            "must name a coordinate reference system, \"EPSG:4326\" for instance".into()
        });
        check.need(self.property.as_ref().is_none_or(|name| !name.is_empty()), "labels.property", || {
            "must not be empty".into()
        });
        for value in self.values.keys() {
            let (right, wanted) = match self.kind {
                LabelKind::Raster => (value.parse::<i64>().is_ok(), "a whole number"),
                LabelKind::Colors => (is_color(value), "a colour, \"#ff8800\" for instance"),
                LabelKind::Auto | LabelKind::Geojson => (true, ""),
            };
            check.need(right, Path::from("labels.values").key(value.as_str()), || {
                format!("must be {wanted}, since labels.kind says what the files are")
            });
        }
        let not_vector = matches!(self.kind, LabelKind::Raster | LabelKind::Colors);
        if not_vector && check.sound(&["labels.kind"]) {
            for key in ["default_class", "property", "filter", "buffer_px", "crs"] {
                let path = format!("labels.{key}");
                if check.is_given(&path) {
                    check.wrong(
                        path.as_str(),
                        "is for GeoJSON only, and labels.kind says that labels are rasters",
                    );
                }
            }
        }
    }
}
