//! 3 x 3 convolutions on processors with a quarter of the products (kernel.hpp): on those, PyTorch's own kernels do as many
//! a second as there are to be had.

use std::{cell::OnceCell, ffi::c_char, ffi::c_void, ptr};

use tch::Tensor;

use crate::{cpp::said, error::Result};

/// What was made of a weight that does not change, when it was first multiplied.
#[derive(Default)]
pub(crate) struct Kept(OnceCell<Tensor>);

/// A convolution of stride 1 with as much padding as its pixels are apart.
pub(crate) struct Plain<'a> {
    pub(crate) weight: &'a Tensor,
    pub(crate) bias: Option<&'a Tensor>,
    pub(crate) dilation: i64,
    pub(crate) relu: bool,
}

/// `None` where it would gain nothing, or these are not what it takes.
pub(crate) fn conv(input: &Tensor, plain: &Plain<'_>, kept: Option<&Kept>) -> Result<Option<Tensor>> {
    let Plain { weight, bias, dilation, relu } = *plain;
    let before = kept.and_then(|kept| kept.0.get());
    let mut packed = before.map_or(ptr::null_mut(), |tensor| tensor.as_ptr().cast_mut().cast::<c_void>());
    let mut output = ptr::null_mut();
    // SAFETY: they are tensors that live as long as the call; the other side fills in new ones where there are none yet, and
    // throws nothing.
    said(|why, room| unsafe {
        swath_winograd_conv(
            input.as_ptr().cast(),
            weight.as_ptr().cast(),
            bias.map_or(ptr::null(), |bias| bias.as_ptr().cast()),
            dilation,
            relu,
            kept.map_or(ptr::null_mut(), |_| &raw mut packed),
            &raw mut output,
            why,
            room,
        )
    })
    .map_err(|why| tch::TchError::Torch(format!("a convolution: {why}")))?;
    if let (Some(kept), None, false) = (kept, before, packed.is_null()) {
        // SAFETY: a tensor that nobody else has.
        let _: std::result::Result<(), Tensor> = kept.0.set(unsafe { Tensor::from_ptr(packed.cast()) });
    }
    // SAFETY: a tensor that nobody else has.
    Ok((!output.is_null()).then(|| unsafe { Tensor::from_ptr(output.cast()) }))
}

unsafe extern "C" {
    fn swath_winograd_conv(
        input: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        dilation: i64,
        relu: bool,
        kept: *mut *mut c_void,
        output: *mut *mut c_void,
        why: *mut c_char,
        room: usize,
    ) -> usize;
}

#[cfg(test)]
mod tests;
