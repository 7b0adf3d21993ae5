//! The tags by which a GeoTIFF says where it lies, written by the one library that knows all
//! coordinate systems, and taken over into files that we lay out ourselves.

use gdal::{DriverManager, spatial_ref::SpatialRef};
use swath_proto::scene::Georeference;

use crate::error::{Kind, RasterError, Result};

/// A TIFF tag as it lies in a file: number, type, count, little-endian bytes.
pub type RawTag = (u16, u16, u32, Vec<u8>);

/// Pixel scale, tie points, transformation, keys, doubles, texts.
const GEO_TAGS: [u16; 6] = [33550, 33922, 34264, 34735, 34736, 34737];

pub fn geo_tags(georeference: &Georeference) -> Result<Vec<RawTag>> {
    let doing = "writing a coordinate reference system";
    let failed = |error| RasterError::gdal(doing, error);
    let path = format!("/vsimem/geo-tags-{:?}.tif", std::thread::current().id());
    let driver = DriverManager::get_driver_by_name("GTiff").map_err(failed)?;
    let mut dataset = driver.create_with_band_type::<u8, _>(&path, 1, 1, 1).map_err(failed)?;
    dataset.set_geo_transform(&georeference.crs_from_pixel).map_err(failed)?;
    if !georeference.crs_wkt.is_empty() {
        let crs = SpatialRef::from_definition(&georeference.crs_wkt).map_err(failed)?;
        dataset.set_spatial_ref(&crs).map_err(failed)?;
    }
    dataset.close().map_err(failed)?;
    let bytes = gdal::vsi::get_vsi_mem_file_bytes_owned(&path).map_err(failed)?;
    tags(&bytes).ok_or_else(|| RasterError::new(Kind::Unreadable, doing, "GDAL's own file can't be read back"))
}

/// The geo tags of a little-endian classic TIFF.
fn tags(tiff: &[u8]) -> Option<Vec<RawTag>> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(tiff.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(tiff.get(at..at + 4)?.try_into().ok()?));
    if tiff.get(..4)? != b"II*\0" {
        return None;
    }
    let directory = u32_at(4)? as usize;
    let mut found = Vec::new();
    for entry in 0..usize::from(u16_at(directory)?) {
        let at = directory + 2 + 12 * entry;
        let (tag, kind, count) = (u16_at(at)?, u16_at(at + 2)?, u32_at(at + 4)?);
        if !GEO_TAGS.contains(&tag) {
            continue;
        }
        let size = match kind {
            2 => 1,
            3 => 2,
            12 => 8,
            _ => return None,
        };
        let length = count as usize * size;
        let from = if length <= 4 { at + 8 } else { u32_at(at + 8)? as usize };
        found.push((tag, kind, count, tiff.get(from..from + length)?.to_vec()));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projected_system_gives_scale_tie_point_and_keys() {
        let crs_from_pixel = [500_000.0, 0.3, 0.0, 5_400_000.0, 0.0, -0.3];
        let tags = geo_tags(&Georeference { crs_wkt: "EPSG:32633".into(), crs_from_pixel }).unwrap();
        let codes: Vec<u16> = tags.iter().map(|tag| tag.0).collect();
        assert!([33550, 33922, 34735].iter().all(|code| codes.contains(code)), "{codes:?}");
        let scale = &tags.iter().find(|tag| tag.0 == 33550).unwrap().3;
        assert_eq!(f64::from_le_bytes(scale[..8].try_into().unwrap()), 0.3);
    }
}
