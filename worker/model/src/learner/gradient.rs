//! What becomes of the gradient before weights follow it: no longer than it may be, and of the size that it has where
//! losses were multiplied before they went backward.

use std::ffi::{c_char, c_void};

use tch::{TchError, Tensor};

use super::scale::Scale;
use crate::{
    cpp::said,
    error::{ModelError, Result},
    gang::Gang,
};

/// PyTorch's, against a norm of nothing.
const EPSILON: f64 = 1e-6;

/// Makes the gradient of all parameters together no longer than `clip`. `false` where 16 bits have made it no number:
/// nothing is to follow it.
pub(super) fn tame(
    parameters: &[&Tensor],
    clip: Option<f64>,
    scale: &mut Option<Scale>,
    gang: &Gang,
) -> Result<bool> {
    if clip.is_none() && scale.is_none() {
        return Ok(true);
    }
    let factor = scale.map_or(1.0, |scale| scale.factor);
    let norm = norm_of_all(parameters, gang)? / factor;
    if let Some(scale) = scale {
        if !norm.is_finite() {
            *scale = scale.fallen()?;
            return Ok(false);
        }
        *scale = scale.risen();
    } else if !norm.is_finite() {
        return Err(ModelError::data(format!(
            "the gradient is {norm}: lower the learning rate, or look for pixels that are no numbers"
        )));
    }
    let shorter = clip.map_or(1.0, |clip| (clip / (norm + EPSILON)).min(1.0));
    if shorter / factor != 1.0 {
        multiply(parameters, shorter / factor)?;
    }
    Ok(true)
}

/// The first rank's: the gradient is the same for all, but its norm may be rounded otherwise on another number of
/// threads.
fn norm_of_all(parameters: &[&Tensor], gang: &Gang) -> Result<f64> {
    let mut norm = [0.0];
    if gang.leads() {
        let all = pointers(parameters);
        // SAFETY: they are tensors that live as long as the call; the other side fills in one number, writes at most
        // the room that it is given, and throws nothing.
        said(|why, room| unsafe { swath_learner_norm(all.as_ptr(), all.len(), &mut norm[0], why, room) })
            .map_err(|why| TchError::Torch(format!("the norm of the gradient: {why}")))?;
    }
    gang.sum(&mut norm)?;
    Ok(norm[0])
}

fn multiply(parameters: &[&Tensor], factor: f64) -> Result<()> {
    let all = pointers(parameters);
    // SAFETY: as above.
    said(|why, room| unsafe { swath_learner_multiply(all.as_ptr(), all.len(), factor, why, room) })
        .map_err(|why| TchError::Torch(format!("shortening the gradient: {why}")).into())
}

fn pointers(parameters: &[&Tensor]) -> Vec<*const c_void> {
    parameters.iter().map(|parameter| parameter.as_ptr().cast()).collect()
}

unsafe extern "C" {
    fn swath_learner_norm(
        parameters: *const *const c_void,
        n: usize,
        norm: &mut f64,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    fn swath_learner_multiply(
        parameters: *const *const c_void,
        n: usize,
        factor: f64,
        why: *mut c_char,
        room: usize,
    ) -> usize;
}
