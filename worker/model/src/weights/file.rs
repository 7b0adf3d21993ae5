//! A file of weights, safetensors or PyTorch's: names, shapes and values are checked before anything
//! is computed.

use std::collections::BTreeSet;

use swath_proto::item::Architecture;
use swath_weights::TensorFile;

use super::{Weights, segmentation_models};
use crate::error::{ModelError, Result};

pub(crate) struct File {
    name: String,
    file: TensorFile,
    /// What it calls a tensor of ours.
    called: fn(&str) -> String,
    unused: BTreeSet<String>,
    used: BTreeSet<String>,
}

impl File {
    /// A whole network: under the names that it has here, or under those of segmentation-models-pytorch.
    pub(crate) fn of(architecture: Architecture, file: TensorFile) -> Result<Self> {
        let is_its = segmentation_models::is_its(file.names());
        let mut file = Self::new(file);
        if is_its {
            segmentation_models::check(architecture)
                .map_err(|why| ModelError::config(format!("{}: {why}", file.name)))?;
            file.called = segmentation_models::name;
        }
        Ok(file)
    }

    pub(crate) fn new(file: TensorFile) -> Self {
        let mut unused: BTreeSet<String> = file.names().map(str::to_owned).collect();
        // PyTorch counts batches beside every batch norm, and networks of torchvision and
        // segmentation-models-pytorch come with a second classifier: nothing here computes with them.
        let beside = ["aux_classifier.", "classification_head."];
        unused.retain(|name| {
            !name.ends_with("num_batches_tracked") && !beside.iter().any(|beside| name.starts_with(beside))
        });
        let name = file.path().display().to_string();
        Self { name, file, called: str::to_owned, unused, used: BTreeSet::new() }
    }

    /// Tensors of these names are not wanted.
    pub(crate) fn skip(&mut self, prefix: &str) {
        let prefix = (self.called)(prefix);
        self.unused.retain(|name| !name.starts_with(&prefix));
    }
}

impl Weights for File {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Vec<f32>> {
        let name = &(self.called)(name);
        let wrong = |text: String| ModelError::config(format!("{}: tensor '{name}' {text}", self.name));
        let Some(found) = self.file.info(name) else {
            return Err(wrong(format!("is missing{}", nearest(name, &self.unused))));
        };
        if !found.shape.iter().map(|n| *n as i64).eq(shape.iter().copied()) {
            return Err(wrong(format!("has shape {:?} where {shape:?} belongs", found.shape)));
        }
        let values = self.file.f32(name)?;
        self.unused.remove(name);
        self.used.insert(name.to_owned());
        Ok(values)
    }

    fn finish(&mut self) -> Result<()> {
        let Some(extra) = self.unused.first() else { return Ok(()) };
        let others = match self.unused.len() - 1 {
            0 => String::new(),
            n => format!(", nor have {n} others"),
        };
        Err(ModelError::config(format!(
            "{}: tensor '{extra}' has no place in this architecture{others}{}",
            self.name,
            nearest(extra, &self.used)
        )))
    }
}

/// Whichever shares the most characters at both ends.
fn nearest(name: &str, among: &BTreeSet<String>) -> String {
    let common = |other: &&String| {
        let ahead = other.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
        let behind = other.chars().rev().zip(name.chars().rev()).take_while(|(a, b)| a == b).count();
        ahead + behind
    };
    among.iter().max_by_key(common).map_or_else(String::new, |near| format!("; the nearest is '{near}'"))
}

#[cfg(test)]
mod tests {
    use safetensors::{Dtype, tensor::TensorView};

    use super::*;

    type Tensors = Vec<(&'static str, Vec<usize>, f32)>;

    fn good() -> Tensors {
        vec![("head.weight", vec![2, 8, 1, 1], 0.1), ("head.bias", vec![2], 0.1)]
    }

    /// A file of these tensors, and what taking the head from it says.
    fn take(tensors: Tensors) -> std::result::Result<(), String> {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, shape, value)| value.to_le_bytes().repeat(shape.iter().product()))
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        take_bytes(&safetensors::serialize(views, None).unwrap())
    }

    fn take_bytes(bytes: &[u8]) -> std::result::Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let all = || {
            let mut file = File::new(swath_weights::open(&path)?);
            let _head = (file.take("head.weight", &[2, 8, 1, 1])?, file.take("head.bias", &[2])?);
            file.finish()
        };
        all().map_err(|error| {
            assert_eq!(error.kind, crate::Kind::Config);
            error.to_string()
        })
    }

    fn with(at: usize, tensor: (&'static str, Vec<usize>, f32)) -> String {
        let mut tensors = good();
        tensors[at] = tensor;
        take(tensors).expect_err("it was taken")
    }

    #[test]
    fn weights_that_do_not_fit_are_named() {
        assert_eq!(take(good()), Ok(()));
        let misspelt = with(0, ("head.weights", vec![2, 8, 1, 1], 0.1));
        assert!(misspelt.contains("'head.weight' is missing; the nearest is 'head.weights'"), "{misspelt}");
        let misshaped = with(1, ("head.bias", vec![9], 0.1));
        assert!(misshaped.contains("'head.bias' has shape [9] where [2] belongs"), "{misshaped}");
        let broken = with(1, ("head.bias", vec![2], f32::NAN));
        assert!(broken.contains("'head.bias': element 0 is NaN: the weights are broken"), "{broken}");
    }

    #[test]
    fn a_tensor_without_a_place_is_named_with_the_nearest_that_has_one() {
        let mut extra = good();
        extra.push(("head.bias_2", vec![2], 0.1));
        let text = take(extra).expect_err("it was taken");
        assert!(text.contains("'head.bias_2' has no place in this architecture; the nearest is 'head.bias'"));
        let mut counted = good();
        counted.push(("norm.num_batches_tracked", vec![1], 1.0));
        assert_eq!(take(counted), Ok(()));
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        for bytes in [&b""[..], b"not at all", &u64::MAX.to_le_bytes(), b"\x02\0\0\0\0\0\0\0{}tail"] {
            let text = take_bytes(bytes).expect_err("it was taken");
            assert!(text.contains("w.safetensors: "), "{text}");
        }
    }

    #[test]
    fn half_precision_is_widened() {
        let [weight, bias] = [[0; 32].as_slice(), &[0; 4]];
        let views = [
            ("head.weight", TensorView::new(Dtype::F16, vec![2, 8, 1, 1], weight).unwrap()),
            ("head.bias", TensorView::new(Dtype::BF16, vec![2], bias).unwrap()),
        ];
        assert_eq!(take_bytes(&safetensors::serialize(views, None).unwrap()), Ok(()));
    }
}
