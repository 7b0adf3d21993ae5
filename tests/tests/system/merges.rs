//! Polygons of scenes that are tiles of one grid go on across their borders: as many as GDAL finds in a mosaic of the
//! same maps.

use swath_proto::{keys, status::RunState, vectors::Merged};

use crate::{
    same_bytes::run_name,
    shape::python,
    site::{Kind, Site, TINY, scene},
};

/// Four tiles that touch, out of the order in which they lie, and one that is half a pixel off.
const CUT: &str = "
import sys
from osgeo import gdal
gdal.UseExceptions()
source, target = sys.argv[1:]
image = gdal.Open(f'{source}/scene-1.tif')
for name, col, row in [('se', 500, 450), ('nw', 300, 300), ('ne', 500, 300), ('sw', 300, 450)]:
    gdal.Translate(f'{target}/{name}.tif', image, srcWin=[col, row, 200, 150])
gdal.Translate(f'{target}/off.tif', image, srcWin=[700, 300, 200, 150])
off = gdal.Open(f'{target}/off.tif', gdal.GA_Update)
x, width, shear, y, turn, height = off.GetGeoTransform()
off.SetGeoTransform([x + width / 2, width, shear, y, turn, height])
";

const POLYGONIZE: &str = "
import sys
from osgeo import gdal, ogr
gdal.UseExceptions()
count = 0
for maps in [sys.argv[1:5], sys.argv[5:]]:
    mosaic = gdal.BuildVRT('', maps)
    # Held by names: a band does not keep its file alive.
    copy = gdal.GetDriverByName('MEM').CreateCopy('', mosaic)
    band = copy.GetRasterBand(1)
    drawing = ogr.GetDriverByName('Memory').CreateDataSource('')
    layer = drawing.CreateLayer('polygons')
    gdal.Polygonize(band, band, layer, -1)
    count += layer.GetFeatureCount()
print(count)
";

const TILES: [&str; 5] = ["se", "nw", "ne", "sw", "off"];

fn pipeline(site: &Site, folder: &str, predict: &str) -> String {
    let scenes =
        TILES.map(|name| format!("{{ id = \"{name}\", image = \"{folder}/{name}.tif\" }}")).join(",\n");
    let text = format!(
        r##"
name = "merges"
stages = ["survey", "predict", "assemble", "vectorize", "merge"]
scenes = [{scenes}]
{TINY}
[predict]
core_px = 64
block_px = 64
margin_px = 16
scores = true
{predict}
[vectorize]
denoise_px = 0
formats = ["geojson", "geoparquet"]
"##
    );
    let file = site.path("merges.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    file.to_str().expect("UTF-8").to_owned()
}

fn n_features(geojson: &[u8]) -> usize {
    let json: serde_json::Value = serde_json::from_slice(geojson).expect("GeoJSON");
    json["features"].as_array().expect("features").len()
}

/// What the merge item has said of itself.
fn merged(site: &Site) -> Merged {
    let folders = std::fs::read_dir(format!("{}/items", site.root)).expect("outputs").flatten();
    let outputs = folders.filter_map(|folder| std::fs::read_dir(folder.path().join("merge")).ok());
    let output = outputs.flatten().flatten().next().expect("an output of merge");
    serde_json::from_slice(&std::fs::read(output.path()).expect("reading it")).expect("what was merged")
}

#[test]
fn polygons_go_on_across_the_borders_of_scenes() {
    let mut made = Vec::new();
    // In one item, and each in several.
    for predict in ["item_px = 1024", "item_px = 64"] {
        let site = Site::new(Kind::Embedded);
        let folder = site.path("tiles");
        std::fs::create_dir(&folder).expect("a folder");
        let folder = folder.to_str().expect("UTF-8").to_owned();
        python(CUT, &[scene().to_str().expect("UTF-8"), &folder]);
        let file = pipeline(&site, &folder, predict);
        let run = run_name(&site.swath(&["run", &file, "--workers", "2"], 0).stdout);
        assert_eq!(site.status(&run).expect("a status").state, RunState::Done);
        let run: swath_proto::ids::RunId = run.parse().expect("a name");
        let file = |stem: &str, ending: &str| site.object(&format!("{stem}.{ending}"));
        let whole = file(&keys::merged(&run), "geojson");
        let of_scenes: usize = TILES
            .map(|name| n_features(&file(&keys::vectors(&run, &name.parse().expect("a name")), "geojson")))
            .iter()
            .sum();
        let maps = TILES.map(|name| format!("{}/predict/{run}/{name}.tif", site.root));
        let theirs: usize =
            python(POLYGONIZE, &maps.each_ref().map(String::as_str)).parse().expect("a number");
        assert_eq!(n_features(&whole), theirs);
        assert!(theirs < of_scenes, "{theirs} of {of_scenes}: none crosses a border");
        let Merged::V1 { files, polygons, mosaics, left_out } = merged(&site);
        let names: Vec<Vec<&str>> =
            mosaics.iter().map(|mosaic| mosaic.iter().map(|scene| scene.as_str()).collect()).collect();
        assert_eq!(names, [vec!["se", "nw", "ne", "sw"], vec!["off"]]);
        assert_eq!((files.len(), polygons, left_out.len()), (2, theirs as u64, 0));
        // Written over since, as when a scene was away for a while: what is told of it is no longer true.
        let merged = format!("{}/{}.geojson", site.root, keys::merged(&run));
        std::fs::write(&merged, "{}").expect("writing over it");
        std::fs::remove_file(format!("{}/{}", site.root, keys::stac_collection(&run))).expect("deleting");
        site.swath(&["run", &pipeline(&site, &folder, predict), "--workers", "1"], 0);
        assert!(std::fs::read(&merged).expect("polygons") == whole, "they are not made again");
        made.push((whole, file(&keys::merged(&run), "parquet")));
    }
    assert!(made[0] == made[1], "the polygons depend on how scenes were cut into items");
}
