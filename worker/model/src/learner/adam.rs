//! Adam and AdamW, as PyTorch computes them; here, since tch keeps its own moments to itself.

use swath_proto::train::Optimizer;
use tch::Tensor;

use crate::error::Result;

/// PyTorch's defaults.
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

pub(super) struct Adam {
    kind: Optimizer,
    weight_decay: f64,
    /// Running means of the gradient and of its square, in the order of parameters.
    pub(super) moments: Vec<[Tensor; 2]>,
    pub(super) n_updates: u64,
}

impl Adam {
    pub(super) fn new(kind: Optimizer, weight_decay: f64, parameters: &[(String, Tensor)]) -> Result<Self> {
        let zeros = |tensor: &Tensor| tch::no_grad(|| tensor.f_zeros_like());
        let moments = parameters.iter().map(|(_, tensor)| Ok([zeros(tensor)?, zeros(tensor)?]));
        Ok(Self { kind, weight_decay, moments: moments.collect::<Result<_>>()?, n_updates: 0 })
    }

    /// To be called where gradients are not tracked.
    pub(super) fn update(&mut self, parameters: &mut [(String, Tensor)], rate: f64) -> Result<()> {
        self.n_updates += 1;
        let [first_correction, second_correction] = BETAS.map(|beta| 1.0 - beta.powf(self.n_updates as f64));
        for ((_, parameter), [first, second]) in parameters.iter_mut().zip(&mut self.moments) {
            let mut gradient = parameter.f_grad()?;
            match self.kind {
                _ if self.weight_decay == 0.0 => {}
                Optimizer::Adam => {
                    gradient = gradient.f_add(&parameter.f_mul_scalar(self.weight_decay)?)?;
                }
                Optimizer::Adamw => {
                    let _ = parameter.f_mul_scalar_(1.0 - rate * self.weight_decay)?;
                }
            }
            let _ = first.f_lerp_(&gradient, 1.0 - BETAS[0])?;
            let scaled = gradient.f_mul_scalar(1.0 - BETAS[1])?;
            let _ = second.f_mul_scalar_(BETAS[1])?.f_addcmul_(&scaled, &gradient)?;
            let deviation =
                second.f_sqrt()?.f_div_scalar_(second_correction.sqrt())?.f_add_scalar_(EPSILON)?;
            let step = first.f_mul_scalar(-rate / first_correction)?;
            let _ = parameter.f_addcdiv_(&step, &deviation)?;
        }
        Ok(())
    }
}
