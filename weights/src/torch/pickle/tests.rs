//! Pickles written by hand, instruction by instruction.

use super::{Value, unpickle};
use crate::{
    error::{Problem, Result},
    torch::state_dict::state_dict,
};

const STORAGE: &[u8] = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000NK\x06tQ";

/// What is wrong with a pickle, or `""`.
fn problem(parts: &[&[u8]]) -> String {
    unpickle(&parts.concat()).map_or_else(|problem| problem.to_string(), |_| String::new())
}

/// `_rebuild_tensor_v2` with offset, size and stride as they are given.
fn tensor(view: &[u8]) -> Vec<u8> {
    [b"ctorch._utils\n_rebuild_tensor_v2\n(", STORAGE, view, b"\x89NtR"].concat()
}

/// Instructions `n` times, between others.
fn flood(before: &[u8], again: &[u8], n: usize) -> Vec<u8> {
    [before, &again.repeat(n), b"."].concat()
}

#[test]
fn numbers_of_every_width_are_read() {
    for (instructions, wanted) in [
        (&b"J\xfe\xff\xff\xff."[..], Some(-2)),
        (b"K\xff.", Some(255)),
        (b"M\x01\x02.", Some(513)),
        (b"\x8a\x00.", Some(0)),
        (b"\x8a\x02\xff\x00.", Some(255)),
        (b"\x8a\x01\xff.", Some(-1)),
        (b"\x8b\x04\0\0\0\0\0\0\x80.", Some(-(1 << 31))),
        (b"\x8a\x09\0\0\0\0\0\0\0\0\x01.", None),
    ] {
        let found = match unpickle(instructions).unwrap().root {
            Value::Int(n) => Some(n),
            _ => None,
        };
        assert_eq!(found, wanted, "{instructions:?}");
    }
}

#[test]
fn a_pickle_ends_at_its_stop_and_not_before() {
    assert_eq!(unpickle(b"\x80\x02N.rest").unwrap().len, 4);
    for cut in
        [&b""[..], b"\x80", b"K", b"X\x05\0\0\0abc", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", b"cos", b"N"]
    {
        assert!(problem(&[cut]).contains("ends too early") || cut == b"cos", "{cut:?}");
        assert_ne!(problem(&[cut]), "", "{cut:?}");
    }
}

#[test]
fn nonsense_is_refused() {
    for nonsense in [
        &b"."[..],
        b"\x80\x00N.",
        b"\x80\x06N.",
        b"t.",
        b"u.",
        b"N(a.",
        b"](NQ.",
        b"K\x01K\x02\x87.",
        b"(N\x86.",
        b"h\x05.",
        b"q\x05.",
        b"}Na.",
        b"]NNs.",
        b"}(Nu.",
        b"Na.",
        b"NNb.",
        b"]Nb.",
        b"NNR.",
        b"ctorch\nSize\nNR.",
        b"ctorch\nSize\n)R.",
        b"ccollections\nOrderedDict\nK\x01\x85R.",
        b"ccollections\nOrderedDict\n]K\x01a\x85R.",
        b"ctorch\nFloatStorage\n)R.",
        b"NQ.",
        b"X\x07\0\0\0storage\x85Q.",
        b"NN\x93.",
        b"0.",
        b"2.",
        b"P0\n.",
        b"I1\n.",
        b"i",
        b"o",
        b"\x81.",
        b"\x82\x01.",
    ] {
        assert_ne!(problem(&[nonsense]), "", "{nonsense:?}");
    }
}

#[test]
fn functions_are_refused_when_they_are_named_not_when_they_are_called() {
    for naming in [&b"cos\nsystem\n0"[..], b"\x8c\x02os\x8c\x06system\x93."] {
        assert!(problem(&[naming]).contains("this file wants to run 'os.system': refused"), "{naming:?}");
    }
    let long = [&b"c"[..], &b"a".repeat(10_000), b"\n\x1b[2J\n."];
    let shown = problem(&long);
    assert!(shown.len() < 400 && !shown.contains('\x1b'), "{shown}");
}

#[test]
fn tensors_are_held_against_their_storage() {
    let view = |view: &[u8]| problem(&[&tensor(view), b"."]);
    assert_eq!(view(b"K\x00K\x02K\x03\x86K\x03K\x01\x86"), "");
    assert_eq!(view(b"K\x05K\x01\x85K\x01\x85"), "");
    for outside in [
        &b"K\x01K\x02K\x03\x86K\x03K\x01\x86"[..],
        b"K\x00K\x07\x85K\x01\x85",
        b"K\x00K\x02\x85K\x06\x85",
        b"K\x06))",
        b"J\xff\xff\xff\xffK\x01\x85K\x01\x85",
        b"K\x00J\xff\xff\xff\xff\x85K\x01\x85",
        b"K\x00K\x02\x85J\xff\xff\xff\xff\x85",
        b"K\x00K\x02\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85",
        b"K\x00\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x86K\x00K\x00\x86",
        b"K\x00K\x02\x85)",
        b"NK\x01\x85K\x01\x85",
        b"K\x00]K\x01a]K\x01a",
    ] {
        assert_ne!(view(outside), "", "{outside:?}");
    }
    let other = [STORAGE.strip_suffix(b"\x06tQ").unwrap(), b"\x07tQ\x86."].concat();
    assert!(
        problem(&[STORAGE, &other]).contains("storage '0' has 6 float32 elements and 7 float32 elements")
    );
}

#[test]
fn floods_end_at_a_limit() {
    for flood in [
        flood(b"", b")", 1 << 17),
        flood(b"", b"(", 1 << 17),
        flood(b"N", b"\x94", 1 << 21),
        flood(b"]", b"]a", 3 << 20),
        flood(b"N", b"\x85", 5 << 20),
        flood(&[&tensor(b"K\x00))"), &b"q\x01"[..]].concat(), &tensor(b"K\x00))"), 1 << 17),
    ] {
        assert!(matches!(unpickle(&flood), Err(Problem::TooMuch { .. })));
    }
}

fn names(pickle: &[u8]) -> Result<Vec<String>> {
    let unpickled = unpickle(pickle)?;
    Ok(state_dict(&unpickled.heap, unpickled.root)?.into_keys().collect())
}

fn key(name: &str) -> Vec<u8> {
    [b"X", (name.len() as u32).to_le_bytes().as_slice(), name.as_bytes()].concat()
}

/// A dict of values under names.
fn dict(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|(name, value)| [&key(name), *value].concat()).collect();
    [b"}(", entries.as_slice(), b"u"].concat()
}

#[test]
fn the_state_dict_of_a_checkpoint_is_found() {
    let scalar = tensor(b"K\x00))");
    let weights = dict(&[("weight", &scalar)]);
    let wrapped = dict(&[("module._orig_mod.a", &scalar), ("module._orig_mod.b", &scalar)]);
    for (entries, wanted) in [
        (vec![("weight", &scalar), ("epoch", &b"K\x01".to_vec())], vec!["weight"]),
        (vec![("model", &weights), ("acc", &scalar)], vec!["weight"]),
        (vec![("model", &dict(&[("depth", b"K\x01")])), ("network", &weights)], vec!["weight"]),
        (vec![("model", &dict(&[("state_dict", &wrapped)]))], vec!["a", "b"]),
        (vec![("encoder", &weights), ("optimizer", &weights)], vec!["encoder.weight"]),
        (vec![("model", &scalar), ("head", &weights)], vec!["head.weight", "model"]),
        (vec![("module.a", &scalar), ("b", &scalar)], vec!["b", "module.a"]),
    ] {
        let entries: Vec<_> = entries.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        assert_eq!(names(&[dict(&entries), b".".to_vec()].concat()).unwrap(), wanted, "{entries:?}");
    }
    let twice = dict(&[("a.weight", &scalar), ("a", &weights)]);
    let twice = names(&[twice, b".".to_vec()].concat()).unwrap_err().to_string();
    assert!(twice.contains("two tensors named 'a.weight'"), "{twice}");
    assert!(matches!(names(b"]."), Err(Problem::NoTensors)));
}

#[test]
fn dicts_that_hold_themselves_or_each_other_many_times_come_to_an_end() {
    let itself = [b"}q\x00", key("model").as_slice(), b"h\x00s", &key("a"), b"h\x00s."].concat();
    assert!(matches!(names(&itself), Err(Problem::TooMuch { .. })));
    // Fifteen dicts, each holding the one before under forty names.
    let mut doubling = [b"}".as_slice(), &key("w"), &tensor(b"K\x00))"), b"sq\x00"].concat();
    for _ in 0..15 {
        let again = (0..40).flat_map(|n| [key(&n.to_string()).as_slice(), b"h\x00"].concat());
        doubling.extend([b"}(".to_vec(), again.collect(), b"uq\x00".to_vec()].concat());
    }
    doubling.push(b'.');
    assert!(matches!(names(&doubling), Err(Problem::TooMuch { .. })));
    let long = [dict(&[(&"n".repeat(2000), &tensor(b"K\x00))"))]), b".".to_vec()].concat();
    assert!(matches!(names(&long), Err(Problem::TooMuch { .. })));
}
