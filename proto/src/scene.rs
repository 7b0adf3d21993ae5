//! Scenes: what a person names, and what a survey finds in their headers.

use serde::{Deserialize, Serialize};

use crate::{
    geometry::{RectPx, SizePx, WindowPx},
    ids::SceneId,
    source::{Aoi, LabelSpec, SourceLayout, SourceSpec},
};

/// A file outside the root, pinned to the state in which it was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// `s3://bucket/key` or an absolute path.
    pub uri: String,
    /// Changes when the content does: an ETag, or size and time of the last change, also of a mask or world file beside it.
    pub tag: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneFiles {
    pub id: SceneId,
    pub source: SourceSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelSpec>,
    /// What lies outside is not learnt from, predicted or evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aoi: Option<Aoi>,
    /// Only the square of this edge that has the most labels is used: to try a pipeline out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_px: Option<u32>,
    /// Instead the first square, row by row, that so many labels lie in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_labels: Option<u32>,
}

impl SceneFiles {
    /// Everything that is read of the scene.
    pub fn files(&self) -> Vec<FileRef> {
        let labels = self.labels.iter().map(LabelSpec::file);
        let aoi = self.aoi.iter().flat_map(|aoi| &aoi.files);
        self.source.files.iter().chain(labels).chain(aoi).cloned().collect()
    }
}

/// What an item has to know of a scene's image to work on a part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneHeader {
    pub id: SceneId,
    pub source: SourceSpec,
    pub size: SizePx,
    /// Where each of the source's files lies in the scene, and beyond it.
    pub places: Vec<WindowPx>,
    pub bands: u32,
    /// GDAL's name of the pixel type, `Byte` for instance.
    pub data_type: String,
    /// The file's own tiles or strips.
    pub block: SizePx,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub georeference: Option<Georeference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aoi: Option<Aoi>,
}

impl SceneHeader {
    pub fn layout(&self) -> SourceLayout {
        SourceLayout { size: self.size, georeference: self.georeference.clone(), files: self.places.clone() }
    }

    /// What is read of the scene, its labels aside.
    pub fn files(&self) -> Vec<FileRef> {
        let aoi = self.aoi.iter().flat_map(|aoi| &aoi.files);
        self.source.files.iter().chain(aoi).cloned().collect()
    }

    /// A part of the scene as a scene of its own.
    #[must_use]
    pub fn cropped(&self, rect: RectPx) -> Self {
        let (left, top) = (i64::from(rect.col), i64::from(rect.row));
        let mut header = self.clone();
        header.size = rect.size();
        for place in &mut header.places {
            (place.col, place.row) = (place.col - left, place.row - top);
        }
        if let Some(Georeference { crs_from_pixel: t, .. }) = &mut header.georeference {
            let (col, row) = (f64::from(rect.col), f64::from(rect.row));
            (t[0], t[3]) = (t[0] + col * t[1] + row * t[2], t[3] + col * t[4] + row * t[5]);
        }
        header
    }

    /// The scene of which this one may be a part, and where it begins there: rasters of labels lie on the whole. Known of one
    /// file alone: a scene of several that has such labels is never cut.
    pub fn uncropped(&self) -> (Self, [u32; 2]) {
        let mut header = self.clone();
        let [place] = self.places.as_slice() else { return (header, [0, 0]) };
        let SizePx { width, height } = self.size;
        let ends_beyond = place.col + i64::from(place.width) >= i64::from(width)
            && place.row + i64::from(place.height) >= i64::from(height);
        let (Ok(left), Ok(top)) = (u32::try_from(-place.col), u32::try_from(-place.row)) else {
            return (header, [0, 0]);
        };
        if !ends_beyond {
            return (header, [0, 0]);
        }
        header.size = place.size();
        header.places = vec![WindowPx::new(0, 0, place.width, place.height)];
        if let Some(Georeference { crs_from_pixel: t, .. }) = &mut header.georeference {
            let (col, row) = (f64::from(left), f64::from(top));
            (t[0], t[3]) = (t[0] - col * t[1] - row * t[2], t[3] - col * t[4] - row * t[5]);
        }
        (header, [left, top])
    }

    /// The same scene with no more files than a window touches, so that an item names what it reads and a
    /// change of another file does not concern it. At least one is left: it says how pixels are stored.
    #[must_use]
    pub fn around(&self, window: WindowPx) -> Self {
        let touches = |place: &WindowPx| {
            let (col, row) = (place.col, place.row);
            col < window.col + i64::from(window.width)
                && window.col < col + i64::from(place.width)
                && row < window.row + i64::from(window.height)
                && window.row < row + i64::from(place.height)
        };
        let mut kept: Vec<usize> = (0..self.places.len()).filter(|i| touches(&self.places[*i])).collect();
        if kept.is_empty() {
            kept.push(0);
        }
        let mut header = self.clone();
        header.source.files = kept.iter().filter_map(|i| self.source.files.get(*i).cloned()).collect();
        header.places = kept.iter().filter_map(|i| self.places.get(*i).copied()).collect();
        header
    }
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
#[expect(
    clippy::large_enum_variant,
    reason = "most are readable, and a lot of them is all that there is at a time"
)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_scene_knows_the_whole_and_a_mosaic_is_its_own() {
        let whole = SceneHeader {
            id: "s".parse().unwrap(),
            source: SourceSpec::default(),
            size: SizePx::new(600, 400),
            places: vec![WindowPx::new(0, 0, 600, 400)],
            bands: 3,
            data_type: "Byte".into(),
            block: SizePx::new(256, 256),
            georeference: Some(Georeference {
                crs_wkt: String::new(),
                crs_from_pixel: [1000.0, 0.5, 0.0, 2000.0, 0.0, -0.5],
            }),
            aoi: None,
        };
        assert_eq!(whole.uncropped(), (whole.clone(), [0, 0]));
        let part = whole.cropped(RectPx::new(100, 50, 200, 300));
        assert_eq!(part.uncropped(), (whole.clone(), [100, 50]));
        let beside = WindowPx::new(300, 0, 300, 400);
        let one_of_two = SceneHeader { places: vec![beside], ..whole };
        assert_eq!(one_of_two.uncropped(), (one_of_two.clone(), [0, 0]));
    }
}
