//! What the allowed functions do with their arguments.

use super::{
    global::Global,
    value::{Container, Heap, Tensor, Value},
};
use crate::{
    error::{Result, malformed},
    view::Layout,
};

/// `function(*args)`.
pub(super) fn call<'a>(heap: &mut Heap<'a>, function: Value<'a>, args: Value<'a>) -> Result<Value<'a>> {
    let (Value::Global(function), Some(given)) = (function, heap.tuple(args)) else {
        return malformed("a call of what is no function");
    };
    match (function, given) {
        (Global::OrderedDict, []) => Ok(heap.add(Container::Dict(Vec::new()))),
        (Global::OrderedDict, &[pairs]) => ordered_dict(heap, pairs),
        (Global::RebuildTensor, &[storage, offset, size, stride])
        | (
            Global::RebuildTensorV2,
            &[storage, offset, size, stride, _, _] | &[storage, offset, size, stride, _, _, _],
        ) => tensor(heap, storage, offset, size, stride),
        (Global::RebuildParameter, &[tensor @ Value::Tensor(_), _, _]) => Ok(tensor),
        (Global::Size, &[size]) if heap.tuple(size).is_some() => Ok(size),
        _ => malformed(format!("{function:?} is called with {} arguments that don't fit", given.len())),
    }
}

/// Python 2 gives the pairs at once.
fn ordered_dict<'a>(heap: &mut Heap<'a>, pairs: Value<'a>) -> Result<Value<'a>> {
    let pair = |&pair: &Value<'a>| match heap.items(pair) {
        Some(&[key, value]) => Some((key, value)),
        _ => None,
    };
    match heap.items(pairs).and_then(|pairs| pairs.iter().map(pair).collect()) {
        Some(entries) => Ok(heap.add(Container::Dict(entries))),
        None => malformed("an OrderedDict of what are no pairs"),
    }
}

fn tensor<'a>(
    heap: &mut Heap<'a>,
    storage: Value<'a>,
    offset: Value<'a>,
    size: Value<'a>,
    stride: Value<'a>,
) -> Result<Value<'a>> {
    let (Value::Storage(storage), Some(offset), Some(size), Some(stride)) =
        (storage, count(offset), counts(heap, size), counts(heap, stride))
    else {
        return malformed("a tensor whose storage, offset, size or stride is of another kind");
    };
    let Some(len) = heap.storages().get(storage).map(|storage| storage.len) else {
        return malformed("a tensor without a storage");
    };
    heap.add_tensor(Tensor { storage, layout: Layout::check(size, stride, offset, len)? })
}

/// `('storage', class, key, location, number of elements[, None])`.
pub(super) fn persistent<'a>(heap: &mut Heap<'a>, id: Value<'a>) -> Result<Value<'a>> {
    let found = match heap.tuple(id) {
        Some(&[Value::Str("storage"), Value::Global(Global::Storage(dtype)), Value::Str(key), _, len])
        | Some(
            &[
                Value::Str("storage"),
                Value::Global(Global::Storage(dtype)),
                Value::Str(key),
                _,
                len,
                Value::None,
            ],
        ) => count(len).map(|len| (key, dtype, len)),
        _ => None,
    };
    match found {
        Some((key, dtype, len)) => heap.add_storage(key, dtype, len),
        None => malformed("a storage that is not described as torch.save does"),
    }
}

fn count(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(n).ok(),
        _ => None,
    }
}

fn counts(heap: &Heap<'_>, value: Value<'_>) -> Option<Vec<u64>> {
    heap.tuple(value)?.iter().copied().map(count).collect()
}
