//! What is written, seen by others: GDAL's validator, and GDAL's own reading.

use std::process::Command;

use crate::{
    same_bytes::run_name,
    site::{Kind, Site, pipeline, scene},
};

/// Runs a Python script with GDAL's bindings, and returns what it prints.
pub fn python(script: &str, args: &[&str]) -> String {
    let output = Command::new("/usr/bin/python3").arg("-c").arg(script).args(args).output();
    let output = output.expect("python3-gdal is missing: run `make setup`");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Keys of `[predict]` that make other files of the same scores.
pub const ZSTD: &str = "compression = \"zstd\"\nnodata = 255";

/// A run of one scene with such keys in `[predict]`.
pub fn predicted(predict: &str) -> (Site, String) {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site, predict, "");
    let output = site.swath(&["run", file.to_str().expect("UTF-8")], 0);
    let run = run_name(&output.stdout);
    (site, run)
}

pub const VALIDATE: &str = "
import sys
from osgeo import gdal
from osgeo_utils.samples.validate_cloud_optimized_geotiff import validate
gdal.UseExceptions()
for path in sys.argv[1:]:
    warnings, errors, _ = validate(path, full_check=True)
    print(len(warnings), len(errors), *warnings, *errors)
";

/// Sizes, places and the class raster's palette, as GDAL reads them.
const DESCRIBE: &str = "
import sys
from osgeo import gdal
gdal.UseExceptions()
image, classes, scores = map(gdal.Open, sys.argv[1:])
for other in classes, scores:
    assert (other.RasterXSize, other.RasterYSize) == (image.RasterXSize, image.RasterYSize)
    assert other.GetGeoTransform() == image.GetGeoTransform(), other.GetGeoTransform()
    assert other.GetSpatialRef().IsSame(image.GetSpatialRef())
band = classes.GetRasterBand(1)
assert band.GetColorTable().GetColorEntry(1)[:3] == (255, 136, 0)
assert [scores.GetRasterBand(n + 1).GetDescription() for n in range(2)] == ['background', 'building']
import numpy as np
a = band.ReadAsArray()
s = scores.ReadAsArray().astype(int)
assert (s.sum(axis=0) == 255).all()
# Where the scores tell two classes apart, the classes agree with them.
clear = np.abs(s[0] - s[1]) > 1
assert (a[clear] == s.argmax(axis=0)[clear]).all() and clear.mean() > 0.5
# Each overview is the majority or the mean of four pixels of the level below.
for dataset, n in (classes, 1), (scores, 2):
    for number in range(1, n + 1):
        band = dataset.GetRasterBand(number)
        level = band.ReadAsArray().astype(int)
        for overview in range(band.GetOverviewCount()):
            h, w = level.shape
            above = band.GetOverview(overview).ReadAsArray().astype(int)
            assert above.shape == (-(-h // 2), -(-w // 2))
            four = np.stack([level[0:h//2*2:2, 0:w//2*2:2], level[0:h//2*2:2, 1:w//2*2:2], level[1:h//2*2:2, 0:w//2*2:2], level[1:h//2*2:2, 1:w//2*2:2]])
            if n == 2:
                wanted = (four.sum(axis=0) + 2) // 4
            else:
                ones = four.sum(axis=0)
                wanted = np.where(ones == 2, four[0], (ones > 2).astype(int))
            assert (above[:h//2, :w//2] == wanted).all(), (n, overview)
            level = above
        assert band.GetOverviewCount() == 5
print('as it should be')
";

#[test]
fn predictions_are_valid_cloud_optimised_geotiffs_that_gdal_reads_as_they_were_meant() {
    let (site, run) = predicted("item_px = 256");
    let path = |name: &str| format!("{}/predict/{run}/scene-1{name}.tif", site.root);
    let (classes, scores) = (path(""), path(".scores"));
    assert_eq!(python(VALIDATE, &[&classes, &scores]), "0 0\n0 0");
    let image = scene().join("scene-1.tif");
    assert_eq!(python(DESCRIBE, &[image.to_str().expect("UTF-8"), &classes, &scores]), "as it should be");
}

/// Two maps and their scores: the same but for compression and nodata, and what they say of themselves is so.
const COMPARE: &str = "
import sys
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
plain, other, plain_scores, other_scores = map(gdal.Open, sys.argv[1:])
for dataset, compression in (plain, 'DEFLATE'), (other, 'ZSTD'), (plain_scores, 'DEFLATE'), (other_scores, 'ZSTD'):
    assert dataset.GetMetadataItem('COMPRESSION', 'IMAGE_STRUCTURE') == compression
    for number in range(dataset.RasterCount):
        band = dataset.GetRasterBand(number + 1)
        values = band.ReadAsArray().astype(float)
        if band.GetNoDataValue() is not None:
            values = values[values != band.GetNoDataValue()]
        told = band.GetStatistics(False, False)
        found = [values.min(), values.max(), values.mean(), values.std()]
        assert np.allclose(told, found, rtol=1e-9), (told, found)
a, b = plain.ReadAsArray(), other.ReadAsArray()
band = other.GetRasterBand(1)
assert band.GetNoDataValue() == 255 and plain.GetRasterBand(1).GetNoDataValue() is None
assert band.GetMetadataItem('CLASS_0') == 'background' and band.GetMetadataItem('CLASS_1') == 'building'
none = b == 255
assert 0.1 < none.mean() < 0.9, none.mean()
assert (a[none] == 0).all() and (a[~none] == b[~none]).all()
assert (plain_scores.ReadAsArray() == other_scores.ReadAsArray()).all()
print('the same')
";

/// Only what lies in this triangle is predicted.
const AOI: &str = "
import sys, json
from osgeo import gdal, osr
gdal.UseExceptions()
image = gdal.Open(sys.argv[1])
g, world = image.GetGeoTransform(), osr.SpatialReference()
world.ImportFromEPSG(4326)
world.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
to = osr.CoordinateTransformation(image.GetSpatialRef(), world)
corners = [(0, 0), (1500, 0), (0, 1500), (0, 0)]
ring = [list(to.TransformPoint(g[0] + col * g[1], g[3] + row * g[5])[:2]) for col, row in corners]
polygon = {'type': 'Feature', 'properties': {}, 'geometry': {'type': 'Polygon', 'coordinates': [ring]}}
json.dump({'type': 'FeatureCollection', 'features': [polygon]}, open(sys.argv[2], 'w'))
";

#[test]
fn compression_and_nodata_change_neither_a_class_nor_a_score() {
    let image = scene().join("scene-1.tif").to_str().expect("UTF-8").to_owned();
    let run = |predict: &str| {
        let site = Site::new(Kind::Embedded);
        let file = pipeline(&site, &format!("item_px = 256\n{predict}"), "");
        python(AOI, &[&image, site.path("aoi.geojson").to_str().expect("UTF-8")]);
        let text = std::fs::read_to_string(&file).expect("the pipeline");
        let text = text.replace("labels = ", "aoi = \"aoi.geojson\", labels = ");
        std::fs::write(&file, text).expect("the pipeline");
        let output = site.swath(&["run", file.to_str().expect("UTF-8")], 0);
        let run = run_name(&output.stdout);
        let eval = site.object(&format!("eval/{run}/eval.json"));
        (["", ".scores"].map(|what| format!("{}/predict/{run}/scene-1{what}.tif", site.root)), eval, site)
    };
    let (plain, plain_eval, _plain_site) = run("");
    let (other, other_eval, _other_site) = run(ZSTD);
    assert!(plain_eval == other_eval, "the scores are others");
    assert_eq!(python(COMPARE, &[&plain[0], &other[0], &plain[1], &other[1]]), "the same");
}

/// The tiny network by hand, window by window over the whole scene in one process, written by GDAL
/// and read back: no items, no packs, no tiles of ours.
const PLAIN: &str = "
import sys, json
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
image = gdal.Open(sys.argv[1]).ReadAsArray().astype(np.float64) / 255
raw = open(sys.argv[2], 'rb').read()
n = int.from_bytes(raw[:8], 'little')
weights = {name: np.frombuffer(raw[8 + n:], '<f4', offset=t['data_offsets'][0], count=int(np.prod(t['shape']))).astype(np.float64).reshape(t['shape']) for name, t in json.loads(raw[8:8 + n]).items()}
c, h, w = image.shape
core, margin = 64, 8
padded = np.zeros((c, h + 256, w + 256))
padded[:, 64:64 + h, 64:64 + w] = image
out = np.zeros((h, w), np.uint8)
sure = np.zeros((h, w), bool)
k1, b1 = weights['hidden.weight'], weights['hidden.bias']
k2, b2 = weights['head.weight'][:, :, 0, 0], weights['head.bias']
for row in range(0, h, core):
    for col in range(0, w, core):
        e = core + 2 * margin
        x = np.zeros((c, e + 2, e + 2))
        x[:, 1:-1, 1:-1] = padded[:, 64 + row - margin:64 + row - margin + e, 64 + col - margin:64 + col - margin + e]
        hidden = sum(np.tensordot(k1[:, :, i, j], x[:, i:i + e, j:j + e], 1) for i in range(3) for j in range(3)) + b1[:, None, None]
        logits = np.tensordot(k2, np.maximum(hidden, 0), 1) + b2[:, None, None]
        n, m = min(core, h - row), min(core, w - col)
        part = logits[:, margin:margin + n, margin:margin + m]
        out[row:row + n, col:col + m] = part.argmax(axis=0)
        sure[row:row + n, col:col + m] = np.abs(part[0] - part[1]) > 1e-4
plain = gdal.GetDriverByName('GTiff').Create(sys.argv[4], w, h, 1, gdal.GDT_Byte, ['TILED=YES', 'COMPRESS=DEFLATE'])
plain.GetRasterBand(1).WriteArray(out)
plain = None
ours = gdal.Open(sys.argv[3]).ReadAsArray()
plain = gdal.Open(sys.argv[4]).ReadAsArray()
differ = (ours != plain) & sure
print(int(differ.sum()), 'of', ours.size, 'differ;', 'sure' if sure.mean() > 0.999 else 'unsure', sorted(set(ours.flat.copy()) ))
";

/// Random weights of the tiny network as a safetensors file.
pub const WEIGHTS: &str = "
import sys, json
import numpy as np
draw = np.random.default_rng(7)
tensors = {'hidden.weight': draw.normal(0, .3, (8, 3, 3, 3)), 'hidden.bias': draw.normal(0, .3, 8), 'head.weight': draw.normal(0, .5, (2, 8, 1, 1)), 'head.bias': np.zeros(2)}
header, data = {}, b''
for name, values in tensors.items():
    values = values.astype('<f4').tobytes()
    header[name] = {'dtype': 'F32', 'shape': list(tensors[name].shape), 'data_offsets': [len(data), len(data) + len(values)]}
    data += values
header = json.dumps(header).encode()
open(sys.argv[1], 'wb').write(len(header).to_bytes(8, 'little') + header + data)
";

#[test]
fn the_pixels_equal_a_plain_prediction_that_gdal_has_written() {
    let site = Site::new(Kind::Embedded);
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (weights, plain) = (text(&site.path("tiny.safetensors")), text(&site.path("plain.tif")));
    python(WEIGHTS, &[&weights]);
    let file = pipeline(&site, "item_px = 256", "");
    let seeded = std::fs::read_to_string(&file).expect("the pipeline");
    std::fs::write(&file, seeded.replace("seed = 3", "weights = \"tiny.safetensors\""))
        .expect("the pipeline");
    let output = site.swath(&["run", &text(&file)], 0);
    let ours = format!("{}/predict/{}/scene-1.tif", site.root, run_name(&output.stdout));
    let said = python(PLAIN, &[&text(&scene().join("scene-1.tif")), &weights, &ours, &plain]);
    assert_eq!(said, "0 of 2250000 differ; sure [0, 1]");
}
