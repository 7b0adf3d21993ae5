//! Readers of what comes from outside, each as a function of bytes that must neither panic, nor hang, nor
//! take much more memory than the bytes. What is read must also read back as it is written.
//!
//! `fuzz/libfuzzer` gives each to libFuzzer (`make fuzz`), `tests/mutations.rs` tries a few thousand
//! changes of the samples in every `make test`, and `cargo run -p swath-fuzz -- TARGET FILE` reads one
//! file again, what a fuzzer has found for instance. Such files stay in `regressions/`.

mod catalogues;
mod documents;
mod labels;
mod models;
mod pipeline;
mod raster_vision;
mod scenes;
mod shards;

use std::path::{Path, PathBuf};

/// A reader, and what it is tried on.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Frozen samples and the like.
    samples: fn() -> Vec<Vec<u8>>,
    /// What these files are made of and samples do not show.
    tokens: &'static [&'static [u8]],
}

pub const TARGETS: &[Target] = &[
    pipeline::PIPELINE,
    pipeline::LAYERS,
    documents::ENVELOPE,
    documents::RUN,
    documents::DOCUMENTS,
    catalogues::STAC,
    shards::INDEX,
    shards::CHIP,
    models::WEIGHTS,
    models::PICKLE,
    models::BUNDLE,
    models::BUNDLE_JSON,
    raster_vision::PIPELINE,
    raster_vision::BUNDLE,
    scenes::PACK,
    scenes::FRAGMENT,
    labels::GEOJSON,
    labels::FILTER,
    labels::POLYGONS,
];

/// A token longer than this is none.
const MAX_TOKEN_LEN: usize = 40;
const MAX_TOKENS: usize = 600;

impl Target {
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// What the reader takes, and what once broke it.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = (self.samples)();
        seeds.extend(files(&regressions().join(self.name)));
        seeds
    }

    /// The words of the samples: a fuzzer does not guess them.
    pub fn tokens(&self) -> Vec<Vec<u8>> {
        let mut tokens: Vec<Vec<u8>> = self.tokens.iter().map(|token| token.to_vec()).collect();
        for seed in (self.samples)() {
            let words = seed.split(|byte| !(byte.is_ascii_alphanumeric() || b"._-".contains(byte)));
            tokens.extend(words.filter(|word| (3..=MAX_TOKEN_LEN).contains(&word.len())).map(<[u8]>::to_vec));
        }
        let mut seen = std::collections::HashSet::new();
        tokens.retain(|token| seen.insert(token.clone()));
        tokens.truncate(MAX_TOKENS);
        tokens
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn regressions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// A file of the repository.
fn sample(path: &str) -> Vec<u8> {
    std::fs::read(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder by name; none where there is no folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}
