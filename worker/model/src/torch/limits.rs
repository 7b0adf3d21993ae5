//! What a card does at most, to hold a forward pass against.

use std::time::Instant;

use swath_proto::item::Precision;
use tch::{Device, Kind, Tensor};

use super::Cuda;
use crate::{error::Result, network::Home};

/// Of the matrices that are multiplied.
const EDGE: i64 = 8192;
const COPIED_BYTES: i64 = 256 << 20;
const TIMES: u32 = 20;

#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Each with its addition.
    pub multiplications_per_s: f64,
    /// From pinned memory to the card.
    pub copied_bytes_per_s: f64,
}

pub fn rates(precision: Precision) -> Result<Rates> {
    let Home { device, kind, .. } = Cuda::home(precision)?;
    tch::no_grad(|| -> Result<Rates> {
        let matrix = || Tensor::f_rand([EDGE, EDGE], (kind, device));
        let (left, right) = (matrix()?, matrix()?);
        let multiply_s = seconds(|| Ok(left.f_matmul(&right)?))?;
        let pinned = Tensor::f_zeros([COPIED_BYTES], (Kind::Uint8, Device::Cpu))?.f_pin_memory(device)?;
        let copy_s = seconds(|| Ok(pinned.f_to_device_(device, Kind::Uint8, true, true)?))?;
        Ok(Rates {
            multiplications_per_s: (EDGE as f64).powi(3) / multiply_s,
            copied_bytes_per_s: COPIED_BYTES as f64 / copy_s,
        })
    })
}

/// What one of many takes, after one to warm up.
fn seconds(run: impl Fn() -> Result<Tensor>) -> Result<f64> {
    drop(run()?);
    tch::Cuda::synchronize(0);
    let started = Instant::now();
    for _ in 0..TIMES {
        drop(run()?);
    }
    tch::Cuda::synchronize(0);
    Ok(started.elapsed().as_secs_f64() / f64::from(TIMES))
}
