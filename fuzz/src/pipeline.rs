//! The pipeline file, and what else has a say in it.

use swath_proto::pipeline::{
    BadPipeline, Pipeline,
    layers::{Layers, Named, ProfileDoors},
};

use crate::{Target, files, repository};

pub(crate) const PIPELINE: Target =
    Target { name: "pipeline", run: pipeline, samples: examples, tokens: TOML };
pub(crate) const LAYERS: Target = Target { name: "layers", run: layers, samples: changes, tokens: TOML };

const TOML: &[&[u8]] = &[
    b"[[",
    b"]]",
    b"'''",
    b"\"\"\"",
    b"nan",
    b"-inf",
    b"1e999",
    b"0x",
    b"9223372036854775807",
    b"-1",
    b"4294967296",
    b"true",
    b"1979-05-27",
    b"\xef\xbb\xbf",
    b"\n[",
    b" = ",
    b"= [",
    b"= {",
    b"min_max",
    b"statistics",
    b"nodata",
    b"use_mask",
    b"reclass",
    b"random",
    b"sliding",
    b"class_weights",
    b"schedule",
    b"optimizer",
    b"augment",
    b"backbone",
    b"steps",
    b"command",
    b"geoparquet",
    b"torchscript",
    b"[arguments]",
    b"[variants.a]",
    b"sets",
    b"default",
    b"with",
];

fn examples() -> Vec<Vec<u8>> {
    let folders = ["", "potsdam", "building-detection", "open-cities", "trainer"];
    let examples = folders.iter().flat_map(|folder| files(&repository().join("examples").join(folder)));
    examples.filter(|text| text.starts_with(b"#:schema")).collect()
}

fn pipeline(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let whole = match Layers::of_file("pipeline", text).read() {
        Ok(whole) => whole,
        Err(bad) => return told(&bad),
    };
    assert_eq!(Pipeline::parse(&whole.text).ok().as_ref(), Some(&whole.pipeline));
    // What goes under the root where something was changed must be the same pipeline.
    let set = ["name=changed".to_owned()];
    let changed = Layers { set: &set, ..Layers::of_file("pipeline", text) }.read();
    let changed = changed.unwrap_or_else(|bad| panic!("another name breaks it: {bad}"));
    let again = Pipeline::parse(&changed.text).unwrap_or_else(|bad| panic!("{}: {bad}", changed.text));
    assert_eq!(again, changed.pipeline);
}

/// A line each: `--set`, a variable of the environment, and the rest is a profile.
fn changes() -> Vec<Vec<u8>> {
    [
        "predict.batch=4\nPREDICT__CORE_PX=512\nroot = \"s3://b/p\"\n[predict]\nbatch = 2\n",
        "scenes.0.image=\"b.tif\"\nCLASSES__0__NAME=ground\nqueue = \"amqp://h\"\nledger = \"redis://h\"\n",
        "scenes=[{image='a.tif'}]\nMODEL={architecture='tiny'}\nstages = [\"predict\"]\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn layers(bytes: &[u8]) {
    const RIGHT: &str = "name = \"right\"\nscenes = [{ image = \"a.tif\" }]\n\
        classes = [{ name = \"a\", color = \"#000000\", null = true }, { name = \"b\", color = \"#ffffff\" }]\n\
        [model]\narchitecture = \"tiny\"\n";
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(3, '\n');
    let (set, variable, profile) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
    let set: Vec<String> = [set].into_iter().filter(|set| !set.is_empty()).map(str::to_owned).collect();
    let env: Vec<(String, String)> = variable
        .split_once('=')
        .map(|(name, value)| (format!("SWATH__{name}"), value.to_owned()))
        .into_iter()
        .collect();
    let profile = profile.map(|text| Named { name: "profile.toml", text });
    if let Some(Err(bad)) = profile.map(ProfileDoors::read) {
        told(&bad);
    }
    let layers = Layers { profile, set: &set, env: &env, ..Layers::of_file("p.toml", RIGHT) };
    match layers.read() {
        Ok(whole) => {
            let again = Pipeline::parse(&whole.text).unwrap_or_else(|bad| panic!("{}: {bad}", whole.text));
            assert_eq!(again, whole.pipeline);
        }
        Err(bad) => told(&bad),
    }
}

fn told(bad: &BadPipeline) {
    assert!(!bad.problems.is_empty());
    assert_eq!(bad.to_string().lines().count(), bad.problems.len(), "one line each: {bad}");
}
