//! What a person is told. The words of the messages are the point.

mod kept;
mod layered;

use super::{layers::Layers, *};
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
}

#[test]
fn processors_compute_a_network_by_what_is_fastest_in_its_numbers() {
    let of =
        |architecture, precision| PredictEntry { precision, ..PredictEntry::default() }.engine(architecture);
    let unet = |precision| of(Architecture::UnetResnet18, precision);
    assert_eq!([unet(None), unet(Some(PrecisionWord::Fp32))], [EngineName::Libtorch; 2]);
    assert_eq!(
        [PrecisionWord::Int8, PrecisionWord::Bf16].map(|word| unet(Some(word))),
        [EngineName::Openvino; 2]
    );
    assert_eq!(of(Architecture::Deeplabv3plusResnet18, None), EngineName::Openvino);
    assert_eq!(of(Architecture::Tiny, None), EngineName::Openvino);
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

#[test]
fn deep_nesting_is_refused_and_does_not_overflow() {
    for text in ["x = [", "x = {a = ", "[a."] {
        assert!(!told(&text.replace('[', &"[".repeat(20_000))).is_empty());
        assert!(!told(&text.repeat(20_000)).is_empty());
    }
    assert!(!told(&format!("x{} = 1", ".a".repeat(20_000))).is_empty());
}
