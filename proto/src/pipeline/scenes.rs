//! `[[scenes]]`: one image, or many by pattern or from a list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OneOrMany, check::Check};

/// One scene (`image`), or many (`images`, `csv` or `stac`). Paths are relative to the pipeline file;
/// `s3://bucket/key` may stand everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SceneEntry {
    /// Many scenes: their names. `image`, `labels` and `aoi` are patterns of {id} then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Name of the scene. The image's file name without its ending, where it is left out. With
    /// `images` a pattern of {name} (that file name) and {folder} (the folder that it lies in). With `stac`
    /// likewise: {name} is the item's id, {folder} that of the catalogue or collection that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The image's file, or several files that mosaic to one scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<OneOrMany>,
    /// Many scenes: a pattern of files ("tiles/**/*.tif"), or a folder or prefix that ends in "/".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Many scenes: a CSV file with a header of image and, as wanted, id, labels, aoi, group.
    /// Several images of a scene are separated by ";". Paths are relative to the CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
    /// Many scenes: a STAC catalogue, collection or item, of version 0.8 to 1.1. Label items give the labels of the items
    /// that they name as their source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stac: Option<String>,
    /// With `stac`: only items whose id, or folder/id, fits one of these patterns ("mon/401175", "acc/*").
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// With `stac`: the asset that is the image. The only raster, or "image", where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// The file of labels. With `images` a pattern of {id}, {name} and {folder}; with `stac` likewise, in the place
    /// of label items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// GeoJSON polygons; what lies outside is not chipped, predicted or evaluated. With `images` and `stac` a
    /// pattern as in `labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aoi: Option<String>,
    /// What the scenes are for. Those with labels are for validation and those without for
    /// prediction, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// What a scene is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Its chips train the network; it is neither predicted nor evaluated.
    Train,
    /// Its chips choose the best checkpoint; it is predicted and evaluated.
    Validation,
    /// It is predicted, and evaluated if it has labels; training does not see it.
    Predict,
}

impl Group {
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Predict];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Predict => "predict",
        }
    }

    /// Where a scene names none.
    pub const fn of(has_labels: bool) -> Self {
        if has_labels { Self::Validation } else { Self::Predict }
    }

    pub const fn is_predicted(self) -> bool {
        !matches!(self, Self::Train)
    }
}

/// The words that `{}` may hold in a pattern of file names.
const PATTERN_WORDS: [&str; 3] = ["id", "name", "folder"];

impl SceneEntry {
    pub(super) fn check(&self, at: usize, check: &mut Check<'_>) {
        let place = super::Path::from("scenes").index(at);
        let given = [self.image.is_some(), self.images.is_some(), self.csv.is_some(), self.stac.is_some()];
        let wants_one =
            "image = \"FILE\", images = \"FOLDER/*.tif\", csv = \"FILE\" or stac = \"CATALOG.json\"";
        match given.iter().filter(|given| **given).count() {
            1 => {}
            0 => check.wrong(place.clone(), format!("names no image: give {wants_one}")),
            _ => check.wrong(place.clone(), format!("give just one of {wants_one}")),
        }
        if let Some(OneOrMany::Many(files)) = &self.image {
            check.need(!files.is_empty(), place.key("image"), || "names no file".into());
        }
        let is_bulk = self.images.is_some() || self.stac.is_some();
        for (key, given) in [("items", !self.items.is_empty()), ("asset", self.asset.is_some())] {
            check.need(!given || self.stac.is_some(), place.key(key), || {
                "is for a stac catalogue only".into()
            });
        }
        if self.csv.is_some() {
            for (key, given) in
                [("id", self.id.is_some()), ("labels", self.labels.is_some()), ("aoi", self.aoi.is_some())]
            {
                check.need(!given, place.key(key), || {
                    format!("belongs into the CSV file, as its column {key}")
                });
            }
        }
        self.check_ids(&place, check);
        for (key, value) in [("id", &self.id), ("labels", &self.labels), ("aoi", &self.aoi)] {
            let Some(value) = value else { continue };
            if is_bulk {
                let words = if key == "id" { &PATTERN_WORDS[1..] } else { &PATTERN_WORDS };
                if let Some(wrong) = unknown_word(value, words) {
                    let near = super::problem::nearest(&wrong, words.iter().copied());
                    let near = near.map(|near| format!("; did you mean {{{near}}}?")).unwrap_or_default();
                    let words = words.iter().map(|word| format!("{{{word}}}")).collect::<Vec<_>>().join(", ");
                    check.wrong(
                        place.key(key),
                        format!("{{{wrong}}} is not known here; there are {words}{near}"),
                    );
                } else if key == "id" && !value.contains('{') {
                    let why = "would give all scenes the same name; use {name} or {folder}";
                    check.wrong(place.key(key), why);
                }
            } else if key == "id"
                && let Err(error) = value.parse::<crate::ids::SceneId>()
            {
                check.wrong(place.key(key), error.to_string());
            }
        }
        let learns = matches!(self.group, Some(Group::Train | Group::Validation));
        if learns && self.labels.is_none() && self.csv.is_none() && self.stac.is_none() {
            let group = self.group.map_or("", Group::name);
            check.wrong(place.key("group"), format!("a scene of the group {group} needs labels"));
        }
    }
}

impl SceneEntry {
    fn check_ids(&self, place: &super::Path, check: &mut Check<'_>) {
        if self.ids.is_empty() {
            return;
        }
        let place_of_ids = place.key("ids");
        check.need(self.image.is_some(), place_of_ids.clone(), || {
            "names scenes of which image is the pattern: image = \"images/{id}.tif\" for instance".into()
        });
        check.need(self.id.is_none(), place.key("id"), || "ids names the scenes already".into());
        for (nth, id) in self.ids.iter().enumerate() {
            if let Err(error) = id.parse::<crate::ids::SceneId>() {
                check.wrong(place_of_ids.index(nth), error.to_string());
            } else if self.ids[..nth].contains(id) {
                check.wrong(place_of_ids.index(nth), "is named twice");
            }
        }
        let images = self.image.iter().flat_map(|image| image.as_slice());
        let is_pattern = images.chain(&self.labels).all(|file| file.contains("{id}"));
        check.need(is_pattern || self.ids.len() < 2, place_of_ids, || {
            "gives several scenes the same file: image and labels need {id} in them".into()
        });
    }

    /// The scenes of an entry that names many: each as an entry of its own.
    pub fn each(&self) -> Vec<Self> {
        let of = |id: &String| {
            let fill = |text: &String| text.replace("{id}", id);
            Self {
                ids: Vec::new(),
                id: Some(id.clone()),
                image: self.image.as_ref().map(|image| match image {
                    OneOrMany::One(file) => OneOrMany::One(fill(file)),
                    OneOrMany::Many(files) => OneOrMany::Many(files.iter().map(fill).collect()),
                }),
                labels: self.labels.as_ref().map(fill),
                aoi: self.aoi.as_ref().map(fill),
                ..self.clone()
            }
        };
        match self.ids.is_empty() {
            true => vec![self.clone()],
            false => self.ids.iter().map(of).collect(),
        }
    }
}

/// The first `{word}` of a pattern that is not among the known.
fn unknown_word(pattern: &str, known: &[&str]) -> Option<String> {
    let mut rest = pattern;
    while let Some((_, after)) = rest.split_once('{') {
        let (word, after) = after.split_once('}').unwrap_or((after, ""));
        if !known.contains(&word) {
            return Some(word.to_owned());
        }
        rest = after;
    }
    None
}

/// Scenes that one `[[scenes]]` entry of many names twice in different groups, and the like, are
/// found when the run is frozen; what is written out is compared here.
pub(super) fn check_all(scenes: &[SceneEntry], check: &mut Check<'_>) {
    check.need(!scenes.is_empty(), "scenes", || "name at least one [[scenes]] entry with an image".into());
    for (at, scene) in scenes.iter().enumerate() {
        scene.check(at, check);
    }
    let group = |scene: &SceneEntry| scene.group.unwrap_or(Group::of(scene.labels.is_some()));
    for (at, scene) in scenes.iter().enumerate() {
        // Patterns of several names are compared name by name, when the run is frozen.
        let is_one = scene.image.is_some() && scene.ids.is_empty();
        let twin = scenes[..at].iter().position(|other| is_one && scene.image == other.image);
        let Some(twin) = twin else { continue };
        let (one, other) = (group(&scenes[twin]), group(scene));
        if [(Group::Train, Group::Validation), (Group::Validation, Group::Train)].contains(&(one, other)) {
            let path = super::Path::from("scenes").index(at).key("image");
            let (one, other) = (one.name(), other.name());
            check.wrong(
                path,
                format!("is in the group {other} here and in {one} in scenes[{twin}]: what was trained on can't tell how good the map is"),
            );
        }
    }
}
