//! The tags by which a GeoTIFF says where it lies, written by the one library that knows all
//! coordinate systems, and taken over into files that we lay out ourselves.

use gdal::{DriverManager, spatial_ref::SpatialRef};
use swath_geo::cog::{self, Tag};
use swath_proto::scene::Georeference;

use crate::error::{Kind, RasterError, Result};

pub fn geo_tags(georeference: &Georeference) -> Result<Vec<Tag>> {
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
    cog::geo_tags(&bytes).map_err(|error| RasterError::new(Kind::Unreadable, doing, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projected_system_gives_scale_tie_point_and_keys() {
        let crs_from_pixel = [500_000.0, 0.3, 0.0, 5_400_000.0, 0.0, -0.3];
        let tags = geo_tags(&Georeference { crs_wkt: "EPSG:32633".into(), crs_from_pixel }).unwrap();
        let codes: Vec<u16> = tags.iter().map(|tag| tag.code).collect();
        assert!([33550, 33922, 34735].iter().all(|code| codes.contains(code)), "{codes:?}");
        let scale = &tags.iter().find(|tag| tag.code == 33550).unwrap().bytes;
        assert_eq!(f64::from_le_bytes(scale[..8].try_into().unwrap()), 0.3);
    }
}
