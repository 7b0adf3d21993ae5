//! What a person is told. The words of the messages are the point.

use super::{
    layers::{Layers, Named, Whole},
    *,
};
use crate::item::{Architecture, DeviceName, EngineName};

const RIGHT: &str = r##"name = "right"

[[scenes]]
image = "a.tif"
labels = "a.geojson"

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
"##;

fn told(text: &str) -> Vec<String> {
    match Layers::of_file("p.toml", text).read() {
        Ok(_) => Vec::new(),
        Err(bad) => bad.problems.iter().map(Problem::to_string).collect(),
    }
}

/// The right file, and a wrong line after it.
fn with(more: &str) -> Vec<String> {
    told(&format!("{RIGHT}{more}\n"))
}

#[test]
fn what_is_right_is_read() {
    assert_eq!(told(RIGHT), [""; 0]);
    assert_eq!(Pipeline::parse(RIGHT).unwrap().predict, PredictEntry::default());
}

/// A wrong piece of a file, and all that is told of it. `UPDATE_TOLD=1` writes what is told now; read
/// it as a person would before you keep it.
#[test]
fn each_problem_is_told_with_its_place_and_the_nearest_right_one() {
    let samples = include_str!("told.txt");
    let mut now = String::new();
    for sample in samples.split("\n\n").filter(|sample| !sample.trim().is_empty()) {
        let wrong: Vec<&str> = sample.lines().filter_map(|line| line.strip_prefix("| ")).collect();
        now += &wrong.iter().map(|line| format!("| {line}\n")).collect::<String>();
        let told = with(&wrong.join("\n"));
        assert!(!told.is_empty(), "{sample}");
        now += &told.iter().map(|line| format!("{line}\n")).collect::<String>();
        now += "\n";
    }
    if std::env::var_os("UPDATE_TOLD").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pipeline/told.txt"), &now).unwrap();
    } else {
        assert_eq!(now, samples);
    }
}

#[test]
fn engines_and_devices_are_called_what_files_spell() {
    let spelt = |name: serde_json::Result<serde_json::Value>| name.unwrap().as_str().unwrap().to_owned();
    for engine in [EngineName::Libtorch, EngineName::Openvino] {
        assert_eq!(spelt(serde_json::to_value(engine)), engine.name());
    }
    for device in [DeviceName::Cpu, DeviceName::Cuda] {
        assert_eq!(spelt(serde_json::to_value(device)), device.name());
    }
}

#[test]
fn a_seed_of_which_training_would_make_nothing_is_told() {
    let right =
        RIGHT.replace("[[classes]]\nname = \"back", "group = \"train\"\n\n[[classes]]\nname = \"back");
    let trains = format!("stages = [\"survey\", \"chip\", \"train\"]\n{right}");
    let [why] = &told(&trains)[..] else { panic!("one problem: {:?}", told(&trains)) };
    assert!(why.contains("model.seed = 7: training draws its weights from train.seed"), "{why}");
    assert_eq!(told(&trains.replace("seed = 7", "")), [""; 0]);
}

#[test]
fn weights_may_be_bundles_of_which_several_are_averaged() {
    let of = |weights: &str, more: &str| {
        let model = format!("architecture = \"tiny\"\nweights = {weights}");
        told(&format!("{}{more}", RIGHT.replace("architecture = \"tiny\"\nseed = 7", &model)))
    };
    for right in [r#""a.zip""#, r#"["a.zip"]"#, r#"["a.zip", "s3://b/c.zip"]"#, r#"["a.safetensors"]"#] {
        assert_eq!(of(right, ""), [""; 0], "{right}");
    }
    assert_eq!(of(r#""a.zip""#, "[predict]\nprecision = \"int8\""), [""; 0]);
    for (weights, more, wanted) in [
        ("[]", "", "names no file"),
        (r#""a.tif""#, "", "ends in .safetensors or .pth or .pt, or a bundle (.zip)"),
        (r#"["a.zip", "b.pth"]"#, "", "only if each is a bundle"),
        (r#"["a.pth", "b.pth"]"#, "", "only if each is a bundle"),
        (r#"["a.zip", "b.zip"]"#, "[data]\nnodata = 0", "data: the bundle says how pixels are read"),
        (r#""a.pth""#, "[predict]\nprecision = \"int8\"", "or weights of a bundle in which it was"),
    ] {
        let [why] = &of(weights, more)[..] else { panic!("one problem: {:?}", of(weights, more)) };
        assert!(why.contains(wanted), "{why}");
    }
    let many = vec!["\"a.zip\""; 17].join(", ");
    assert!(of(&format!("[{many}]"), "")[0].contains("at most 16 bundles"));
}

#[test]
fn files_that_say_themselves_what_they_compute_are_told_what_can_run_them() {
    let of = |architecture: &str, more: &str| {
        let weights = if architecture == "onnx" { "m.onnx" } else { "m.pt" };
        let model = format!("architecture = \"{architecture}\"\nweights = \"{weights}\"");
        told(&format!("{}{more}", RIGHT.replace("architecture = \"tiny\"\nseed = 7", &model)))
    };
    assert_eq!(of("onnx", ""), [""; 0]);
    assert_eq!(of("onnx", "[predict]\nengine = \"openvino\""), [""; 0]);
    let [why] = &of("onnx", "[predict]\nengine = \"libtorch\"")[..] else { panic!("one problem") };
    assert!(why.contains("predict.engine = \"libtorch\": libtorch runs no ONNX models"), "{why}");
    let [why] = &of("torchscript", "[predict]\nengine = \"openvino\"")[..] else { panic!("one problem") };
    assert!(why.contains("export the module to ONNX"), "{why}");
    for architecture in ["onnx", "torchscript"] {
        let [why] = &of(architecture, "[predict]\ndevice = \"cuda\"")[..] else { panic!("one problem") };
        assert!(
            why.contains("predict.device = \"cuda\": only networks whose layers are known here"),
            "{why}"
        );
    }
}

#[test]
fn cards_compute_in_32_and_in_both_kinds_of_16_bits_by_libtorch() {
    for precision in ["fp32", "bf16", "fp16"] {
        let more = format!("[predict]\ndevice = \"cuda\"\nprecision = \"{precision}\"");
        assert_eq!(with(&more), [""; 0], "{precision}");
        let predict = Pipeline::parse(&format!("{RIGHT}{more}\n")).unwrap().predict;
        assert_eq!(predict.engine(Architecture::Tiny), EngineName::Libtorch);
    }
    assert_eq!(PredictEntry::default().engine(Architecture::Tiny), EngineName::Openvino);
}

#[test]
fn what_is_missing_is_told_without_what_follows_from_it() {
    assert_eq!(
        told("name = \"x\"\nmodle = 3"),
        [
            "p.toml:1:1: scenes: is missing (the images, and their labels)",
            "p.toml:1:1: classes: is missing (what a pixel can be)",
            "p.toml:2:1: modle: no such key; did you mean model?",
        ]
    );
    assert_eq!(
        told("name = 3\nscenes = []\nclasses = []\nmodel = {}"),
        [
            "p.toml:1:8: name = 3: must be a string, and is a whole number",
            "p.toml:2:10: scenes = []: must have at least 1 entry, and has 0",
            "p.toml:3:11: classes = []: must have 2 to 255 entries, and has 0",
            "p.toml:4:9: model.architecture: is missing (which network)",
        ]
    );
}

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

fn repository(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_examples_are_right_by_our_own_reading_and_by_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for example in [
        "quickstart.toml",
        "predict.toml",
        "buildings.toml",
        "potsdam/pipeline.toml",
        "building-detection/pipeline.toml",
        "building-detection/labels.toml",
        "open-cities/pipeline.toml",
    ] {
        let example = format!("examples/{example}");
        let example = example.as_str();
        let text = repository(example);
        assert_eq!(told(&text), [""; 0], "{example}");
        let json = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
        let problems: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert_eq!(problems, [""; 0], "{example}");
    }
    let wrong = serde_json::json!({ "name": "x", "scenes": [], "classes": [], "model": {}, "bogus": 1 });
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn a_whole_pipeline_fits_its_schema_and_every_key_is_described() {
    let json =
        serde_json::to_value(Pipeline::parse(&repository("examples/buildings.toml")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
    assert_eq!(problems, [""; 0]);
    let (schema, page) = (schema(), repository("docs/pipeline.md"));
    let definitions = schema["$defs"].as_object().unwrap().iter();
    for (name, inner) in definitions.chain([(&"Pipeline".to_owned(), &schema)]) {
        for key in shape::keys(inner) {
            assert!(page.contains(&format!("| `{key}` |")), "docs/pipeline.md does not know {name}.{key}");
        }
        let is_closed = inner.get("properties").is_none() || inner["additionalProperties"] == false;
        assert!(is_closed, "{name} takes unknown keys");
    }
}

#[test]
fn the_schema_in_the_repository_is_the_schema() {
    if std::env::var_os("UPDATE_TOLD").is_some() {
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pipeline.schema.json"), text).unwrap();
    }
    let kept: serde_json::Value = serde_json::from_str(&repository("docs/pipeline.schema.json")).unwrap();
    assert!(kept == schema(), "run: swath schema > docs/pipeline.schema.json");
}

/// The seeds of fuzzing: real files, cut, doubled, overwritten, with tokens of TOML strewn in.
#[test]
fn no_text_makes_the_reader_panic() {
    let seeds =
        [RIGHT.to_owned(), repository("examples/quickstart.toml"), repository("examples/buildings.toml")];
    let tokens = "[ ] [[ ]] { } = . , \" ''' nan -inf 1e999 0x 9999999999999999999 -1 4294967296 true 1979-05-27 \
                  \u{0} \u{feff} \u{1f980} \n[[scenes]]\n \n[predict]\n image=[] a.b.c=1 {nam \n[predict.core_px]\n";
    let tokens: Vec<&str> = tokens.split(' ').collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for round in 0..2000 {
        let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..=draw(4) {
            let (at, n) = (draw(text.len()), draw(40));
            let end = (at + n).min(text.len());
            match draw(4) {
                0 => drop(text.drain(at..end)),
                1 => {
                    let piece: Vec<char> = text[at..end].to_vec();
                    let to = draw(text.len());
                    text.splice(to..to, piece);
                }
                2 => drop(text.splice(at..at, tokens[draw(tokens.len())].chars())),
                _ => drop(text.splice(at..end.min(at + 1), tokens[draw(tokens.len())].chars())),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(bad) = Pipeline::parse(&text) {
            assert!(!bad.problems.is_empty(), "{text}");
            assert_eq!(bad.to_string().lines().count(), bad.problems.len(), "one line each: {bad}");
        }
        let change = [text.chars().take(60).collect::<String>()];
        let _ = Layers { set: &change, ..Layers::of_file("p.toml", RIGHT) }.read();
    }
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow() {
    for text in ["x = [", "x = {a = ", "[a."] {
        assert!(!told(&text.replace('[', &"[".repeat(20_000))).is_empty());
        assert!(!told(&text.repeat(20_000)).is_empty());
    }
    assert!(!told(&format!("x{} = 1", ".a".repeat(20_000))).is_empty());
}
