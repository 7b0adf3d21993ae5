//! The pickle of a state dict, read by a machine that can build dicts, lists, tuples and tensors and
//! nothing else. A pickle is a program whose instructions name Python functions to call: this one knows
//! those that `torch.save` needs for tensors, and refuses any other by its name.

mod calls;
mod global;
mod machine;
#[cfg(test)]
mod tests;
mod value;

pub(super) use self::{
    machine::{Unpickled, unpickle},
    value::{Heap, Storage, Value},
};
