//! What Raster Vision has written: configurations, and bundles around them.

use swath_zip::{Source, ZipWriter};

use crate::{Target, sample};

pub(crate) const PIPELINE: Target = Target {
    name: "raster_vision",
    run: pipeline,
    samples: || {
        ["polygons", "colors"].map(|name| sample(&format!("raster-vision/samples/{name}.json"))).into()
    },
    tokens: &[
        b"null",
        b"-1",
        b"1e308",
        b"min_max_transformer",
        b"nan_transformer",
        b"reclass_transformer",
        b"cast_transformer",
        b"class_id_to_filter",
        b"class_name_mapping",
        b"[\"==\", \"a\", 1]",
    ],
};
pub(crate) const BUNDLE: Target = Target {
    name: "raster_vision_bundle",
    run: bundle,
    samples: bundles,
    tokens: &[b"PK\x01\x02", b"\x08\x00"],
};

fn pipeline(bytes: &[u8]) {
    swath_raster_vision::fuzz(bytes);
}

fn bundle(bytes: &[u8]) {
    if let Err(error) = swath_raster_vision::bundle(&Source::from(bytes.to_vec()), None) {
        drop(error.to_string());
    }
}

/// Its weights are a file of ours: readers tell formats by their content.
fn bundles() -> Vec<Vec<u8>> {
    let zip = |members: &[(&str, Vec<u8>)]| {
        let mut zip = ZipWriter::new(Vec::new());
        for (name, body) in members {
            let added = zip.member(name, &Source::from(body.clone()));
            added.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        zip.finish().unwrap_or_else(|error| panic!("{error}"))
    };
    let weights = crate::files(&crate::repository().join("weights/testdata"));
    let of = |config: &str, weights: Vec<u8>| {
        let config = sample(&format!("raster-vision/samples/{config}.json"));
        zip(&[("pipeline-config.json", config), ("model-bundle.zip", zip(&[("model.pth", weights)]))])
    };
    weights.into_iter().take(2).map(|weights| of("polygons", weights)).collect()
}
