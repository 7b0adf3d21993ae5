//! The run's bundle, in the words of the machine learning model extension.

use serde_json::{Map, Value, json};
use swath_proto::{
    item::Bundle,
    run::RunRecord,
    source::{Scaling, SourceSpec},
};

use crate::{
    VERSION,
    asset::{File, classes},
    extensions::{FILE, MLM, PROCESSING},
    link::{JSON, link},
};

/// Of the folder of the model's Item: `stac/<run>/`.
const DEPTH: usize = 2;

/// What is known of a bundle.
pub struct Packed<'a> {
    pub work: &'a Bundle,
    pub file: File,
}

pub fn model(record: &RunRecord, packed: &Packed<'_>) -> Value {
    let work = packed.work;
    // As in the pipeline file.
    let architecture = serde_json::to_value(work.model.architecture).unwrap_or_default();
    let architecture = architecture.as_str().unwrap_or_default();
    let names = band_names(work);
    let bands: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    let edge_px = work.window.edge_px();
    let shape = |layers: u32| json!([-1, layers, edge_px, edge_px]);
    let tasks = json!(["semantic-segmentation"]);
    let mut input = json!({
        "name": "image",
        "description": scaling_in_words(&work.pixels.scaling),
        "bands": names,
        "input": {
            "shape": shape(work.model.bands),
            "dim_order": ["batch", "channel", "height", "width"],
            "data_type": "float32",
        },
    });
    if let Some(scaling) = scaling(&work.pixels.scaling) {
        input["value_scaling"] = scaling;
    }
    let mut asset = packed.file.asset(DEPTH, "The bundle", "application/zip", "mlm:model");
    asset.insert("roles".into(), json!(["mlm:model", "mlm:weights"]));
    asset.insert("mlm:artifact_type".into(), "swath-bundle".into());
    // The core takes them above only where a file has them, the model extension only above.
    asset.insert("bands".into(), bands.clone().into());
    let links = ["root", "parent", "collection"].map(|rel| link(rel, "./collection.json", JSON));
    let mut assets = Map::new();
    assets.insert("bundle".into(), asset.into());
    json!({
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [FILE, MLM, PROCESSING],
        "id": format!("{}-model", record.run),
        // A model lies nowhere.
        "geometry": null,
        "properties": {
            "datetime": record.created,
            "created": record.created,
            "description": "A network with all that is to be known to predict with it: docs/bundle-format.md",
            "processing:software": {"swath": record.program},
            "bands": bands,
            "mlm:name": format!("Swath {architecture}"),
            "mlm:architecture": architecture,
            "mlm:tasks": tasks,
            "mlm:framework": "PyTorch",
            "mlm:accelerator": null,
            "mlm:accelerator_constrained": false,
            "mlm:batch_size_suggestion": work.batch,
            "mlm:input": [input],
            "mlm:output": [{
                "name": "logits",
                "description": "One number a class and pixel, before a softmax over the classes.",
                "tasks": tasks,
                "result": {
                    "shape": shape(work.model.classes),
                    "dim_order": ["batch", "class", "height", "width"],
                    "data_type": "float32",
                },
                "classification:classes": classes(&work.classes),
            }],
        },
        "links": links,
        "assets": assets,
        "collection": record.run,
    })
}

/// By the numbers of the image's bands, from 1 on as GDAL counts them.
fn band_names(work: &Bundle) -> Vec<String> {
    let SourceSpec { bands, .. } = &work.pixels;
    let n = work.model.bands;
    if bands.is_empty() {
        return (1..=n).map(|number| format!("band-{number}")).collect();
    }
    bands.iter().map(|number| format!("band-{}", number + 1)).collect()
}

fn scaling(scaling: &Scaling) -> Option<Value> {
    match scaling {
        Scaling::Cast | Scaling::None => None,
        Scaling::MinMax { min, max } => {
            let of = |(minimum, maximum): (&f64, &f64)| json!({"type": "min-max", "minimum": minimum, "maximum": maximum});
            Some(min.iter().zip(max).map(of).collect())
        }
        Scaling::Stats { means, stds } | Scaling::WideStats { means, stds } => {
            let of =
                |(mean, stddev): (&f64, &f64)| json!({"type": "z-score", "mean": mean, "stddev": stddev});
            Some(means.iter().zip(stds).map(of).collect())
        }
    }
}

fn scaling_in_words(scaling: &Scaling) -> &'static str {
    match scaling {
        Scaling::Cast => {
            "Unsigned whole numbers over the largest value of their type, signed ones over theirs, fractions as \
             they are. Missing pixels are 0."
        }
        Scaling::MinMax { .. } => {
            "Each band from its minimum to its maximum, cut off at 0 and 1. Missing pixels are 0."
        }
        Scaling::Stats { .. } => {
            "Distances of each band from its mean in standard deviations, cut off at -3 and 3, on 256 levels from 0 to \
             1, rounded down; zeros stay 0. Missing pixels are 0."
        }
        Scaling::WideStats { .. } => {
            "8-bit values over 255; of all others, distances of each band from its mean in standard deviations, cut off at -3 \
             and 3, on 256 levels from 0 to 1, rounded down, where zeros stay 0. Missing pixels are 0."
        }
        Scaling::None => "As they are. Missing pixels are 0.",
    }
}
