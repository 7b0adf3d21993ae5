//! State dicts by `torch.save`: the archive since PyTorch 1.6, and the stream before.

mod archive;
mod pickle;
mod state_dict;
mod stream;

use std::ops::Range;

pub(crate) use self::{
    archive::read as read_archive,
    stream::{is_magic as is_stream, read as read_stream},
};
use self::{
    pickle::{Storage, Unpickled},
    state_dict::state_dict,
};
use crate::{
    error::{Located, Problem, Result},
    view::View,
};

/// The views of a state dict. `locate` finds the bytes of a storage, as many as it says.
fn views<E: Into<Located>>(
    unpickled: &Unpickled<'_>,
    pickle: Option<&str>,
    locate: impl Fn(&Storage<'_>, u64) -> Result<Range<u64>, E>,
) -> Result<Vec<(String, View)>, Located> {
    let within = |problem: Problem| Located { member: pickle.map(str::to_owned), problem };
    let heap = &unpickled.heap;
    let mut views = Vec::new();
    for (name, tensor) in state_dict(heap, unpickled.root).map_err(within)? {
        let missing = || Problem::Malformed("a tensor without a storage".into()).within(&name);
        let tensor = heap.tensors().get(tensor).ok_or_else(missing)?;
        let storage = heap.storages().get(tensor.storage).ok_or_else(missing)?;
        let overflow = || Problem::Malformed("a storage too long to be".into()).within(&name);
        let n_bytes = storage.len.checked_mul(storage.dtype.size() as u64).ok_or_else(overflow)?;
        let range = locate(storage, n_bytes).map_err(Into::into)?;
        let view = View::new(storage.dtype, tensor.layout.clone(), range);
        let view = view.map_err(|problem| problem.within(&name))?;
        views.push((name, view));
    }
    Ok(views)
}
