//! Bundles that lie, are cut off or changed: each is refused, with file, member and reason.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod made;

use made::{bundle, members, zip};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use swath_bundle::Bundle;

const MUTATIONS: u64 = 20_000;
/// Within a member's entry of the directory.
const FLAGS: usize = 8;
const METHOD: usize = 10;
const LEN: usize = 24;
const MODE: usize = 40;
const HEADER_AT: usize = 42;
const NAME: usize = 46;

fn refusal(bytes: Vec<u8>) -> String {
    Bundle::from_bytes("here/bundle.zip", bytes).unwrap_err().to_string()
}

fn assert_refused(bytes: Vec<u8>, words: &str) {
    let error = refusal(bytes);
    assert!(error.starts_with("here/bundle.zip: ") && error.contains(words), "{error}");
}

/// Where the directory's entry of a member begins.
fn entry(bytes: &[u8], name: &str) -> usize {
    let is_entry = |at: &usize| {
        bytes[*at..].starts_with(b"PK\x01\x02") && bytes[*at + NAME..].starts_with(name.as_bytes())
    };
    (0..bytes.len() - NAME).find(is_entry).unwrap()
}

/// A bundle whose entry of a member is changed.
fn with_entry(name: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = bundle();
    let at = entry(&bytes, name);
    change(&mut bytes[at..]);
    bytes
}

/// A bundle with some other `bundle.json`.
fn with_document(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut members = members();
    let mut document = serde_json::from_slice(&members[0].1).unwrap();
    change(&mut document);
    members[0].1 = serde_json::to_vec(&document).unwrap();
    zip(&members)
}

#[test]
fn paths_that_climb_are_refused() {
    for name in
        ["../weights.safetensors", "/etc/passwd", "a/../../b", "..\\up", "\\\\host\\share", "C:\\x", "c:x"]
    {
        let mut members = members();
        members.push((name.to_owned(), b"x".to_vec()));
        let shown: String = name.escape_debug().collect();
        assert_refused(zip(&members), &format!("'{shown}': the path climbs out of the bundle"));
    }
    let link = (0o120_777_u16).to_le_bytes();
    let linked = with_entry("eval.json", |entry| entry[MODE..MODE + 2].copy_from_slice(&link));
    assert_refused(linked, "'eval.json': it is a symbolic link");
}

#[test]
fn other_members_than_promised_are_refused() {
    let with = |name: &str| zip(&[members(), vec![(name.to_owned(), b"{}".to_vec())]].concat());
    for name in ["other.txt", "folder/", "Eval.json", "./eval.json", "a\nb"] {
        let shown: String = name.escape_debug().collect();
        assert_refused(with(name), &format!("'{shown}': it does not belong in a bundle"));
    }
    assert_refused(with("eval.json"), "two members of one name, such as 'eval.json'");
    let without = |missing: &str| {
        let rest: Vec<_> = members().into_iter().filter(|(name, _)| name != missing).collect();
        zip(&rest)
    };
    for name in ["bundle.json", "weights.safetensors", "eval.json"] {
        assert_refused(without(name), &format!("'{name}': the bundle has no such member"));
    }
    let unpromised = with_document(|document| {
        document["members"].as_object_mut().unwrap().remove("eval.json");
    });
    assert_refused(unpromised, "'eval.json': it does not belong in a bundle");
    assert_refused(zip(&[]), "this is no bundle");
    assert_refused(zip(&[("pipeline-config.json".into(), b"{}".to_vec())]), "a bundle of Raster Vision");
    let many = (0..101).map(|n| (n.to_string(), Vec::new())).collect::<Vec<_>>();
    assert_refused(zip(&many), "101 members of a zip file; at most 100 are read");
    let long = (0..100).map(|n| (format!("{n}{}", "x".repeat(700)), Vec::new())).collect::<Vec<_>>();
    assert_refused(zip(&long), "bytes of a zip file's directory; at most 65536 are read");
}

#[test]
fn changed_members_are_refused() {
    for (n, name) in [(1, "eval.json"), (2, "weights.safetensors")] {
        let mut changed = members();
        *changed[n].1.last_mut().unwrap() ^= 1;
        assert_refused(zip(&changed), &format!("'{name}': its SHA-256 is "));
        changed[n].1.push(0);
        let len = changed[n].1.len();
        let words = format!("'{name}': it has {len} bytes and should have {}", len - 1);
        assert_refused(zip(&changed), &words);
    }
    let mut bytes = bundle();
    let at = bytes.windows(6).position(|window| window == b"\"rgb\":").unwrap();
    bytes[at + 1] = b'R';
    assert_refused(bytes, "'bundle.json': its check sum is wrong");
}

#[test]
fn members_that_are_packed_or_too_long_are_refused() {
    for name in ["bundle.json", "eval.json", "weights.safetensors"] {
        let words = format!("'{name}': it is compressed or encrypted");
        assert_refused(with_entry(name, |entry| entry[FLAGS] = 1), &words);
        assert_refused(with_entry(name, |entry| entry[METHOD] = 8), &words);
        // A bomb: little that says it becomes much.
        assert_refused(with_entry(name, |entry| entry[LEN + 3] = 0x7f), &words);
        let far = with_entry(name, |entry| (entry[LEN - 1], entry[LEN + 3]) = (0x7f, 0x7f));
        assert_refused(far, &format!("'{name}': a zip member that goes on behind the end"));
    }
    let mut long = members();
    long[0].1 = vec![b' '; (1 << 20) + 1];
    assert_refused(zip(&long), "'bundle.json': its 1048577 bytes are more than the 1048576 that are read");
}

#[test]
fn members_that_share_bytes_are_refused() {
    // The weights' header, of 49 bytes, comes after the scores: 100 bytes more of those reach into the weights.
    let longer = |entry: &mut [u8]| {
        let len = u32::from_le_bytes(entry[LEN..LEN + 4].try_into().unwrap()) + 100;
        entry[LEN..LEN + 4].copy_from_slice(&len.to_le_bytes());
        entry[LEN - 4..LEN].copy_from_slice(&len.to_le_bytes());
    };
    assert_refused(with_entry("eval.json", longer), "'weights.safetensors': it shares bytes");
    let elsewhere = with_entry("eval.json", |entry| entry[HEADER_AT..HEADER_AT + 4].fill(0));
    assert_refused(elsewhere, "'eval.json': a zip member of another name than the directory says");
}

#[test]
fn other_versions_say_which_program_is_needed() {
    let newer = with_document(|document| {
        document["version"] = "2".into();
        document["program"] = "3.1.0".into();
        document["new"] = "key".into();
    });
    assert_refused(
        newer,
        "'bundle.json': version 2 of the format, written by swath 3.1.0; this program reads version 1: \
         use swath 3.1.0 or later",
    );
}

#[test]
fn documents_that_do_not_fit_are_refused() {
    type Case = (&'static dyn Fn(&mut serde_json::Value), &'static str);
    let cases: [Case; 7] = [
        (&|d| d["new"] = 1.into(), "unknown field `new`"),
        (&|d| d["model"]["architecture"] = "vgg".into(), "unknown variant `vgg`, expected one of"),
        (&|d| d["model"]["classes"][0]["rgb"] = "red".into(), "invalid type: string \"red\""),
        (&|d| d["model"]["null_class"] = 7.into(), "null_class = 7: must be one of 2 classes"),
        (&|d| d["members"]["more"] = 1.into(), "unknown field `more`"),
        (&|d| drop(d.as_object_mut().unwrap().remove("program")), "missing field `program`"),
        (&|d| drop(d.as_object_mut().unwrap().remove("model")), "missing field `model`"),
    ];
    for (change, words) in cases {
        let error = refusal(with_document(change));
        assert!(error.starts_with("here/bundle.zip: 'bundle.json': ") && error.contains(words), "{error}");
    }
    let mut deep = members();
    deep[0].1 = b"[".repeat(100_000);
    assert_refused(zip(&deep), "'bundle.json': ");
}

#[test]
fn what_is_cut_off_or_no_zip_is_refused() {
    let whole = bundle();
    for len in 0..whole.len() {
        let words = if len < 4 { "this is no bundle" } else { "a zip file without its end" };
        assert_refused(whole[..len].to_vec(), words);
    }
    assert_refused(b"II*\0 a picture".to_vec(), "this is no bundle");
    let missing = Bundle::open("/nowhere/bundle.zip").unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/bundle.zip: it can't be opened: "), "{missing}");
    assert!(Bundle::open("/").unwrap_err().to_string().contains("/: this is no file"));
}

/// Whatever comes of it: no panic, and what opens all the same is what was made.
#[test]
fn no_mutation_panics_or_passes_for_another_bundle() {
    let good = bundle();
    let whole = Bundle::from_bytes("good", good.clone()).unwrap();
    let mut opened = 0;
    for seed in 0..MUTATIONS {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..=3) {
            // Half of them in the directory, which is most of what there is to go wrong.
            let from = if rng.random() { entry(&good, "bundle.json") } else { 0 };
            let at = rng.random_range(from.min(bytes.len() - 1)..bytes.len());
            let n = rng.random_range(1..=8.min(bytes.len() - at));
            match rng.random_range(0..8) {
                0..3 => bytes[at] ^= 1 << rng.random_range(0..8),
                3 => bytes[at] = rng.random(),
                4 => bytes[at..at + n].fill([0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)]),
                5 => drop(bytes.drain(at..at + n)),
                6 => drop(bytes.splice(at..at, good[at.min(good.len() - n)..][..n.min(good.len())].to_vec())),
                _ => bytes.truncate(at + 1),
            }
        }
        swath_bundle::fuzz(&bytes);
        if let Ok(bundle) = Bundle::from_bytes("mutated", bytes) {
            opened += 1;
            assert_eq!((bundle.program(), bundle.model()), (whole.program(), whole.model()), "{seed}");
            assert_eq!((bundle.eval(), bundle.weights_sha256()), (whole.eval(), whole.weights_sha256()));
        }
    }
    assert!(opened > 0, "nothing but times and modes is free, but they are");
}

#[test]
fn weights_of_a_file_that_has_changed_since_it_was_opened_are_not_given() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made::bundle()).unwrap();
    let bundle = Bundle::open(file.path()).unwrap();
    let whole = bundle.weights_file().unwrap();
    let mut changed = made::bundle();
    let at = changed.windows(whole.len()).position(|part| part == whole).unwrap();
    changed[at + whole.len() - 1] ^= 1;
    std::fs::write(file.path(), changed).unwrap();
    let error = bundle.weights_file().unwrap_err().to_string();
    assert!(error.contains("weights.safetensors") && error.contains("SHA-256"), "{error}");
    file.as_file().set_len(100).unwrap();
    let error = bundle.weights_file().unwrap_err().to_string();
    assert!(error.contains("it can't be read"), "{error}");
}
