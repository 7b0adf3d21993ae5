//! How much ground a scene covers, by its header: for what is told by the square kilometre, and for nothing else, since
//! it is right to about a percent. Pure.

use std::f64::consts::PI;

use swath_proto::scene::SceneHeader;

/// Of a sphere as large as the Earth, and of the one that Mercator's maps on the web are of.
const MEAN_RADIUS_M: f64 = 6_371_007.0;
const WEB_RADIUS_M: f64 = 6_378_137.0;

/// `None`: it does not say where it lies, or by means that are not understood here.
pub(crate) fn square_km(header: &SceneHeader) -> Option<f64> {
    let georeference = header.georeference.as_ref()?;
    let t = georeference.crs_from_pixel;
    let (width, height) = (f64::from(header.size.width), f64::from(header.size.height));
    let pixel = (t[1] * t[5] - t[2] * t[4]).abs();
    let y = t[3] + width / 2.0 * t[4] + height / 2.0 * t[5];
    let crs = &georeference.crs_wkt;
    let square_m =
        match (section(crs, &["PROJCS[", "PROJCRS["]), section(crs, &["GEOGCS[", "GEOGCRS[", "GEODCRS["])) {
            (Some(projected), _) => {
                let unit = last_unit(projected)?;
                let is_mercator = projected.contains("\"Mercator") || projected.contains("Pseudo-Mercator");
                let stretch = match is_mercator {
                    true => (2.0 * (y * unit / WEB_RADIUS_M).exp().atan() - PI / 2.0).cos(),
                    false => 1.0,
                };
                pixel * unit * unit * stretch * stretch
            }
            (None, Some(_)) => {
                let degree_m = MEAN_RADIUS_M * PI / 180.0;
                pixel * degree_m * degree_m * y.to_radians().cos()
            }
            (None, None) => return None,
        };
    Some(square_m * width * height / 1e6).filter(|area| area.is_finite() && *area > 0.0)
}

/// What stands between a word's bracket and the one that closes it.
fn section<'a>(wkt: &'a str, words: &[&str]) -> Option<&'a str> {
    let start = words.iter().filter_map(|word| Some(wkt.find(word)? + word.len())).min()?;
    let (mut depth, mut is_quoted) = (1, false);
    for (at, byte) in wkt.bytes().enumerate().skip(start) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'[' if !is_quoted => depth += 1,
            b']' if !is_quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return wkt.get(start..at);
        }
    }
    None
}

/// A projected system's own unit stands last, in metres.
fn last_unit(projected: &str) -> Option<f64> {
    let at = projected.rfind("UNIT[")?;
    let value = projected[at..].split(',').nth(1)?;
    value.trim_end_matches(']').trim().parse().ok().filter(|unit: &f64| *unit > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(wkt: &str, crs_from_pixel: [f64; 6]) -> SceneHeader {
        serde_json::from_value(serde_json::json!({
            "id": "a", "source": { "files": [{ "uri": "/a.tif", "tag": "t" }] },
            "size": { "width": 10_000, "height": 5_000 }, "places": [], "bands": 3, "data_type": "Byte",
            "block": { "width": 512, "height": 512 },
            "georeference": { "crs_wkt": wkt, "crs_from_pixel": crs_from_pixel },
        }))
        .unwrap()
    }

    const GEOGCS: &str = "GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563]],PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433]]";

    fn projected(projection: &str, unit: &str) -> String {
        format!(
            "PROJCS[\"a [b] system\",{GEOGCS},PROJECTION[\"{projection}\"],PARAMETER[\"scale_factor\",0.9996],{unit},AUTHORITY[\"EPSG\",\"1\"]]"
        )
    }

    fn near(found: Option<f64>, wanted: f64) {
        let found = found.expect("an area");
        assert!((found / wanted - 1.0).abs() < 0.01, "{found}, not {wanted}");
    }

    #[test]
    fn a_scene_covers_what_its_pixels_do_in_metres_feet_and_degrees() {
        let utm = projected("Transverse_Mercator", "UNIT[\"metre\",1,AUTHORITY[\"EPSG\",\"9001\"]]");
        let at = [400_000.0, 0.3, 0.0, 5_800_000.0, 0.0, -0.3];
        near(square_km(&header(&utm, at)), 4.5);
        let feet = projected("Lambert_Conformal_Conic_2SP", "UNIT[\"US survey foot\",0.304800609601219]");
        near(square_km(&header(&feet, [0.0, 1.0, 0.0, 0.0, 0.0, -1.0])), 50.0 * 0.0929);
        // At 60 degrees north a degree of longitude is half as long.
        near(square_km(&header(GEOGCS, [24.0, 1e-5, 0.0, 60.025, 0.0, -1e-5])), 11.12 * 0.5 * 5.56);
    }

    #[test]
    fn the_webs_mercator_is_stretched_by_latitude() {
        let web = projected("Mercator_1SP", "UNIT[\"metre\",1]");
        // 60 degrees north: lengths are twice too long.
        near(square_km(&header(&web, [0.0, 1.0, 0.0, 8_399_737.9 + 2_500.0, 0.0, -1.0])), 50.0 / 4.0);
    }

    #[test]
    fn what_does_not_say_where_it_lies_has_no_area() {
        let at = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0];
        for wkt in ["", "LOCAL_CS[\"arbitrary\",UNIT[\"metre\",1]]", "PROJCS[\"cut off", "GEOCCS[\"x\"]"] {
            assert_eq!(square_km(&header(wkt, at)), None, "{wkt}");
        }
        assert_eq!(square_km(&header(GEOGCS, [0.0; 6])), None);
    }
}
