//! How a scene's pixels, labels and area of interest are read from files.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    filter::Filter,
    geometry::{SizePx, WindowPx},
    scene::{FileRef, Georeference},
};

/// Where the pixels of a scene come from, and what becomes of them on their way: what is missing is
/// found first, then NaN is replaced, then values are reclassified, then scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Several files make one mosaic, later ones over earlier ones. They must have one coordinate
    /// system, resolution, pixel type and number of bands, and lie on one grid of pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRef>,
    /// The bands that are read, counted from 0, in the order of the network's channels. All but an alpha
    /// band where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<u32>,
    /// The value that stands for missing data. What the file says where it is left out; an empty list
    /// means that no value does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<Nodata>,
    /// Pixels that the file's mask or alpha band blanks out are missing.
    #[serde(default = "yes")]
    pub use_mask: bool,
    /// What stands in for NaN and the infinities, and then counts as data. Without it they are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nan: Option<f32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reclass: Vec<Reclass>,
    #[serde(default)]
    pub scaling: Scaling,
}

impl Default for SourceSpec {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl SourceSpec {
    /// A file as it is, with the defaults of the pipeline file.
    pub fn new(files: Vec<FileRef>) -> Self {
        Self {
            files,
            bands: Vec::new(),
            nodata: None,
            use_mask: true,
            nan: None,
            reclass: Vec::new(),
            scaling: Scaling::default(),
        }
    }
}

/// How the files of a scene lie in it, as found once: who reads a part of the scene then opens only the files that
/// it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceLayout {
    pub size: SizePx,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub georeference: Option<Georeference>,
    /// In the order of [`SourceSpec::files`]. A file may reach beyond the scene.
    pub files: Vec<WindowPx>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, or a list with one for each band of `bands`")]
pub enum Nodata {
    OfAll(f64),
    /// In the order of [`SourceSpec::bands`].
    OfEach(Vec<f64>),
}

/// Every value from `from` to `to`, both included, becomes `into`. The first that fits counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reclass {
    pub from: f64,
    pub to: f64,
    pub into: f64,
}

/// From values in a file to the 0..1 that networks take. Missing pixels are 0 whatever the scaling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scaling {
    /// Unsigned types over their largest value (255, 65,535), signed ones over theirs, so that what
    /// was negative stays so; floating-point values stay as they are.
    #[default]
    Cast,
    /// `(value - min) / (max - min)`, cut off at 0 and 1. One of each for every band.
    MinMax { min: Vec<f64>, max: Vec<f64> },
    /// As Raster Vision's `StatsTransformer`: distances from the mean in standard deviations, cut off at 3,
    /// on 256 levels, rounded down; zeros stay 0.
    ///
    /// Raster Vision lets 8-bit images pass unscaled and says nothing; who names statistics here gets them, and who
    /// wants those images as they are says `cast`. A band that never changes gives the middle level here and NaN there.
    Stats { means: Vec<f64>, stds: Vec<f64> },
    /// `stats` of images whose values are wider than a byte, and `cast` of 8-bit images: what networks of Raster Vision
    /// have seen.
    WideStats { means: Vec<f64>, stds: Vec<f64> },
    /// As they are.
    None,
}

/// The classes of a run, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassList {
    pub names: Vec<String>,
    /// The class of every pixel that no label covers.
    pub null_class: u8,
}

impl ClassList {
    pub fn id(&self, class: &ClassRef) -> Result<u8, String> {
        let id = match class {
            ClassRef::Id(id) => usize::try_from(*id).ok().filter(|id| *id < self.names.len()),
            ClassRef::Name(name) => self.names.iter().position(|known| known == name),
        };
        id.and_then(|id| u8::try_from(id).ok()).ok_or_else(|| {
            let class = match class {
                ClassRef::Id(id) => format!("number {id}"),
                ClassRef::Name(name) => format!("'{name}'"),
            };
            format!("{class} is no class; the classes, from 0 on, are {}", self.names.join(", "))
        })
    }
}

/// A pixel of this class counts nowhere: it is not trained on and not evaluated.
pub const IGNORED: u8 = 255;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "a class: its name or its number")]
pub enum ClassRef {
    Id(u32),
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LabelSpec {
    GeoJson(GeoJsonLabels),
    ClassRaster(ClassRaster),
    ColorRaster(ColorRaster),
}

impl LabelSpec {
    pub const fn file(&self) -> &FileRef {
        match self {
            Self::GeoJson(GeoJsonLabels { file, .. })
            | Self::ClassRaster(ClassRaster { file, .. })
            | Self::ColorRaster(ColorRaster { file, .. }) => file,
        }
    }
}

/// Polygons, and points and lines that buffers make polygons of. Later features lie over earlier ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeoJsonLabels {
    pub file: FileRef,
    /// `EPSG:2193` for instance. Left out: what the file names in its `crs` member, or else longitude
    /// and latitude. `file`: the file must name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
    /// Features for which this does not hold label nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The property that holds a feature's class, its name or its number. Left out: `class_name`, or else `class_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Classes of that property's values, numbers as they are written. Of a value that is not among them, name or
    /// number of a class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, ClassRef>,
    /// Classes of the features that have no such property: the first rule that holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ClassRule>,
    /// The class of the features that neither property nor rule gives one. Without it these features label
    /// nothing if there are rules; are of the one class beside the null class if there are two; and are an error
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_class: Option<ClassRef>,
    /// The first that fits a feature counts. Points and lines that none fits are widened by 1 px on all sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buffers: Vec<Buffer>,
}

impl GeoJsonLabels {
    pub const fn new(file: FileRef) -> Self {
        Self {
            file,
            crs: None,
            filter: None,
            property: None,
            values: BTreeMap::new(),
            rules: Vec::new(),
            default_class: None,
            buffers: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRule {
    pub class: ClassRef,
    pub when: Filter,
}

/// How far features are widened on all sides, with round ends and corners. Polygons also shrink, by
/// less than 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buffer {
    /// Of all kinds where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<GeometryKind>,
    /// Of all classes where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassRef>,
    pub by: Distance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeometryKind {
    Point,
    Line,
    Polygon,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// As the scene's coordinate system measures them.
    Metres(f64),
    /// Pixels of the scene.
    Px(f64),
}

/// A raster of class numbers on the scene's own grid of pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRaster {
    pub file: FileRef,
    /// Classes by value, also of the value that the file calls nodata. Where it is empty, values are the
    /// classes' numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<ClassOfValue>,
    #[serde(default)]
    pub grid: LabelGrid,
    /// What the file's nodata value or mask means.
    #[serde(default)]
    pub nodata: Unlabelled,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassOfValue {
    pub value: i64,
    /// No class where it is left out: see [`IGNORED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassRef>,
}

/// A picture in which each class has a colour: of three bands, or of one with a palette.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColorRaster {
    pub file: FileRef,
    pub colors: Vec<ClassOfColor>,
    #[serde(default)]
    pub grid: LabelGrid,
    #[serde(default)]
    pub nodata: Unlabelled,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassOfColor {
    /// `#rrggbb`, exactly.
    pub color: String,
    /// No class where it is left out: see [`IGNORED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassRef>,
}

/// How a raster of labels must fit its scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelGrid {
    /// It says where it lies, and covers the scene pixel by pixel.
    #[default]
    Georeference,
    /// It is as large as the scene; where it lies is not looked at.
    Size,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlabelled {
    /// The null class.
    #[default]
    Null,
    /// No class: see [`IGNORED`].
    Ignored,
}

/// The area of interest of a scene: polygons in GeoJSON files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aoi {
    pub files: Vec<FileRef>,
    /// As [`GeoJsonLabels::crs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_of_one_file_takes_the_defaults() {
        let spec: SourceSpec = serde_json::from_value(json!({"files":[{"uri":"/a.tif","tag":"1"}]})).unwrap();
        assert_eq!(spec, SourceSpec::new(vec![FileRef { uri: "/a.tif".into(), tag: "1".into() }]));
        assert!(serde_json::from_value::<SourceSpec>(json!({"files":[],"band":[1]})).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = r##"
            files = [{ uri = "/a.tif", tag = "1" }]
            bands = [3, 0]
            nodata = [0.0, 7.0]
            nan = 1.5
            reclass = [{ from = 1, to = 2, into = 9 }]
            scaling = { by = "stats", means = [1.0, 2.0], stds = [3.0, 4.0] }"##;
        let spec: SourceSpec = toml::from_str(text).unwrap();
        assert_eq!(spec.nodata, Some(Nodata::OfEach(vec![0.0, 7.0])));
        let wire = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<SourceSpec>(&wire).unwrap(), spec);
        let text = r##"
            kind = "geo_json"
            file = { uri = "/l.geojson", tag = "" }
            default_class = "road"
            buffers = [{ geometry = "line", class = 1, by = { metres = 2.5 } }, { by = { px = 3.0 } }]
            rules = [{ class = 1, when = { any = [{ property = "n", op = ">", value = 3 }, { property = "x", op = "has" }] } }]"##;
        let spec: LabelSpec = toml::from_str(text).unwrap();
        let wire = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<LabelSpec>(&wire).unwrap(), spec);
        let unknown = format!("{text}\ncolour = 3");
        assert!(toml::from_str::<LabelSpec>(&unknown).unwrap_err().to_string().contains("colour"));
    }
}
