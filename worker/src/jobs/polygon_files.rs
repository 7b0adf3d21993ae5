//! The files that polygons go to, all formats at once and polygon by polygon.

use swath_proto::{finished::FinishedFile, ids::Digest, vectors::VectorFormat};
use swath_vectors::{AreaUnit, Crs, Feature, GeoJson, GeoParquet, WriteError};

use crate::{context::Context, failure::JobError};

/// Several files in the making.
pub(super) struct PolygonFiles<'a>(Vec<PolygonFile<'a>>);

enum PolygonFile<'a> {
    GeoJson(GeoJson<&'a mut Vec<u8>>),
    GeoParquet(Box<GeoParquet<&'a mut Vec<u8>>>),
}

impl<'a> PolygonFiles<'a> {
    pub(super) fn begin(files: &'a mut [(VectorFormat, Vec<u8>)]) -> Result<Self, WriteError> {
        let begin = |(format, out): &'a mut (VectorFormat, Vec<u8>)| -> Result<PolygonFile<'a>, WriteError> {
            Ok(match format {
                VectorFormat::GeoJson => PolygonFile::GeoJson(GeoJson::new(out, AreaUnit::SquareMetres)?),
                VectorFormat::GeoParquet => PolygonFile::GeoParquet(Box::new(GeoParquet::new(
                    out,
                    Crs::LonLat,
                    AreaUnit::SquareMetres,
                )?)),
            })
        };
        files.iter_mut().map(begin).collect::<Result<_, WriteError>>().map(Self)
    }

    pub(super) fn add(&mut self, feature: &Feature) -> Result<(), WriteError> {
        self.0.iter_mut().try_for_each(|file| match file {
            PolygonFile::GeoJson(file) => file.add(feature),
            PolygonFile::GeoParquet(file) => file.add(feature),
        })
    }

    pub(super) fn finish(self) -> Result<(), WriteError> {
        self.0.into_iter().try_for_each(|file| match file {
            PolygonFile::GeoJson(file) => file.finish(),
            PolygonFile::GeoParquet(file) => file.finish(),
        })
    }
}

/// Under this key, with an ending each.
pub(super) async fn put(
    cx: &Context,
    stem: &str,
    files: Vec<(VectorFormat, Vec<u8>)>,
) -> Result<Vec<FinishedFile>, JobError> {
    let mut written = Vec::new();
    for (format, body) in files {
        let key = format!("{stem}.{}", format.extension());
        let file = FinishedFile { bytes: body.len() as u64, sha256: Digest::of(&body), key };
        cx.blobs.put(&file.key, body.into()).await?;
        written.push(file);
    }
    Ok(written)
}
