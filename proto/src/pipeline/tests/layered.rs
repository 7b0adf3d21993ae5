//! A file with a profile, arguments, variants, overrides and variables over it.

use super::RIGHT;
use crate::pipeline::{
    layers::{Layers, Named, Whole},
    *,
};

fn layered(set: &[&str], env: &[(&str, &str)], profile: &str) -> Result<Whole, BadPipeline> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    let env: Vec<_> = env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let text = format!("{RIGHT}[predict]\nbatch = 3\n");
    let profile = Some(Named { name: "profile.toml", text: profile });
    Layers { profile, set: &set, env: &env, ..Layers::of_file("p.toml", &text) }.read()
}

#[test]
fn flag_environment_set_file_profile_default_is_the_order() {
    let batch = |set: &[&str], env: &[(&str, &str)], profile: &str| {
        layered(set, env, profile).unwrap().pipeline.predict.batch
    };
    let profile = "root = \"there\"\n[predict]\nbatch = 2\nscores = true";
    assert_eq!(batch(&[], &[], profile), Some(3));
    assert_eq!(batch(&["predict.batch=4"], &[], profile), Some(4));
    assert_eq!(
        batch(&["predict.batch=4"], &[("SWATH__PREDICT__BATCH", "5"), ("SWATH_ROOT", "x")], profile),
        Some(5)
    );
    let whole = layered(&["predict.batch=4"], &[("SWATH__PREDICT__BATCH", "5")], profile).unwrap();
    assert!(whole.pipeline.predict.scores, "the profile's word");
    assert_eq!(whole.notes, ["SWATH__PREDICT__BATCH=5 wins over --set predict.batch=4"]);
    assert_eq!(Pipeline::parse(&whole.text).unwrap(), whole.pipeline, "what is kept is the whole");
    let flag = ("--stages survey".to_owned(), "stages", toml::Value::Array(vec!["survey".into()]));
    let set = ["stages=[\"survey\", \"predict\"]".to_owned()];
    let layers = Layers { set: &set, flags: vec![flag], ..Layers::of_file("p.toml", RIGHT) };
    assert_eq!(layers.read().unwrap().pipeline.stages, [Stage::Survey]);
}

/// A file that is to be told more before it is a pipeline.
const OPEN: &str = r##"name = "{city}"

[arguments]
city = { about = "What it is called" }
folder_uri = { default = "data/{city}/" }
batch = { default = 3 }
test = { sets = "run.test" }
root_uri = { sets = "root" }

[[scenes]]
images = "{folder_uri}{id}/*.tif"
labels = "{folder_uri}{id}.geojson"

[[classes]]
name = "background"
color = "#202020"
null = true

[[classes]]
name = "building"
color = "#ff8800"

[model]
architecture = "tiny"
seed = 7

[predict]
batch = "{batch}"

[test.with]
predict.core_px = 512

[variants.better]
predict = { scores = true, batch = 9 }

[variants.small]
predict.block_px = 64
"##;

fn opened(given: &[(&str, &str)], variant: Option<&str>, set: &[&str]) -> Result<Whole, BadPipeline> {
    let arguments: Vec<[String; 2]> =
        given.iter().map(|(name, value)| [*name, *value].map(String::from)).collect();
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Layers { arguments: &arguments, variant, set: &set, ..Layers::of_file("p.toml", OPEN) }.read()
}

#[test]
fn arguments_stand_in_texts_are_numbers_where_they_are_alone_and_set_keys() {
    let whole = opened(&[("city", "acc"), ("batch", "5"), ("root_uri", "s3://b/{city}")], None, &[]).unwrap();
    assert_eq!(whole.root.as_deref(), Some("s3://b/acc"));
    assert_eq!((whole.pipeline.name.as_str(), whole.pipeline.predict.batch), ("acc", Some(5)));
    assert_eq!(whole.pipeline.scenes[0].images.as_deref(), Some("data/acc/{id}/*.tif"));
    assert!(!whole.pipeline.run.test && whole.pipeline.predict.core_px == 256);
    assert_eq!(
        Pipeline::parse(&whole.text).unwrap(),
        whole.pipeline,
        "what is kept needs no argument any more"
    );
    for truth in ["True", "true"] {
        let whole =
            opened(&[("city", "acc"), ("folder_uri", "s3://x/"), ("test", truth)], None, &[]).unwrap();
        assert_eq!(whole.pipeline.scenes[0].labels.as_deref(), Some("s3://x/{id}.geojson"));
        assert!(
            whole.pipeline.run.test && whole.pipeline.predict.core_px == 512,
            "a trial has keys of its own"
        );
        assert_eq!(Pipeline::parse(&whole.text).unwrap(), whole.pipeline);
    }
    let digits =
        opened(&[("city", "0412")], None, &["predict.core_px=1024", "run.test=true"]).unwrap().pipeline;
    assert_eq!((digits.name.as_str(), digits.predict.core_px), ("0412", 1024), "--set has the last word");
}

#[test]
fn a_variant_is_a_run_of_its_own_name_with_keys_of_its_own() {
    assert_eq!(Layers::of_file("p.toml", OPEN).variants(), ["better", "small"]);
    let better = opened(&[("city", "acc")], Some("better"), &[]).unwrap();
    assert_eq!((better.pipeline.name.as_str(), better.pipeline.predict.batch), ("acc-better", Some(9)));
    assert!(better.pipeline.predict.scores);
    assert_eq!(Pipeline::parse(&better.text).unwrap(), better.pipeline);
    let bad = opened(&[("city", "acc")], Some("beter"), &[]).unwrap_err().to_string();
    assert!(bad.ends_with(": variants: none is called beter; did you mean better?"), "{bad}");
}

#[test]
fn an_argument_that_is_missing_or_unknown_is_told() {
    let told = |given: &[(&str, &str)], set: &[&str]| opened(given, None, set).unwrap_err().to_string();
    assert_eq!(
        told(&[], &[]),
        "p.toml:4:1: arguments.city: has no value (What it is called): give -a city VALUE"
    );
    assert_eq!(
        told(&[("city", "a"), ("cty", "b")], &[]),
        "-a cty b: the file has no argument cty; did you mean city?"
    );
    assert_eq!(
        told(&[("city", "a"), ("batch", "many")], &[]),
        "-a batch many: must be a whole number, and is a string"
    );
    assert_eq!(
        told(&[("city", "a")], &["arguments.city.default=x"]),
        "--set arguments.city.default=x: is for the file alone to say; -a NAME VALUE gives an argument"
    );
}

#[test]
fn an_override_is_toml_or_a_bare_word_and_reaches_into_lists() {
    let set = [
        "scenes.0.image=other.tif",
        "scenes[0].id=0412",
        "scenes.1.image=c.tif",
        "model.architecture=unet-resnet18",
        "train.class_weights={building=2}",
        "data.bands=[3,2,1]",
        "data.nodata=nan",
        "data.scale=none",
        "name=2024",
    ];
    let pipeline = layered(&set, &[], "").unwrap().pipeline;
    assert_eq!(pipeline.scenes[0].image, Some(OneOrMany::One("other.tif".into())));
    assert_eq!(pipeline.scenes[0].id.as_deref(), Some("0412"));
    assert_eq!(pipeline.scenes.len(), 2);
    assert_eq!(pipeline.data.bands, Some(vec![3, 2, 1]));
    assert_eq!(pipeline.name, "2024");
}

#[test]
fn a_problem_of_an_override_names_the_override() {
    let set = [
        "predict.core_px=100",
        "predict.batch",
        "predict.bach=3",
        "scenes.5.image=x",
        "scenes.image=x",
        "name.x=1",
        "model={}",
        "stages=[survey]",
        "train.optimizer=lion",
        "=3",
    ];
    let env = [("SWATH__RUN__MAX_FAILURES", "0"), ("SWATH__X", "x")];
    let bad = layered(&set, &env, "[predict]\nbatch = 1000\nbtch = 1").unwrap_err().to_string();
    let wanted = [
        "profile.toml:3:1: predict.btch: no such key; did you mean batch?",
        "--set predict.core_px=100: must be a multiple of block_px (256); 256 is the nearest",
        "--set predict.batch: write it as KEY=VALUE, predict.batch=4 for instance",
        "--set predict.bach=3: no such key; did you mean batch?",
        "--set scenes.5.image=x: scenes has 1 so far, counted from 0: 1 would add one",
        "--set scenes.image=x: scenes is a list: say which of its entries, scenes.0.image for instance",
        "--set name.x=1: name is no section, so that nothing lies in it",
        "--set model={}: model.architecture: is missing (which network)",
        "--set stages=[survey]: the value is not valid TOML: string values must be quoted, expected literal string",
        "--set train.optimizer=lion: must be \"adam\", \"adamw\" or \"sgd\"",
        "--set =3: the key must be names separated by dots, predict.batch for instance",
        "SWATH__RUN__MAX_FAILURES=0: must be 1 to 100; 1 is the nearest",
        "SWATH__X=x: no such key; there are access, arguments, bundle, chips, classes, data, labels, model, name, predict, \
         run, scenes, stages, steps, test, train, variants, vectorize",
    ];
    for wanted in wanted {
        assert!(bad.lines().any(|line| line == wanted), "{wanted}\n--- told:\n{bad}");
    }
    assert_eq!(bad.lines().count(), wanted.len(), "{bad}");
}

#[test]
fn a_profile_has_doors_and_keys_of_pipelines() {
    let read = |text| layers::ProfileDoors::read(Named { name: "profile.toml", text });
    let doors = "root = \"s3://b/p\"\nledger = \"redis://h\"\n[predict]\nbatch = 2\n[fleet]\nworkers_max = 2";
    let doors = read(doors).unwrap();
    assert_eq!((doors.root.as_deref(), doors.queue), (Some("s3://b/p"), None));
    let bad = read("rot = \"x\"\nqueue = 3").unwrap_err().to_string();
    assert_eq!(
        bad,
        "profile.toml:1:1: rot: no such key; did you mean root?\nprofile.toml:2:9: queue: must be a string"
    );
}
