//! What a pickle builds. Values are small and copied; what they point to lies on a heap, so that a value
//! may be in several places, as pickles have it, even within itself.

use std::collections::HashMap;

use super::global::Global;
use crate::{
    dtype::Dtype,
    error::{Result, at_most, malformed, shown},
    limits::MAX_TENSORS,
    view::Layout,
};

#[derive(Clone, Copy, Debug)]
pub(in crate::torch) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Str(&'a str),
    /// An index into the heap's containers.
    Container(usize),
    Storage(usize),
    Tensor(usize),
    Global(Global),
    /// What weights have no use for: floats, bytes, numbers beyond 64 bits.
    Other,
}

#[derive(Debug)]
pub(in crate::torch) enum Container<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
}

#[derive(Debug)]
pub(in crate::torch) struct Storage<'a> {
    pub(in crate::torch) key: &'a str,
    pub(in crate::torch) dtype: Dtype,
    /// Elements, as the pickle says.
    pub(in crate::torch) len: u64,
}

#[derive(Debug)]
pub(in crate::torch) struct Tensor {
    pub(in crate::torch) storage: usize,
    pub(in crate::torch) layout: Layout,
}

#[derive(Debug, Default)]
pub(in crate::torch) struct Heap<'a> {
    containers: Vec<Container<'a>>,
    storages: Vec<Storage<'a>>,
    storage_of_key: HashMap<&'a str, usize>,
    tensors: Vec<Tensor>,
}

impl<'a> Heap<'a> {
    pub(super) fn add(&mut self, container: Container<'a>) -> Value<'a> {
        self.containers.push(container);
        Value::Container(self.containers.len() - 1)
    }

    /// The storage of a key; what is said of it must always be the same.
    pub(super) fn add_storage(&mut self, key: &'a str, dtype: Dtype, len: u64) -> Result<Value<'a>> {
        let next = self.storages.len();
        let index = *self.storage_of_key.entry(key).or_insert(next);
        match self.storages.get(index) {
            Some(known) if (known.dtype, known.len) == (dtype, len) => {}
            Some(known) => {
                let of = |len, dtype: Dtype| format!("{len} {dtype}");
                return malformed(format!(
                    "storage '{}' has {} elements and {} elements",
                    shown(key),
                    of(known.len, known.dtype),
                    of(len, dtype)
                ));
            }
            None => self.storages.push(Storage { key, dtype, len }),
        }
        at_most(self.storages.len() as u64, MAX_TENSORS as u64, "storages")?;
        Ok(Value::Storage(index))
    }

    pub(super) fn add_tensor(&mut self, tensor: Tensor) -> Result<Value<'a>> {
        self.tensors.push(tensor);
        at_most(self.tensors.len() as u64, MAX_TENSORS as u64, "tensors")?;
        Ok(Value::Tensor(self.tensors.len() - 1))
    }

    pub(in crate::torch) fn container(&self, value: Value<'_>) -> Option<&Container<'a>> {
        match value {
            Value::Container(index) => self.containers.get(index),
            _ => None,
        }
    }

    pub(super) fn container_mut(&mut self, value: Value<'_>) -> Option<&mut Container<'a>> {
        match value {
            Value::Container(index) => self.containers.get_mut(index),
            _ => None,
        }
    }

    pub(in crate::torch) fn entries(&self, value: Value<'_>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.container(value) {
            Some(Container::Dict(entries)) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        match self.container(value) {
            Some(Container::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    pub(in crate::torch) fn items(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        match self.container(value) {
            Some(Container::Tuple(items) | Container::List(items)) => Some(items),
            _ => None,
        }
    }

    pub(in crate::torch) fn storages(&self) -> &[Storage<'a>] {
        &self.storages
    }

    pub(in crate::torch) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }
}
