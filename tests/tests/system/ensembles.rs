//! Bundles in pipelines, and several of them as one network: their probabilities are averaged.

use crate::{
    shape::python,
    site::{Kind, Site},
    windows::{SAME, made, pipeline, run, text},
};

/// A network that sees the same features and weighs them otherwise.
const OTHER: &str = r#"
import json, sys
import numpy as np
source, target = sys.argv[1:]
raw = bytearray(open(source, 'rb').read())
n = int.from_bytes(raw[:8], 'little')
for name, tensor in json.loads(raw[8:8 + n]).items():
    if name.startswith('head.'):
        first, last = (8 + n + offset for offset in tensor['data_offsets'])
        values = np.frombuffer(raw[first:last], '<f4') * np.float32(-0.4) + np.float32(0.05)
        raw[first:last] = values.tobytes()
open(target, 'wb').write(raw)
print('made')
"#;

/// Scores of the two networks, and of both together.
const MEAN: &str = r#"
import sys
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
read = lambda stem: gdal.Open(stem + '.scores.tif').ReadAsArray().astype(float)
one, other, both = map(read, sys.argv[1:])
assert np.abs(one - other).max() > 30, 'networks that agree show nothing'
# Each of the three is rounded.
assert np.abs(both - (one + other) / 2).max() <= 1, np.abs(both - (one + other) / 2).max()
classes = gdal.Open(sys.argv[3] + '.tif').ReadAsArray()
sure = np.abs(both[0] - both[1]) > 2
assert (classes == both.argmax(axis=0))[sure].all() and set(classes[sure].flat) == {0, 1}
print('the mean')
"#;

/// Bundles of two networks, and where the maps of each lie.
fn bundles(site: &Site) -> [(String, String); 2] {
    made(site);
    let [first, other] = ["tiny.safetensors", "other.safetensors"].map(|name| text(&site.path(name)));
    assert_eq!(python(OTHER, &[&first, &other]), "made");
    ["tiny", "other"].map(|name| {
        let file = pipeline(site, "image = \"s.tif\"", ", \"bundle\"", "");
        let written = std::fs::read_to_string(&file).expect("the pipeline");
        std::fs::write(&file, written.replace("tiny.safetensors", &format!("{name}.safetensors")))
            .expect("writing the pipeline");
        let run = run(site, &file, "1");
        let bundle = text(&site.path(&format!("{name}.zip")));
        std::fs::copy(format!("{}/bundle/{run}/bundle.zip", site.root), &bundle).expect("the bundle");
        (bundle, format!("{}/predict/{run}/s", site.root))
    })
}

/// The pipeline, with weights of bundles, which say how pixels are read.
fn of_bundles(site: &Site, weights: &str) -> String {
    let file = pipeline(site, "image = \"s.tif\"", "", "");
    let written = std::fs::read_to_string(&file).expect("the pipeline");
    let weights = written.replace("\"tiny.safetensors\"", weights).replace("[data]\nnodata = 0\n", "");
    std::fs::write(&file, weights).expect("writing the pipeline");
    file
}

#[test]
fn several_bundles_say_their_mean_on_the_command_line_and_in_a_pipeline() {
    let site = Site::new(Kind::Embedded);
    let [(one, of_one), (other, of_other)] = bundles(&site);
    let (image, map) = (text(&site.path("s.tif")), text(&site.path("map.tif")));
    site.swath(&["predict", &one, &image, &map, "--with", &other, "--scores", "--confidence"], 0);
    let both = map.replace(".tif", "");
    assert_eq!(python(MEAN, &[&of_one, &of_other, &both]), "the mean");

    let same = |weights: &str, wanted: &str| {
        let run = run(&site, &of_bundles(&site, weights), "2");
        let found = format!("{}/predict/{run}/s", site.root);
        assert_eq!(python(SAME, &[&found, wanted]), "the same", "{weights}");
    };
    same(r#"["tiny.zip", "other.zip"]"#, &both);
    same(r#""other.zip""#, &of_other);
}

#[test]
fn bundles_that_do_not_fit_are_told_before_anything_begins() {
    let site = Site::new(Kind::Embedded);
    bundles(&site);
    let file = of_bundles(&site, r#"["tiny.zip", "other.zip"]"#);
    let told = |change: (&str, &str)| {
        let written = std::fs::read_to_string(&file).expect("the pipeline");
        assert!(written.contains(change.0), "{written}");
        let changed = text(&site.path("changed.toml"));
        std::fs::write(&changed, written.replace(change.0, change.1)).expect("writing the pipeline");
        String::from_utf8_lossy(&site.swath(&["run", &changed], 2).stderr).into_owned()
    };
    for (change, wanted) in [
        (
            ("building\"", "house\""),
            "its classes are 'background', 'building', in this order, and not 'background', 'house'",
        ),
        (
            ("architecture = \"tiny\"", "architecture = \"deeplabv3-resnet50\""),
            "holds a network of the architecture \"tiny\"",
        ),
        (
            ("[predict]", "[data]\nnodata = 0\n[predict]"),
            "data: the bundle says how pixels are read: leave it out",
        ),
        (
            ("[predict]", "[predict]\nprecision = \"int8\""),
            "tiny.zip: 8 bits were never tried with this model",
        ),
        (("\"other.zip\"", "\"tiny.safetensors\""), "several files are averaged only if each is a bundle"),
        (("\"other.zip\"", "\"gone.zip\""), "gone.zip: No such file"),
    ] {
        let told = told(change);
        assert!(told.contains(wanted), "{change:?}: {told}");
    }
}
