//! Scenes: what a person names, and what a survey finds in their headers.

use serde::{Deserialize, Serialize};

use crate::{geometry::SizePx, ids::SceneId};

/// A file outside the root, pinned to the state in which it was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// `s3://bucket/key` or an absolute path.
    pub uri: String,
    /// Changes when the content does: an ETag, or size and time of the last change.
    pub tag: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneFiles {
    pub id: SceneId,
    pub image: FileRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<FileRef>,
}

/// What an item has to know of a scene's image to work on a part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneHeader {
    pub id: SceneId,
    pub image: FileRef,
    pub size: SizePx,
    pub bands: u32,
    /// GDAL's name of the pixel type, `Byte` for instance.
    pub data_type: String,
    /// The file's own tiles or strips.
    pub block: SizePx,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub georeference: Option<Georeference>,
}

/// Where pixels lie on the ground.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Georeference {
    /// WKT of the coordinate reference system; empty where the file names none.
    pub crs_wkt: String,
    /// GDAL's affine transform: `x = t[0] + col t[1] + row t[2]`, `y = t[3] + col t[4] + row t[5]`.
    pub crs_from_pixel: [f64; 6],
}

/// Output of a survey item: one entry a scene, in the order of the item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Surveyed {
    #[serde(rename = "1")]
    V1 { scenes: Vec<SurveyedScene> },
}

/// A scene that can't be read is a finding, not a failure of the item: the others go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurveyedScene {
    Readable(SceneHeader),
    Unreadable { id: SceneId, message: String },
}

impl SurveyedScene {
    pub const fn id(&self) -> &SceneId {
        match self {
            Self::Readable(SceneHeader { id, .. }) | Self::Unreadable { id, .. } => id,
        }
    }

    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}
