//! Margins that are blended, windows that are looked at from eight sides, and how sure the classes are: the same bytes
//! however the scene was cut, and the numbers that come out by hand. What lies outside the area of interest is not
//! even read.

use swath_proto::status::RunState;

use crate::{
    same_bytes::run_name,
    shape::{VALIDATE, WEIGHTS, python},
    site::{Kind, Site, scene},
};

/// A part of the drawn scene of an odd size, with a hole in it, and an area of interest: its upper rows.
const MAKE: &str = r#"
import json, sys
from osgeo import gdal, osr
gdal.UseExceptions()
source, target = sys.argv[1:]
options = ['TILED=YES', 'INTERLEAVE=PIXEL', 'BLOCKXSIZE=64', 'BLOCKYSIZE=64']
image = gdal.Translate(f'{target}/s.tif', f'{source}/scene-1.tif', srcWin=[300, 200, 500, 420], creationOptions=options)
pixels = image.ReadAsArray()
pixels[:, 190:260, 100:300] = 0
image.WriteArray(pixels)
transform, crs = image.GetGeoTransform(), image.GetProjection()
image = None
spatial, world = osr.SpatialReference(crs), osr.SpatialReference()
world.ImportFromEPSG(4326)
for one in spatial, world:
    one.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
to = osr.CoordinateTransformation(spatial, world)
corner = lambda col, row: list(to.TransformPoint(transform[0] + col * transform[1], transform[3] + row * transform[5])[:2])
ring = [corner(*c) for c in ((10, 0), (400, 0), (400, 100), (10, 100), (10, 0))]
polygon = {'type': 'Feature', 'properties': {}, 'geometry': {'type': 'Polygon', 'coordinates': [ring]}}
json.dump({'type': 'FeatureCollection', 'features': [polygon]}, open(f'{target}/aoi.geojson', 'w'))
print('made')
"#;

/// All windows and all views of each, one by one over the whole scene, averaged in double precision.
const PLAIN: &str = r#"
import sys, json
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
image_path, weights_path, stem = sys.argv[1:]
pixels = gdal.Open(image_path).ReadAsArray()
counts = (pixels != 0).any(axis=0)
image = pixels.astype(np.float64) / 255
raw = open(weights_path, 'rb').read()
n = int.from_bytes(raw[:8], 'little')
weights = {name: np.frombuffer(raw[8 + n:], '<f4', offset=t['data_offsets'][0], count=int(np.prod(t['shape']))).astype(np.float64).reshape(t['shape']) for name, t in json.loads(raw[8:8 + n]).items()}
k1, b1 = weights['hidden.weight'], weights['hidden.bias']
k2, b2 = weights['head.weight'][:, :, 0, 0], weights['head.bias']
c, h, w = image.shape
core, margin = 64, 8
e = core + 2 * margin
rise = [int(4096 * (1 - np.cos(np.pi * (i + .5) / (2 * margin))) / 2 + .5) for i in range(margin)]
rise += [4096 - weight for weight in reversed(rise)]
along = np.array(rise + [4096] * (e - 4 * margin) + rise[::-1], float)
weight = along[:, None] * along[None, :]
def network(x):
    padded = np.zeros((c, e + 2, e + 2))
    padded[:, 1:-1, 1:-1] = x
    hidden = sum(np.tensordot(k1[:, :, i, j], padded[:, i:i + e, j:j + e], 1) for i in range(3) for j in range(3)) + b1[:, None, None]
    logits = np.tensordot(k2, np.maximum(hidden, 0), 1) + b2[:, None, None]
    exp = np.exp(logits - logits.max(axis=0))
    return exp / exp.sum(axis=0)
around = np.zeros((c, h + 256, w + 256))
around[:, 64:64 + h, 64:64 + w] = image
sums, whole = np.zeros((2, h + 256, w + 256)), np.zeros((h + 256, w + 256))
for row in range(0, h, core):
    for col in range(0, w, core):
        place = (slice(64 + row - margin, 64 + row - margin + e), slice(64 + col - margin, 64 + col - margin + e))
        x = around[(slice(None), *place)]
        for turns in range(4):
            for mirrored in False, True:
                view = np.rot90(x, turns, (1, 2))
                view = view[:, :, ::-1] if mirrored else view
                said = network(view)
                said = said[:, :, ::-1] if mirrored else said
                sums[(slice(None), *place)] += np.rot90(said, -turns, (1, 2)) * weight / 8
        whole[place] += weight
probs = (sums / np.maximum(whole, 1))[:, 64:64 + h, 64:64 + w]
read = lambda name: gdal.Open(stem + name).ReadAsArray()
classes, scores, confidence = read('.tif'), read('.scores.tif').astype(int), read('.confidence.tif').astype(int)
sure = counts & (np.abs(probs[0] - probs[1]) > 1e-4)
assert sure.mean() > 0.9 and set(classes[sure].flat) == {0, 1}, 'one class alone shows nothing'
assert (classes == probs.argmax(axis=0))[sure].all(), 'classes'
assert np.abs(scores - probs * 255)[:, counts].max() < 0.51, np.abs(scores - probs * 255)[:, counts].max()
assert (confidence == np.take_along_axis(scores, classes[None].astype(int), 0)[0])[counts].all()
assert not confidence[~counts].any() and confidence[counts].all() and not classes[~counts].any()
assert (scores[0][~counts] == 255).all()
file = gdal.Open(stem + '.confidence.tif')
band = file.GetRasterBand(1)
assert band.GetNoDataValue() == 0 and band.GetDescription() == 'confidence'
level = confidence
for overview in range(band.GetOverviewCount()):
    above = band.GetOverview(overview).ReadAsArray().astype(int)
    lh, lw = level.shape[0] // 2, level.shape[1] // 2
    four = np.stack([level[i:2 * lh:2, j:2 * lw:2] for i in (0, 1) for j in (0, 1)])
    known = np.maximum((four > 0).sum(axis=0), 1)
    assert (above[:lh, :lw] == (2 * four.sum(axis=0) + known) // (2 * known)).all(), overview
    level = above
assert band.GetOverviewCount() >= 1
print('as by hand')
"#;

/// Whether two maps hold the same pixels, whatever their tiles.
pub(crate) const SAME: &str = r#"
import sys
from osgeo import gdal
gdal.UseExceptions()
for name in '.tif', '.scores.tif', '.confidence.tif':
    one, other = (gdal.Open(stem + name).ReadAsArray() for stem in sys.argv[1:])
    assert (one == other).all(), name
print('the same')
"#;

const ENDINGS: [&str; 3] = ["", ".scores", ".confidence"];

pub(crate) fn text(path: &std::path::Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// The image, the area of interest and the weights.
pub(crate) fn made(site: &Site) {
    let folder = text(site.path("").as_path());
    assert_eq!(python(MAKE, &[&text(scene()), &folder]), "made");
    python(WEIGHTS, &[&text(&site.path("tiny.safetensors"))]);
}

pub(crate) fn pipeline(site: &Site, scene: &str, stages: &str, more: &str) -> String {
    let text_of_it = format!(
        r##"
name = "windows"
stages = ["survey", "predict", "assemble"{stages}]
scenes = [{{ id = "s", {scene} }}]
classes = [
    {{ name = "background", color = "#202020", null = true }},
    {{ name = "building", color = "#ff8800" }},
]
[model]
architecture = "tiny"
weights = "tiny.safetensors"
[data]
nodata = 0
[predict]
core_px = 64
block_px = 64
margin_px = 8
batch = 5
scores = true
confidence = true
{more}
"##
    );
    let file = site.path("windows.toml");
    std::fs::write(&file, text_of_it).expect("writing the pipeline");
    text(&file)
}

pub(crate) fn run(site: &Site, file: &str, workers: &str) -> String {
    let run = run_name(&site.swath(&["run", file, "--workers", workers], 0).stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!(status.state, RunState::Done, "{status:?}");
    run
}

fn files(site: &Site, run: &str) -> Vec<Vec<u8>> {
    ENDINGS.map(|ending| site.object(&format!("predict/{run}/s{ending}.tif"))).into()
}

const MIXED: &str = "blend = \"hann\"\naugment = \"d4\"\n";

#[test]
fn what_is_blended_and_turned_is_the_same_for_every_size_of_items_and_as_by_hand() {
    let site = Site::new(Kind::Embedded);
    made(&site);
    let of = |item_px: u32, workers: &str| {
        let file = pipeline(&site, "image = \"s.tif\"", "", &format!("{MIXED}item_px = {item_px}"));
        let run = run(&site, &file, workers);
        (files(&site, &run), format!("{}/predict/{run}/s", site.root))
    };
    let (whole, stem) = of(1024, "1");
    assert_eq!(
        python(PLAIN, &[&text(&site.path("s.tif")), &text(&site.path("tiny.safetensors")), &stem]),
        "as by hand"
    );
    for (item_px, workers) in [(64, "2"), (128, "1"), (256, "2")] {
        let (cut, stem) = of(item_px, workers);
        for ((ending, one), other) in ENDINGS.iter().zip(&whole).zip(&cut) {
            assert!(one == other, "items of {item_px} px: s{ending}.tif differs");
        }
        let paths: Vec<String> = ENDINGS.map(|ending| format!("{stem}{ending}.tif")).into();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(python(VALIDATE, &paths), ["0 0"; 3].join("\n"));
    }
}

#[test]
fn servers_blend_to_the_same_bytes_as_the_embedded_twins() {
    let of = |kind: Kind, item_px: u32| {
        let site = Site::new(kind);
        made(&site);
        let file = pipeline(&site, "image = \"s.tif\"", "", &format!("{MIXED}item_px = {item_px}"));
        let run = run(&site, &file, "2");
        files(&site, &run)
    };
    assert!(of(Kind::Embedded, 256) == of(Kind::Servers, 128));
}

#[test]
fn a_bundle_predicts_with_flags_what_a_pipeline_does_with_keys() {
    let site = Site::new(Kind::Embedded);
    made(&site);
    let file = pipeline(&site, "image = \"s.tif\"", ", \"bundle\"", MIXED);
    let run = run(&site, &file, "1");
    let bundle = format!("{}/bundle/{run}/bundle.zip", site.root);
    let (image, map) = (text(&site.path("s.tif")), text(&site.path("map.tif")));
    let flags = ["--scores", "--confidence", "--blend", "hann", "--augment", "d4"];
    let output = site.swath(&[&["predict", &bundle, &image, &map], &flags[..]].concat(), 0);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        ENDINGS.map(|ending| map.replace(".tif", &format!("{ending}.tif\n"))).concat()
    );
    let stem = map.replace(".tif", "");
    assert_eq!(python(SAME, &[&format!("{}/predict/{run}/s", site.root), &stem]), "the same");
}

#[test]
fn what_lies_outside_the_area_of_interest_is_not_read() {
    let site = Site::new(Kind::Embedded);
    made(&site);
    let whole = std::fs::read(site.path("s.tif")).expect("the image");
    // Rows from 252 on are gone: of the area of interest, which ends at row 100, no window sees them.
    std::fs::write(site.path("torn.tif"), &whole[..whole.len() * 6 / 10]).expect("tearing it");
    for more in ["item_px = 128", "item_px = 1024", &format!("{MIXED}item_px = 64")] {
        let of = |image: &str| {
            let named = format!("image = \"{image}\", aoi = \"aoi.geojson\"");
            let run = run(&site, &pipeline(&site, &named, "", more), "2");
            files(&site, &run)
        };
        let (torn, whole) = (of("torn.tif"), of("s.tif"));
        assert!(torn == whole, "{more}");
    }
}

#[test]
fn margins_that_can_not_be_blended_are_told_before_anything_begins() {
    let site = Site::new(Kind::Embedded);
    made(&site);
    let file = pipeline(&site, "image = \"s.tif\"", "", "blend = \"hann\"");
    let wrong =
        std::fs::read_to_string(&file).expect("the pipeline").replace("margin_px = 8", "margin_px = 33");
    std::fs::write(&file, wrong).expect("writing the pipeline");
    let output = site.swath(&["run", &file], 2);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("predict.margin_px = 33: must be at most 32, half of core_px, to blend"), "{told}");
}
