//! Backbones that torchvision publishes. A file's name ends in the first eight hex digits of its SHA-256.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use swath_zip::Source;

use crate::error::{Located, Problem, WeightsError};

/// Where torchvision fetches from.
pub const MIRROR: &str = "https://download.pytorch.org/models/";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub model: &'static str,
    /// As torchvision calls them.
    pub weights: &'static str,
    pub file: &'static str,
}

/// From `torchvision/models/resnet.py` and `segmentation/deeplabv3.py`.
pub const PUBLISHED: [Published; 8] = [
    of("resnet18", "IMAGENET1K_V1", "resnet18-f37072fd.pth"),
    of("resnet34", "IMAGENET1K_V1", "resnet34-b627a593.pth"),
    of("resnet50", "IMAGENET1K_V1", "resnet50-0676ba61.pth"),
    of("resnet50", "IMAGENET1K_V2", "resnet50-11ad3fa6.pth"),
    of("resnet101", "IMAGENET1K_V1", "resnet101-63fe2227.pth"),
    of("resnet101", "IMAGENET1K_V2", "resnet101-cd907fc2.pth"),
    of("deeplabv3_resnet50", "COCO_WITH_VOC_LABELS_V1", "deeplabv3_resnet50_coco-cd0a2569.pth"),
    of("deeplabv3_resnet101", "COCO_WITH_VOC_LABELS_V1", "deeplabv3_resnet101_coco-586e9e4e.pth"),
];

const fn of(model: &'static str, weights: &'static str, file: &'static str) -> Published {
    Published { model, weights, file }
}

pub fn find(model: &str, weights: &str) -> Option<&'static Published> {
    PUBLISHED.iter().find(|published| published.model == model && published.weights == weights)
}

impl Published {
    /// On a mirror such as [`MIRROR`].
    pub fn url(&self, mirror: &str) -> String {
        format!("{}/{}", mirror.trim_end_matches('/'), self.file)
    }

    /// Whether a file is the published one; gives its whole SHA-256.
    pub fn verify(&self, path: impl AsRef<Path>) -> Result<String, WeightsError> {
        let path = path.as_ref();
        let checked = Source::open(path).map_err(Problem::from).and_then(|source| {
            let no_hash = || Problem::Unsupported(format!("the name {} holds no hash", self.file));
            let wanted = sha256_prefix(self.file).ok_or_else(no_hash)?;
            let found = sha256(&source)?;
            match found.starts_with(wanted) {
                true => Ok(found),
                false => Err(Problem::Hash { wanted: wanted.into(), found }),
            }
        });
        checked.map_err(|problem| Located::from(problem).in_file(path))
    }
}

/// The hex digits before a file's ending and after its last dash.
pub fn sha256_prefix(file: &str) -> Option<&str> {
    let (_, prefix) = file.rsplit_once('.')?.0.rsplit_once('-')?;
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    (prefix.len() >= 8 && prefix.chars().all(is_hex)).then_some(prefix)
}

fn sha256(source: &Source) -> Result<String, Problem> {
    let mut hash = Sha256::new();
    source.for_each_piece(|piece| -> Result<(), Problem> {
        hash.update(piece);
        Ok(())
    })?;
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_file_names_its_hash() {
        for (n, published) in PUBLISHED.iter().enumerate() {
            assert_eq!(sha256_prefix(published.file).map(str::len), Some(8), "{published:?}");
            assert!(published.file.starts_with(published.model), "{published:?}");
            assert_eq!(find(published.model, published.weights), Some(&PUBLISHED[n]));
        }
        let url = "https://download.pytorch.org/models/resnet50-11ad3fa6.pth";
        assert_eq!(find("resnet50", "IMAGENET1K_V2").unwrap().url(MIRROR), url);
        assert_eq!(find("resnet18", "IMAGENET1K_V2"), None);
        for other in
            ["resnet18.pth", "resnet18-f37072f.pth", "resnet18-f37072fg.pth", "resnet18-f37072fd", ""]
        {
            assert_eq!(sha256_prefix(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_is_held_against_the_hash_in_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fetched");
        std::fs::write(&path, "abc").unwrap();
        let abc = of("abc", "", "abc-ba7816bf.pth");
        assert!(abc.verify(&path).unwrap().starts_with("ba7816bf8f01cfea"));
        std::fs::write(&path, "abd").unwrap();
        let error = abc.verify(&path).unwrap_err().to_string();
        assert!(error.contains("which does not begin with ba7816bf as its name says"), "{error}");
        assert!(abc.verify(folder.path().join("none")).is_err());
        let unnamed = of("abc", "", "abc.pth").verify(&path).unwrap_err().to_string();
        assert!(unnamed.contains("the name abc.pth holds no hash"), "{unnamed}");
    }
}
