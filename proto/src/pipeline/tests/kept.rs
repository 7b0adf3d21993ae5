//! What lies in the repository: examples, the schema and its page; and what such files become when they are broken.

use super::{RIGHT, told};
use crate::pipeline::{layers::Layers, *};

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
        "trainer/pipeline.toml",
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
