//! How much a file may ask for. Each is an order of magnitude above what models have.

use swath_zip::Limits;

/// A state dict of 65 536 tensors pickles to 10 MB.
pub(crate) const MAX_PICKLE_LEN: u64 = 16 << 20;
/// Instructions of a pickle; some 45 make a tensor.
pub(crate) const MAX_STEPS: usize = 4 << 20;
/// Values a pickle keeps to say again.
pub(crate) const MAX_MEMO: usize = 1 << 20;
/// Values at hand at a time: `torch.save` writes dicts in batches of a thousand.
pub(crate) const MAX_STACK: usize = 1 << 16;
pub(crate) const MAX_TENSORS: usize = 1 << 16;
/// How deep dicts lie within dicts.
pub(crate) const MAX_DEPTH: usize = 16;
pub(crate) const MAX_RANK: usize = 32;
pub(crate) const MAX_NAME_LEN: usize = 1024;
pub(crate) const ZIP: Limits = Limits { members: MAX_TENSORS as u64 + 1024, directory_len: 16 << 20 };
pub(crate) const MAX_SAFETENSORS_HEADER_LEN: u64 = 16 << 20;
/// All tensors of a file together, in lengths of the file: tensors may share a storage, as tied weights
/// do, but a file that names one storage a thousand times is not weights.
pub(crate) const MAX_SHARING: u64 = 4;
/// What is read for all tensors, in lengths of the file: a tensor with strides lies scattered in what it
/// shares with others.
pub(crate) const MAX_SPANS: u64 = 64;
