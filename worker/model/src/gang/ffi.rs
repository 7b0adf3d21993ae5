//! What gang.cpp gives.

use std::{
    ffi::{CString, c_char, c_void},
    marker::{PhantomData, PhantomPinned},
};

use tch::Tensor;

use crate::error::{ModelError, Result};

macro_rules! theirs {
    ($($name:ident),*) => {$(
        /// Seen by pointer alone.
        #[repr(C)]
        pub(super) struct $name {
            _theirs: [u8; 0],
            _marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}

theirs!(Store, Gang, Sum, Reducer);

/// What the plugin makes a group of NCCL with: given to `swath_gang_meet` alone, which knows what it takes.
pub(super) type NcclGroup = unsafe extern "C" fn();

pub(super) type OfTensors =
    unsafe extern "C" fn(*const Gang, *const *mut c_void, usize, *mut c_char, usize) -> usize;

unsafe extern "C" {
    pub(super) fn swath_gang_store(
        host: *const c_char,
        port: u16,
        listener: i32,
        timeout_ms: i64,
        store: &mut *mut Store,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_store_close(store: *mut Store);
    pub(super) fn swath_gang_version() -> *const c_char;
    pub(super) fn swath_gang_hear_first(
        store: *const Store,
        rank: u32,
        attempt: *const c_char,
        own: *const c_char,
        take: unsafe extern "C" fn(*mut c_void, *const u8, usize),
        taker: *mut c_void,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_meet(
        store: *const Store,
        rank: u32,
        size: u32,
        address: *const c_char,
        attempt: *const c_char,
        is_here: bool,
        card: i32,
        nccl: Option<NcclGroup>,
        timeout_ms: i64,
        gang: &mut *mut Gang,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_leave(gang: *mut Gang);
    pub(super) fn swath_gang_begin_sum(
        gang: *const Gang,
        numbers: *const f64,
        n: usize,
        sum: &mut *mut Sum,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_end_sum(
        sum: *mut Sum,
        numbers: *mut f64,
        n: usize,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_hand_out(
        gang: *const Gang,
        tensors: *const *mut c_void,
        n: usize,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_average(
        gang: *const Gang,
        tensors: *const *mut c_void,
        n: usize,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_tell(
        gang: *const Gang,
        name: *const c_char,
        words: *const u8,
        n: usize,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_hear(
        gang: *const Gang,
        name: *const c_char,
        take: unsafe extern "C" fn(*mut c_void, *const u8, usize),
        taker: *mut c_void,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_norm(
        gang: *const Gang,
        input: *const c_void,
        gamma: *const c_void,
        beta: *const c_void,
        running_mean: *const c_void,
        running_variance: *const c_void,
        momentum: f64,
        epsilon: f64,
        output: &mut *mut c_void,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_reducer(
        gang: *const Gang,
        parameters: *const *mut c_void,
        n: usize,
        reducer: &mut *mut Reducer,
        why: *mut c_char,
        room: usize,
    ) -> usize;
    pub(super) fn swath_gang_reducer_end(reducer: *mut Reducer);
    pub(super) fn swath_gang_before_forward(reducer: *mut Reducer, why: *mut c_char, room: usize) -> usize;
    pub(super) fn swath_gang_before_backward(reducer: *mut Reducer, why: *mut c_char, room: usize) -> usize;
    pub(super) fn swath_gang_overlap(reducer: *const Reducer, summing_s: &mut f64, exposed_s: &mut f64);
}

/// Takes bytes into a `Vec<u8>`.
pub(super) unsafe extern "C" fn take(taker: *mut c_void, bytes: *const u8, n: usize) {
    if n == 0 {
        return;
    }
    // SAFETY: the caller hands back the `Vec` that it was given, and so many bytes.
    unsafe { (*taker.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, n)) };
}

pub(super) fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| ModelError::config(format!("{text:?} has a zero byte")))
}

pub(super) fn pointers(tensors: &[&Tensor]) -> Vec<*mut c_void> {
    tensors.iter().map(|tensor| tensor.as_ptr().cast_mut().cast()).collect()
}
