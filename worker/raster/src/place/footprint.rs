//! Where a whole scene lies, for those who know no coordinate systems.

use swath_proto::{
    footprint::Footprint,
    geometry::SizePx,
    scene::{Georeference, SceneHeader},
};

use super::{Coordinates, Placer, projjson, rings, system};
use crate::error::Result;

/// A degree is so many of what footprints count in.
const PER_DEGREE: f64 = 1e9;

/// A scene that does not say where it lies has an empty one. One around a pole, or in a system that leads to no longitude and
/// latitude, is an error.
pub fn footprint(scene: &SceneHeader) -> Result<Footprint> {
    let Some(georeference) = scene.georeference.as_ref().filter(|found| !found.crs_wkt.is_empty()) else {
        return Ok(Footprint::default());
    };
    let placer = Placer::new(Some(georeference), Coordinates::LonLat)?;
    let outline = placer.outline(scene.size)?;
    let code = code(georeference)?;
    let projjson = if code.is_none() { projjson(georeference)? } else { None };
    let ring =
        outline.into_iter().map(|position| position.map(|degrees| (degrees * PER_DEGREE).round() as i64));
    Ok(Footprint { ring: ring.collect(), code, projjson })
}

impl Placer {
    /// The scene's border in longitude and latitude, with positions in between where it is bent.
    fn outline(&self, SizePx { width, height }: SizePx) -> Result<Vec<[f64; 2]>> {
        let (right, bottom) = (f64::from(width), f64::from(height));
        let corners = vec![[0.0, 0.0], [0.0, bottom], [right, bottom], [right, 0.0]];
        let bent = self.bend(vec![corners])?.concat();
        let mut outline = [self.transform(&bent)?];
        rings::unwrap_longitudes(&mut outline).map_err(super::failed)?;
        rings::turn(&mut outline);
        let [outline] = outline;
        Ok(outline)
    }
}

/// What an authority calls the system as a whole; parts of one may have names where it has none.
fn code(georeference: &Georeference) -> Result<Option<String>> {
    let system = system(&georeference.crs_wkt)?;
    Ok(system.auth_name().zip(system.auth_code().ok()).map(|(name, code)| format!("{name}:{code}")))
}

#[cfg(test)]
mod tests {
    use swath_proto::source::SourceSpec;

    use super::*;

    fn scene(georeference: Option<Georeference>) -> SceneHeader {
        SceneHeader {
            id: "here".parse().unwrap(),
            source: SourceSpec::default(),
            size: SizePx::new(10_000, 5_000),
            places: Vec::new(),
            bands: 3,
            data_type: "Byte".into(),
            block: SizePx::new(256, 256),
            georeference,
            aoi: None,
        }
    }

    fn at(crs: &str, crs_from_pixel: [f64; 6]) -> SceneHeader {
        scene(Some(Georeference { crs_wkt: crs.into(), crs_from_pixel }))
    }

    #[test]
    fn a_scene_in_utm_has_an_outline_that_bends_and_a_code() {
        let footprint =
            footprint(&at("EPSG:32633", [500_000.0, 10.0, 0.0, 5_400_000.0, 0.0, -10.0])).unwrap();
        assert_eq!(footprint.code.as_deref(), Some("EPSG:32633"));
        assert_eq!(footprint.projjson, None);
        assert!(footprint.ring.len() > 8, "100 km are not straight: {}", footprint.ring.len());
        // The zone's middle meridian.
        assert_eq!(footprint.ring[0][0], 15_000_000_000);
        let twice: i128 = {
            let closed = footprint.ring.iter().chain(footprint.ring.first());
            let next = closed.clone().skip(1);
            closed
                .zip(next)
                .map(|(a, b)| i128::from(a[0]) * i128::from(b[1]) - i128::from(b[0]) * i128::from(a[1]))
                .sum()
        };
        assert!(twice > 0, "it runs clockwise");
    }

    #[test]
    fn longitudes_go_on_across_the_antimeridian() {
        let footprint = footprint(&at("EPSG:4326", [179.0, 0.0002, 0.0, 10.0, 0.0, -0.0002])).unwrap();
        let lons = footprint.ring.iter().map(|position| position[0]);
        assert_eq!((lons.clone().min(), lons.max()), (Some(179_000_000_000), Some(181_000_000_000)));
    }

    #[test]
    fn a_scene_that_does_not_say_where_it_lies_has_none() {
        assert_eq!(footprint(&scene(None)).unwrap(), Footprint::default());
        assert_eq!(footprint(&at("", [0.0, 1.0, 0.0, 0.0, 0.0, -1.0])).unwrap(), Footprint::default());
    }

    #[test]
    fn a_system_without_a_name_is_described() {
        let crs = "+proj=laea +lat_0=50 +lon_0=9 +datum=WGS84 +units=m";
        let footprint = footprint(&at(crs, [0.0, 1.0, 0.0, 0.0, 0.0, -1.0])).unwrap();
        assert_eq!(footprint.code, None);
        assert_eq!(footprint.projjson.unwrap()["type"], "ProjectedCRS");
    }

    #[test]
    fn a_scene_around_a_pole_is_told_in_words() {
        let error = footprint(&at("EPSG:3413", [-50_000.0, 10.0, 0.0, 25_000.0, 0.0, -10.0])).unwrap_err();
        assert!(error.to_string().contains("pole"), "{error}");
    }
}
