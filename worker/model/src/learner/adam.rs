//! Adam and AdamW: PyTorch's own, with the moments in our hands, since they are written down with the weights.

use std::ffi::{c_char, c_void};

use swath_proto::train::Optimizer;
use tch::{TchError, Tensor};

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

    /// By the gradients of the parameters. To be called where gradients are not tracked.
    pub(super) fn update(&mut self, parameters: &mut [(String, Tensor)], rate: f64) -> Result<()> {
        self.n_updates += 1;
        let all: Vec<WithMoments> = parameters
            .iter_mut()
            .zip(&mut self.moments)
            .map(|((_, parameter), [first, second])| WithMoments {
                parameter: parameter.as_mut_ptr().cast(),
                first: first.as_mut_ptr().cast(),
                second: second.as_mut_ptr().cast(),
            })
            .collect();
        let numbers = Numbers {
            rate,
            betas: BETAS,
            weight_decay: self.weight_decay,
            epsilon: EPSILON,
            n_updates: self.n_updates as f64,
        };
        let mut why = vec![0_u8; 1024];
        let decoupled = self.kind == Optimizer::Adamw;
        // SAFETY: all are tensors that live as long as the call, none of them twice; the other side writes at most
        // the room that it is given, and throws nothing.
        let length = unsafe {
            let room = (why.as_mut_ptr().cast(), why.len());
            swath_learner_update(decoupled, all.as_ptr(), all.len(), &numbers, room.0, room.1)
        };
        if length == 0 {
            return Ok(());
        }
        why.truncate(length);
        // The engine's own words, from which what is short is known.
        Err(TchError::Torch(format!("a step of Adam: {}", String::from_utf8_lossy(&why))).into())
    }
}

/// Before the next gradients are computed.
pub(super) fn forget_gradients(parameters: &mut [(String, Tensor)]) {
    for (_, parameter) in parameters {
        // SAFETY: it is a tensor, and nobody else holds its gradient meanwhile.
        unsafe { swath_learner_forget_gradient(parameter.as_mut_ptr().cast()) };
    }
}

/// A parameter and its moments, as adam.cpp takes them.
#[repr(C)]
struct WithMoments {
    parameter: *mut c_void,
    first: *mut c_void,
    second: *mut c_void,
}

#[repr(C)]
struct Numbers {
    rate: f64,
    betas: [f64; 2],
    weight_decay: f64,
    epsilon: f64,
    n_updates: f64,
}

unsafe extern "C" {
    fn swath_learner_update(
        decoupled: bool,
        all: *const WithMoments,
        n: usize,
        numbers: &Numbers,
        out: *mut c_char,
        room: usize,
    ) -> usize;
    fn swath_learner_forget_gradient(parameter: *mut c_void);
}
