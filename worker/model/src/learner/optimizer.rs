//! Adam, AdamW and SGD with momentum: PyTorch's own, with the moments in our hands, since they are written down with
//! the weights.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use swath_proto::train::Optimizer as Kind;
use tch::{TchError, Tensor};

use crate::{cpp::said, error::Result};

/// PyTorch's defaults.
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;
/// What everybody takes.
const MOMENTUM: f64 = 0.9;

pub(super) struct Optimizer {
    kind: Kind,
    weight_decay: f64,
    /// What is remembered of each parameter's gradients, in the order of parameters: see [`names`].
    pub(super) moments: Vec<Vec<Tensor>>,
    pub(super) n_updates: u64,
    /// What the names of the encoder's parameters begin with.
    encoder: Option<&'static str>,
    /// Updates in which the encoder stayed as it was.
    pub(super) n_frozen: u64,
}

/// What moments are called where they are written down: Adam's are running means of the gradient and of its square,
/// SGD has its momentum alone.
pub(super) const fn names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Adam | Kind::Adamw => &["first", "second"],
        Kind::Sgd => &["first"],
    }
}

impl Optimizer {
    pub(super) fn new(
        kind: Kind,
        weight_decay: f64,
        parameters: &[(String, Tensor)],
        encoder: Option<&'static str>,
    ) -> Result<Self> {
        let zeros = |tensor: &Tensor| tch::no_grad(|| tensor.f_zeros_like());
        let of = |tensor: &Tensor| names(kind).iter().map(|_| Ok(zeros(tensor)?)).collect();
        let moments = parameters.iter().map(|(_, tensor)| of(tensor)).collect::<Result<_>>()?;
        Ok(Self { kind, weight_decay, moments, n_updates: 0, encoder, n_frozen: 0 })
    }

    /// By the gradients of the parameters; those that have none, since they are frozen, stay. To be called where
    /// gradients are not tracked.
    pub(super) fn update(&mut self, parameters: &mut [(String, Tensor)], rate: f64) -> Result<()> {
        self.n_updates += 1;
        self.n_frozen += u64::from(parameters.iter().any(|(_, parameter)| !parameter.requires_grad()));
        // Adam goes by how many updates its means are of.
        let (of_all, of_encoder) = (self.n_updates as f64, (self.n_updates - self.n_frozen) as f64);
        let encoder = self.encoder;
        let all: Vec<WithMoments> = parameters
            .iter_mut()
            .zip(&mut self.moments)
            .filter(|((_, parameter), _)| parameter.requires_grad())
            .map(|((name, parameter), moments)| {
                let is_encoders = encoder.is_some_and(|encoder| name.starts_with(encoder));
                let mut moments = moments.iter_mut().map(|moment| moment.as_mut_ptr().cast());
                WithMoments {
                    parameter: parameter.as_mut_ptr().cast(),
                    first: moments.next().unwrap_or(ptr::null_mut()),
                    second: moments.next().unwrap_or(ptr::null_mut()),
                    n_updates: if is_encoders { of_encoder } else { of_all },
                }
            })
            .collect();
        let numbers = Numbers {
            rate,
            momentum: MOMENTUM,
            betas: BETAS,
            weight_decay: self.weight_decay,
            epsilon: EPSILON,
        };
        let kind = match self.kind {
            Kind::Adam => 0,
            Kind::Adamw => 1,
            Kind::Sgd => 2,
        };
        // SAFETY: all are tensors that live as long as the call, none of them twice, and as many moments as this kind
        // has; the other side writes at most the room that it is given, and throws nothing.
        said(|why, room| unsafe { swath_learner_update(kind, all.as_ptr(), all.len(), &numbers, why, room) })
            // From the engine's own words, what is short is known.
            .map_err(|why| TchError::Torch(format!("a step of the optimizer: {why}")).into())
    }
}

/// Before the next gradients are computed.
pub(super) fn forget_gradients(parameters: &mut [(String, Tensor)]) {
    for (_, parameter) in parameters {
        // SAFETY: it is a tensor, and nobody else holds its gradient meanwhile.
        unsafe { swath_learner_forget_gradient(parameter.as_mut_ptr().cast()) };
    }
}

/// A parameter and its moments, null where there is none, as optimizer.cpp takes them.
#[repr(C)]
struct WithMoments {
    parameter: *mut c_void,
    first: *mut c_void,
    second: *mut c_void,
    n_updates: f64,
}

#[repr(C)]
struct Numbers {
    rate: f64,
    momentum: f64,
    betas: [f64; 2],
    weight_decay: f64,
    epsilon: f64,
}

unsafe extern "C" {
    fn swath_learner_update(
        kind: i32,
        all: *const WithMoments,
        n: usize,
        numbers: &Numbers,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    fn swath_learner_forget_gradient(parameter: *mut c_void);
}
