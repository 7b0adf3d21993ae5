//! Files that PyTorch wrote, held against what PyTorch reads from them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;
use swath_weights::{Problem, TensorFile, open};

fn sample(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", name].iter().collect()
}

fn expected() -> serde_json::Map<String, Value> {
    serde_json::from_slice(&std::fs::read(sample("expected.json")).unwrap()).unwrap()
}

fn assert_holds(file: &TensorFile, wanted: &Value, what: &str) {
    let wanted = wanted.as_object().unwrap();
    let names: Vec<_> = file.names().collect();
    let mut wanted_names: Vec<_> = wanted.keys().map(String::as_str).collect();
    wanted_names.sort_unstable();
    assert_eq!(names, wanted_names, "{what}");
    for (name, wanted) in wanted {
        let info = file.info(name).unwrap();
        let shape: Vec<u64> = serde_json::from_value(wanted["shape"].clone()).unwrap();
        assert_eq!(
            (info.dtype.to_string().as_str(), &info.shape),
            (wanted["dtype"].as_str().unwrap(), &shape)
        );
        let values: Vec<f64> = serde_json::from_value(wanted["values"].clone()).unwrap();
        let found: Vec<_> = file.f32(name).unwrap().into_iter().map(f64::from).collect();
        assert_eq!(found, values, "{what}: {name}");
        assert_eq!(file.raw(name).unwrap().len() as u64, info.n_bytes().unwrap(), "{what}: {name}");
    }
}

fn refused(name: &str) -> String {
    open(sample(name)).unwrap_err().to_string()
}

#[test]
fn what_pytorch_saved_is_read_as_pytorch_reads_it() {
    let expected = expected();
    assert!(expected.len() > 20);
    for (name, wanted) in &expected {
        let file = open(sample(name)).unwrap();
        assert_holds(&file, wanted, name);
        let in_memory = TensorFile::from_bytes(name, std::fs::read(sample(name)).unwrap()).unwrap();
        assert_holds(&in_memory, wanted, name);
    }
}

#[test]
fn tensors_written_as_safetensors_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = BTreeMap::from(["step", "a", "z"].map(|key| (key.to_owned(), "1".to_owned())));
    for (name, wanted) in expected() {
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        open(sample(&name)).unwrap().write_safetensors(&first, &metadata).unwrap();
        let copy = open(&first).unwrap();
        assert_holds(&copy, &wanted, &name);
        assert_eq!(copy.metadata(), &metadata);
        copy.write_safetensors(&second, &metadata).unwrap();
        assert_eq!(std::fs::read(first).unwrap(), std::fs::read(second).unwrap(), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing temporary is left");
}

#[test]
fn a_file_that_can_not_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let tensors = open(sample("nan.pth")).unwrap();
    tensors.write_safetensors(&path, &BTreeMap::new()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let infos = tensors.names().map(|name| (name.to_owned(), tensors.info(name).unwrap())).collect();
    let short = swath_weights::write_safetensors(&path, &infos, &BTreeMap::new(), |_, into| {
        into.write_all(&[0]).unwrap();
        Ok(())
    });
    assert!(short.unwrap_err().to_string().contains("were announced and 1 written"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = tensors.write_safetensors(folder.path().join("none/there"), &BTreeMap::new());
    assert!(matches!(nowhere.unwrap_err().problem, Problem::Io { .. }));
}

#[test]
fn metadata_of_safetensors_is_read() {
    let file = open(sample("dtypes.safetensors")).unwrap();
    assert_eq!(file.metadata()["by"], "python");
}

#[test]
fn what_wants_to_run_is_named_and_refused() {
    for name in ["hostile.pth", "hostile-old.pth"] {
        let error = refused(name);
        assert!(error.contains("this file wants to run 'posix.system': refused"), "{error}");
    }
    let module = refused("module.pth");
    assert!(module.contains("'torch.nn.modules.container.Sequential': refused"), "{module}");
    assert!(module.contains("module/data.pkl"), "{module}");
    assert!(!std::path::Path::new("/tmp/swath-weights-was-fooled").exists());
}

#[test]
fn what_is_no_state_dict_is_refused_in_words() {
    for (name, words) in [
        ("torchscript.pt", "this is a TorchScript module: use architecture = \"torchscript\""),
        ("big-endian.pth", "'nested/byteorder': written by a big-endian machine"),
        ("complex.pth", "tensors of torch.ComplexFloatStorage are not read"),
        ("deflated.pth", "it is compressed or encrypted"),
        ("none.pth", "no dict of tensors in it"),
        ("tensor.pth", "no dict of tensors in it"),
        ("plain.pkl", "this is a pickle, but not by torch.save"),
        ("expected.json", "this is neither safetensors nor by torch.save"),
        ("absent.pth", "it can't be opened"),
        ("", "this is no file"),
    ] {
        let error = refused(name);
        assert!(error.contains(words), "{name}: {error}");
        assert!(error.contains("testdata"), "{name}: {error}");
    }
    for (bytes, words) in [
        (&b""[..], "the file is empty"),
        (b"<!DOCTYPE html>", "this is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ] {
        let error = TensorFile::from_bytes("fetched.pth", bytes.to_vec()).unwrap_err().to_string();
        assert!(error.starts_with("fetched.pth: ") && error.contains(words), "{error}");
    }
}

#[test]
fn an_old_file_of_a_big_endian_machine_is_refused() {
    let mut bytes = std::fs::read(sample("network-old.pth")).unwrap();
    let key = b"little_endianq";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 1;
    assert_eq!(bytes[at], 0x88);
    bytes[at] = 0x89;
    let error = TensorFile::from_bytes("old", bytes).unwrap_err();
    assert!(matches!(error.problem, Problem::BigEndian), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_reported_with_their_place() {
    let file = open(sample("nan.pth")).unwrap();
    assert_eq!(file.f32("good").unwrap(), [1.0, 1.0]);
    for (name, at, value) in [("nan", 2, "NaN"), ("inf", 0, "-inf"), ("wide", 1, "inf")] {
        let error = file.f32(name).unwrap_err();
        assert!(matches!(error.problem, Problem::NotFinite { index, .. } if index == at), "{error}");
        let words = format!("nan.pth: '{name}': element {at} is {value}");
        assert!(error.to_string().contains(&words), "{error}");
    }
    assert_eq!(file.raw("nan").unwrap().len(), 12);
    assert!(matches!(file.f32("other").unwrap_err().problem, Problem::NoSuchTensor(4)));
}

#[test]
fn a_tensor_that_repeats_its_elements_may_not_outgrow_its_file() {
    let mut bytes = std::fs::read(sample("views-old.pth")).unwrap();
    let shape = b"K\x02K\x05\x86";
    let at = bytes.windows(shape.len()).position(|window| window == shape).unwrap();
    bytes[at + 3] = 20;
    assert_eq!(
        TensorFile::from_bytes("old", bytes.clone()).unwrap().f32("expanded").unwrap()[19..21],
        [7.0, 8.0]
    );
    bytes[at + 3] = 250;
    let error = TensorFile::from_bytes("old", bytes).unwrap_err().to_string();
    assert!(error.contains("old: 'expanded': 2000 bytes of a tensor in a smaller file"), "{error}");
}
