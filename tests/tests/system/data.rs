//! Data as users have it: 16 bits, channels in another order, several files to a scene, missing pixels,
//! areas of interest, labels with properties; and files that are not what they should be.

use std::path::Path;

use swath_proto::status::RunState;

use crate::{
    same_bytes::run_name,
    shape::python,
    site::{Kind, Site, scene},
};

/// Of the drawn scenes (8 bits, red, green, blue): 16 bits, four bands (blue, green, red, a constant), no data
/// left of column 100; whole, and as two files. Labels by a property `kind`, 3 for buildings; an area of interest
/// that begins at column 300 and ends at 900.
const MAKE: &str = r#"
import json, sys
import numpy as np
from osgeo import gdal, osr
gdal.UseExceptions()
source, target = sys.argv[1:]
for name in 'scene-1', 'scene-2':
    image = gdal.Open(f'{source}/{name}.tif')
    transform, crs = image.GetGeoTransform(), image.GetProjection()
    pixels = image.ReadAsArray().astype(np.uint16)[::-1] * 150 + 40
    pixels = np.concatenate([pixels, np.full_like(pixels[:1], 7)])
    pixels[:, :, :100] = 9
    def write(path, left, right):
        width = right - left
        out = gdal.GetDriverByName('GTiff').Create(path, width, pixels.shape[1], 4, gdal.GDT_UInt16, ['TILED=YES', 'COMPRESS=DEFLATE'])
        out.SetGeoTransform([transform[0] + left * transform[1], *transform[1:]])
        out.SetProjection(crs)
        out.WriteArray(pixels[:, :, left:right])
        for band in range(4):
            out.GetRasterBand(band + 1).SetNoDataValue(9)
    write(f'{target}/{name}.tif', 0, 1500)
    write(f'{target}/{name}-west.tif', 0, 800)
    write(f'{target}/{name}-east.tif', 800, 1500)
    pixels = np.full_like(pixels, 9)
    write(f'{target}/{name}-blank.tif', 0, 300)
    labels = json.load(open(f'{source}/{name}.geojson'))
    for feature in labels['features']:
        feature['properties'] = {'kind': 3}
    json.dump(labels, open(f'{target}/{name}.geojson', 'w'))
    spatial = osr.SpatialReference(crs)
    spatial.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    world = osr.SpatialReference()
    world.ImportFromEPSG(4326)
    world.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    to = osr.CoordinateTransformation(spatial, world)
    corner = lambda col, row: list(to.TransformPoint(transform[0] + col * transform[1], transform[3] + row * transform[5])[:2])
    ring = [corner(*c) for c in ((300, 0), (900, 0), (900, 1500), (300, 1500), (300, 0))]
    polygon = {'type': 'Feature', 'properties': {}, 'geometry': {'type': 'Polygon', 'coordinates': [ring]}}
    json.dump({'type': 'FeatureCollection', 'features': [polygon]}, open(f'{target}/{name}-aoi.geojson', 'w'))
"#;

fn data(site: &Site) -> String {
    let folder = site.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    let folder = folder.to_str().expect("UTF-8").to_owned();
    python(MAKE, &[scene().to_str().expect("UTF-8"), &folder]);
    folder
}

fn write(site: &Site, name: &str, text: &str) -> String {
    let file = site.path(name);
    std::fs::write(&file, text).expect("writing a file");
    file.to_str().expect("UTF-8").to_owned()
}

const CLASSES: &str = r##"
[[classes]]
name = "background"
color = "#202020"
null = true
[[classes]]
name = "building"
color = "#ff8800"
[labels]
property = "kind"
values = { 3 = "building" }
[data]
bands = [3, 2, 1]
"##;

/// Statistics, the area of interest and missing pixels, seen by numpy.
const CHECK: &str = r#"
import json, sys
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
data, root, run, bundle_map = sys.argv[1:]
record = json.load(open(f'{root}/runs/{run}/run.json'))
train = gdal.Open(f'{data}/scene-1.tif').ReadAsArray()[[2, 1, 0]].astype(float)[:, :, 100:]
means, stds = record['statistics']['means'], record['statistics']['stds']
assert np.allclose(means, train.mean(axis=(1, 2)), rtol=1e-12), (means, train.mean(axis=(1, 2)))
assert np.allclose(stds, train.std(axis=(1, 2)), rtol=1e-12), (stds, train.std(axis=(1, 2)))
classes = gdal.Open(f'{root}/predict/{run}/unseen.tif').ReadAsArray()
assert not classes[:, :300].any() and not classes[:, 900:].any(), 'the area of interest'
scores = gdal.Open(f'{root}/predict/{run}/unseen.scores.tif').ReadAsArray()
assert (scores[0][:, :300] == 255).all() and not scores[1][:, 900:].any()
assert (scores[1][:, 300:900] > 0).mean() > 0.9, 'the network looks at what lies inside'
overall = json.load(open(f'{root}/eval/{run}/eval.json'))['overall']
assert overall[-1]['gt_count'] == 600 * 1500, overall[-1]['gt_count']
# The same network on the same pixels, but over the whole image: missing pixels are of the null class.
whole = gdal.Open(bundle_map).ReadAsArray()
whole_scores = gdal.Open(bundle_map.replace('.tif', '.scores.tif')).ReadAsArray()
assert (whole[:, 300:900] == classes[:, 300:900]).all()
assert (whole_scores[:, :, 300:900] == scores[:, :, 300:900]).all()
assert not whole_scores[1][:, :100].any() and (whole_scores[1][:, 100:300] > 0).mean() > 0.9
print('as it should be')
"#;

#[test]
fn sixteen_bits_in_two_files_are_measured_learnt_from_and_predicted() {
    let site = Site::new(Kind::Embedded);
    let data = data(&site);
    let pipeline = format!(
        r#"
name = "data"
stages = ["survey", "analyze", "chip", "train", "predict", "assemble", "eval", "bundle"]
scenes = [
    {{ id = "seen", image = ["{data}/scene-1-west.tif", "{data}/scene-1-east.tif"], labels = "{data}/scene-1.geojson", group = "train" }},
    {{ id = "unseen", image = "{data}/scene-2.tif", labels = "{data}/scene-2.geojson", aoi = "{data}/scene-2-aoi.geojson" }},
]
{CLASSES}
[model]
architecture = "tiny"
[chips]
size = 128
[train]
epochs = 3
lr = 0.02
class_weights = "balanced"
[predict]
core_px = 128
block_px = 128
margin_px = 16
scores = true
"#
    );
    let file = write(&site, "data.toml", &pipeline);
    let run = run_name(&site.swath(&["run", &file], 0).stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!(status.state, RunState::Done, "{status:?}");
    assert_eq!(status.stages["analyze"].done, 1);
    let bundle = format!("{}/bundle/{run}/bundle.zip", site.root);
    let map = site.path("map.tif");
    let map = map.to_str().expect("UTF-8");
    let output =
        site.swath(&["predict", &bundle, &format!("{data}/scene-2.tif"), map, "--scores", "--polygons"], 0);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        [".tif", ".scores.tif", ".geojson"].map(|ending| map.replace(".tif", ending) + "\n").concat()
    );
    assert_eq!(python(CHECK, &[&data, &site.root, &run, map]), "as it should be");
    // Where nothing can be done, nothing is left to go on with either.
    let torn = write(&site, "torn.tif", "no raster");
    site.swath(&["predict", &bundle, &torn, map], 2);
    site.swath(&["bench", "predict", &torn], 2);
    let left: Vec<_> = hidden(site.folder.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn hidden(folder: &Path) -> impl Iterator<Item = String> {
    let names = std::fs::read_dir(folder).expect("a folder").flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with('.'))
}

#[test]
fn a_scene_of_two_files_is_predicted_as_the_one_that_it_was() {
    let site = Site::new(Kind::Embedded);
    let data = data(&site);
    let predict = |images: &str| {
        let pipeline = format!(
            "name = \"m\"\nstages = [\"survey\", \"analyze\", \"predict\", \"assemble\"]\n\
             scenes = [{{ id = \"s\", image = {images} }}]\n{CLASSES}\n[model]\narchitecture = \"tiny\"\nseed = 3\n\
             [predict]\ncore_px = 128\nblock_px = 128\nitem_px = 256\nscores = true\n"
        );
        let file = write(&site, "m.toml", &pipeline);
        let run = run_name(&site.swath(&["run", &file], 0).stdout);
        [site.object(&format!("predict/{run}/s.tif")), site.object(&format!("predict/{run}/s.scores.tif"))]
    };
    let whole = predict(&format!("\"{data}/scene-1.tif\""));
    let parts = predict(&format!("[\"{data}/scene-1-west.tif\", \"{data}/scene-1-east.tif\"]"));
    assert!(whole == parts, "the mosaic differs from the file that it was cut from");
}

#[test]
fn one_bad_scene_stops_no_other_and_each_is_told_with_its_file() {
    let site = Site::new(Kind::Embedded);
    let data = data(&site);
    let whole = std::fs::read(format!("{data}/scene-1.tif")).expect("a scene");
    std::fs::write(site.path("data/torn.tif"), &whole[..whole.len() / 2]).expect("writing");
    write(&site, "data/none.tif", "no raster at all");
    let labels = std::fs::read_to_string(format!("{data}/scene-2.geojson")).expect("labels");
    write(&site, "data/unknown.geojson", &labels.replace("\"kind\": 3", "\"kind\": \"bridge\""));
    write(&site, "data/broken.geojson", &labels[..labels.len() / 2]);
    // Where the scene is not: a degree further east.
    write(
        &site,
        "data/away.geojson",
        r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"kind":3},"geometry":
           {"type":"Polygon","coordinates":[[[99,10],[99.1,10],[99.1,10.1],[99,10]]]}}]}"#,
    );
    let bad = [
        ("torn", "torn.tif", None),
        ("none", "none.tif", None),
        ("blank", "scene-1-blank.tif", None),
        ("unknown-class", "scene-1.tif", Some("unknown.geojson")),
        ("broken-labels", "scene-1.tif", Some("broken.geojson")),
        ("labels-away", "scene-1.tif", Some("away.geojson")),
    ];
    let mut scenes = format!("{{ id = \"good\", image = \"{data}/scene-2.tif\" }}");
    for (id, image, labels) in bad {
        let labels = labels.map(|labels| format!(", labels = \"{data}/{labels}\"")).unwrap_or_default();
        scenes += &format!(",\n{{ id = \"{id}\", image = \"{data}/{image}\"{labels} }}");
    }
    let pipeline = format!(
        "name = \"bad\"\nstages = [\"survey\", \"analyze\", \"predict\", \"assemble\", \"eval\"]\n\
         scenes = [{scenes}]\n{CLASSES}scale = {{ min = 0, max = 40000 }}\n\
         [model]\narchitecture = \"tiny\"\nseed = 3\n[run]\nlot_scenes = 2\nmax_failures = 2\n"
    );
    let file = write(&site, "bad.toml", &pipeline);
    let run = run_name(&site.swath(&["run", &file], 3).stdout);
    assert!(!site.object(&format!("predict/{run}/good.tif")).is_empty());
    let status = site.status(&run).expect("a status");
    // A torn file is found when it is read, all others when they are opened.
    let of_items =
        status.failures.iter().map(|item| format!("{:?}: {}", item.failure.scene, item.failure.message));
    let told = status.unreadable_scenes.iter().cloned().chain(of_items).collect::<Vec<_>>().join("\n");
    for (id, image, labels) in bad {
        let file = labels.unwrap_or(image);
        assert!(told.lines().any(|line| line.contains(id) && line.contains(file)), "{id} ({file}):\n{told}");
    }
    let plan = site.swath(&["plan", &file], 3).stdout;
    let plan = String::from_utf8_lossy(&plan);
    assert!(plan.lines().any(|line| line.starts_with("unreadable  scene none: ")), "{plan}");
    let items = site.swath(&["items", &run], 0).stdout;
    let items = String::from_utf8_lossy(&items);
    let n = status.unreadable_scenes.len();
    assert!(items.contains(&format!("{n} scenes can't be read: swath status {run}")), "{items}");

    let missing = pipeline.replace("bands = [3, 2, 1]", "bands = [3, 2, 9]");
    let file = write(&site, "missing.toml", &missing);
    let output = site.swath(&["run", &file], 3);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("scene-2.tif") && told.contains("band 9"), "{told}");
}

/// Imagery and labels in a bucket, named by a pattern; the run itself is on real servers.
#[test]
fn scenes_are_found_read_and_evaluated_where_they_lie_in_a_bucket() {
    let site = Site::new(Kind::Servers);
    let folder = scene();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let put = |name: &str| {
        let body = std::fs::read(folder.join(name)).expect("a drawn file");
        let blobs = runtime.block_on(swath_backends::open::open_blobs(&site.root)).expect("the bucket");
        runtime.block_on(blobs.put(&format!("in/{name}"), body.into())).expect("uploading");
        blobs.uri("in/")
    };
    let uri = ["scene-1.tif", "scene-2.tif", "scene-1.geojson", "scene-2.geojson"].map(put);
    let uri = uri[0].trim_end_matches('/');
    let pipeline = format!(
        "name = \"bucket\"\nscenes = [{{ images = \"{uri}/*.tif\", labels = \"{uri}/{{id}}.geojson\" }}]\n{}\
         [model]\narchitecture = \"tiny\"\nseed = 3\n",
        CLASSES.split("[labels]").next().unwrap_or_default()
    );
    let file = write(&site, "bucket.toml", &pipeline);
    let there = run_name(&site.swath(&["run", &file], 0).stdout);
    let status = site.status(&there).expect("a status");
    // Both are small, and share their items.
    assert_eq!((status.state, status.stages["eval"].done), (RunState::Done, 1), "{status:?}");
    // The same files on this machine give the same map and the same scores.
    let here = Site::new(Kind::Embedded);
    let local = pipeline.replace(uri, folder.to_str().expect("UTF-8"));
    let file = write(&here, "bucket.toml", &local);
    let run = run_name(&here.swath(&["run", &file], 0).stdout);
    for name in ["scene-1", "scene-2"] {
        let key = |run: &str| format!("predict/{run}/{name}.tif");
        assert!(here.object(&key(&run)) == site.object(&key(&there)), "{name} differs");
    }
    let eval = |site: &Site, run: &str| site.object(&format!("eval/{run}/eval.json"));
    assert!(eval(&here, &run) == eval(&site, &there), "the scores differ");
}
