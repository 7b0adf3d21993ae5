//! Tensors by name: from a safetensors file, every one checked, or drawn from a seed.

use std::{collections::BTreeSet, path::Path};

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};
use tch::Tensor;

use crate::error::{ModelError, Result};

/// Where a network takes its tensors from.
pub(crate) trait Weights {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor>;
    /// Called at the end: nothing may be left over.
    fn finish(&mut self) -> Result<()>;
}

/// Weights from a seed: the same on every machine, since nothing but integers decides them.
pub(crate) struct Seeded {
    pub(crate) seed: u64,
}

impl Weights for Seeded {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let n = shape.iter().product::<i64>() as usize;
        let values = match name.rsplit('.').next() {
            Some("running_var") => vec![1.0; n],
            Some("running_mean") => vec![0.0; n],
            // A batch norm's scale is one number a channel; a convolution has four dimensions.
            Some("weight") if shape.len() == 1 => vec![1.0; n],
            Some("bias") => vec![0.0; n],
            _ => {
                let fan_in = shape[1..].iter().product::<i64>().max(1) as f32;
                let scale = (2.0 / fan_in).sqrt();
                let mut stream = Stream::new(self.seed, name);
                (0..n).map(|_| stream.normal() * scale).collect()
            }
        };
        tensor(&values, shape)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Numbers that depend on a seed and a name alone.
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let hash = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, in steps that a float holds exactly.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Nearly normal, with variance 1: a sum of twelve, since it needs no transcendental function.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

/// A safetensors file.
pub(crate) struct File {
    name: String,
    bytes: Vec<u8>,
    unused: BTreeSet<String>,
}

impl File {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|error| ModelError::config(format!("reading {name}: {error}")))?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| ModelError::config(format!("{name} is not a safetensors file: {error}")))?;
        let mut unused: BTreeSet<String> = tensors.names().into_iter().map(str::to_owned).collect();
        // PyTorch counts batches beside every batch norm; nothing computes with it.
        unused.retain(|name| !name.ends_with("num_batches_tracked"));
        Ok(Self { name, bytes, unused })
    }

    fn nearest(&self, name: &str) -> String {
        let common = |other: &&String| {
            let ahead = other.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
            let behind = other.chars().rev().zip(name.chars().rev()).take_while(|(a, b)| a == b).count();
            ahead + behind
        };
        self.unused
            .iter()
            .max_by_key(common)
            .map_or_else(String::new, |near| format!("; the nearest is '{near}'"))
    }
}

impl Weights for File {
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let bad = |text: String| ModelError::config(format!("{}: tensor '{name}' {text}", self.name));
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|error| bad(error.to_string()))?;
        let found = tensors.tensor(name).map_err(|_| bad(format!("is missing{}", self.nearest(name))))?;
        let found_shape: Vec<i64> = found.shape().iter().map(|n| *n as i64).collect();
        if found_shape != shape {
            return Err(bad(format!("has shape {found_shape:?} where {shape:?} belongs")));
        }
        if found.dtype() != Dtype::F32 {
            return Err(bad(format!("is of type {:?} where F32 belongs", found.dtype())));
        }
        let values: Vec<f32> =
            found.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(bad(format!("is {} at element {at}: these weights are broken", values[at])));
        }
        self.unused.remove(name);
        tensor(&values, shape)
    }

    fn finish(&mut self) -> Result<()> {
        match self.unused.first() {
            None => Ok(()),
            Some(extra) => Err(ModelError::config(format!(
                "{}: tensor '{extra}' has no place in this architecture ({} have none)",
                self.name,
                self.unused.len()
            ))),
        }
    }
}

fn tensor(values: &[f32], shape: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?)
}
