//! Files of weights, and bundles. What check sums keep a fuzzer from is packed anew around its bytes.

use std::sync::LazyLock;

use swath_zip::{Limits, Source, Zip, ZipWriter};

use crate::{Target, files, repository, sample};

pub(crate) const WEIGHTS: Target =
    Target { name: "weights", run: weights, samples: weight_files, tokens: ZIP };
pub(crate) const PICKLE: Target = Target { name: "pickle", run: pickle, samples: pickles, tokens: OPCODES };
pub(crate) const BUNDLE: Target = Target {
    name: "bundle",
    run: bundle,
    samples: || vec![sample("bundle/samples/bundle-v1.zip")],
    tokens: ZIP,
};
pub(crate) const BUNDLE_JSON: Target = Target {
    name: "bundle_json",
    run: bundle_json,
    samples: || member(&sample("bundle/samples/bundle-v1.zip"), "bundle.json").into_iter().collect(),
    tokens: &[
        b"null", b"min_max", b"stats", b"cast", b"none", b"nodata", b"nan", b"reclass", b"from", b"into",
        b"1e308",
    ],
};

const ZIP: &[&[u8]] = &[
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
    b"\xff\xff\xff\xff",
    b"\xff\xff",
    b"\x01\x00\x08\x00",
    b"data.pkl",
    b"byteorder",
    b"little",
    b"weights.safetensors",
    b"eval.json",
    b"bundle.json",
    b"../",
    b"\x80\x02",
    b"dtype",
    b"shape",
    b"data_offsets",
    b"__metadata__",
    b"BF16",
    b"F64",
];

const OPCODES: &[&[u8]] = &[
    b"\x80\x02",
    b"\x80\x04\x95",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ccollections\nOrderedDict\n",
    b"ctorch\nFloatStorage\n",
    b"ctorch\nHalfStorage\n",
    b"storage",
    b"cpu",
    b")R",
    b"}(",
    b"tQ",
    b"\x8a\x09",
    b"\x8b\xff\xff\xff\x7f",
    b"\x8c",
    b"X\xff\xff\xff\xff",
    b"\x85\x81",
    b"(((((((((",
    b"h\x00",
    b"q\x00",
    b"r\x00\x00\x00\x80",
    b"u.",
    b"s.",
    b"I00\n",
    b"L9999999999999999999L\n",
];

const LIMITS: Limits = Limits { members: 1000, directory_len: 1 << 20 };

fn weight_files() -> Vec<Vec<u8>> {
    let all = files(&repository().join("weights/testdata"));
    // Beside the samples lie what they hold and what made them, in words.
    all.into_iter().filter(|file| !file.starts_with(b"{\n") && !file.starts_with(b"\"\"\"")).collect()
}

fn members(zip: &[u8]) -> Vec<(String, Vec<u8>)> {
    let source = Source::from(zip.to_vec());
    let Ok(zip) = Zip::open(&source, LIMITS) else { return Vec::new() };
    let body = |name: &str| Some((name.to_owned(), source.read(zip.range(name).ok()?).ok()?));
    zip.names().filter_map(body).collect()
}

fn member(zip: &[u8], name: &str) -> Option<Vec<u8>> {
    members(zip).into_iter().find(|(other, _)| other == name).map(|(_, body)| body)
}

fn zip_of<'a>(members: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Vec::new());
    for (name, body) in members {
        zip.member(name, &Source::from(body.to_vec())).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    zip.finish().unwrap_or_else(|error| panic!("{error}"))
}

fn weights(bytes: &[u8]) {
    swath_weights::fuzz(bytes);
}

fn bundle(bytes: &[u8]) {
    swath_bundle::fuzz(bytes);
}

type Members = Vec<(String, Vec<u8>)>;

/// Archives of PyTorch with their pickles.
static ARCHIVES: LazyLock<Vec<Members>> = LazyLock::new(|| {
    let has_pickle = |members: &Members| members.iter().any(|(name, _)| name.ends_with("/data.pkl"));
    weight_files().iter().map(|file| members(file)).filter(has_pickle).collect()
});

/// Which archive, and the pickle in it.
fn pickle(bytes: &[u8]) {
    let Some((&which, pickle)) = bytes.split_first() else { return };
    let archive = &ARCHIVES[usize::from(which) % ARCHIVES.len()];
    let body = |(name, body): &'static (String, Vec<u8>)| (name.as_str(), body.as_slice());
    let members = archive.iter().map(body);
    let changed = members.map(|(name, body)| (name, if name.ends_with("/data.pkl") { pickle } else { body }));
    swath_weights::fuzz(&zip_of(changed));
}

fn pickles() -> Vec<Vec<u8>> {
    let pickle = |(which, archive): (usize, &Members)| {
        let (_, pickle) = archive.iter().find(|(name, _)| name.ends_with("/data.pkl"))?;
        Some([&[which as u8], pickle.as_slice()].concat())
    };
    ARCHIVES.iter().enumerate().filter_map(pickle).collect()
}

/// The document, with right sums, beside the members of the sample.
fn bundle_json(bytes: &[u8]) {
    static SAMPLE: LazyLock<Members> = LazyLock::new(|| members(&sample("bundle/samples/bundle-v1.zip")));
    let body = |(name, body): &'static (String, Vec<u8>)| (name.as_str(), body.as_slice());
    let others = SAMPLE.iter().map(body).filter(|(name, _)| *name != "bundle.json");
    swath_bundle::fuzz(&zip_of([("bundle.json", bytes)].into_iter().chain(others)));
}
