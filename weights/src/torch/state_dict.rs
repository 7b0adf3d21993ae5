//! Finds the dict of tensors in what was saved: checkpoints put it beside optimizers, epochs and
//! arguments, under names that have become customs.

use std::collections::BTreeMap;

use super::pickle::{Heap, Value};
use crate::{
    error::{Problem, Result, at_most, malformed, shown},
    limits::{MAX_DEPTH, MAX_NAME_LEN, MAX_STEPS, MAX_TENSORS},
};

/// Where a checkpoint may keep its state dict; the first that holds tensors is taken.
const CUSTOMS: [&str; 4] = ["state_dict", "model_state_dict", "model", "network"];
/// What lies beside it and holds tensors of its own.
const BESIDE: [&str; 7] = [
    "optimizer",
    "optimizer_state_dict",
    "optim",
    "scheduler",
    "lr_scheduler",
    "scheduler_state_dict",
    "scaler",
];
/// What `DataParallel` and `torch.compile` put before every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

type Tensors = BTreeMap<String, usize>;

/// Indices of the heap's tensors by name: dicts within dicts give dotted names.
pub(super) fn state_dict(heap: &Heap<'_>, root: Value<'_>) -> Result<Tensors> {
    let mut search = Search { heap, steps: 0 };
    let mut tensors = search.find(root, 0)?;
    if tensors.is_empty() {
        return Err(Problem::NoTensors);
    }
    let all_in = |tensors: &Tensors, wrapper: &str| tensors.keys().all(|name| name.starts_with(wrapper));
    while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| all_in(&tensors, wrapper)) {
        let unwrapped = |(name, tensor): (String, usize)| (name[wrapper.len()..].to_owned(), tensor);
        tensors = tensors.into_iter().map(unwrapped).collect();
    }
    Ok(tensors)
}

/// Dicts may be shared or hold themselves: what is looked at is counted.
struct Search<'h, 'a> {
    heap: &'h Heap<'a>,
    steps: usize,
}

impl Search<'_, '_> {
    fn find(&mut self, value: Value<'_>, depth: usize) -> Result<Tensors> {
        at_most(depth as u64, MAX_DEPTH as u64, "dicts within each other")?;
        for custom in CUSTOMS {
            let entries = self.heap.entries(value).unwrap_or(&[]);
            self.step(entries.len())?;
            let inner = entries.iter().find(|(key, _)| matches!(key, Value::Str(key) if *key == custom));
            if let Some(&(_, inner)) = inner {
                let found = self.find(inner, depth + 1)?;
                if !found.is_empty() {
                    return Ok(found);
                }
            }
        }
        let mut tensors = Tensors::new();
        self.flatten(value, "", depth, &mut tensors)?;
        Ok(tensors)
    }

    fn flatten(&mut self, value: Value<'_>, prefix: &str, depth: usize, into: &mut Tensors) -> Result<()> {
        at_most(depth as u64, MAX_DEPTH as u64, "dicts within each other")?;
        let entries = self.heap.entries(value).unwrap_or(&[]);
        self.step(entries.len())?;
        for &(key, value) in entries {
            let Value::Str(key) = key else { continue };
            let name = || -> Result<String> {
                at_most((prefix.len() + key.len()) as u64, MAX_NAME_LEN as u64, "bytes of a tensor's name")?;
                Ok(format!("{prefix}{key}"))
            };
            match value {
                Value::Tensor(tensor) => {
                    let name = name()?;
                    if into.contains_key(&name) {
                        return malformed(format!("two tensors named '{}'", shown(&name)));
                    }
                    into.insert(name, tensor);
                    at_most(into.len() as u64, MAX_TENSORS as u64, "tensors")?;
                }
                Value::Container(_) if self.heap.entries(value).is_some() && !BESIDE.contains(&key) => {
                    self.flatten(value, &(name()? + "."), depth + 1, into)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn step(&mut self, n: usize) -> Result<()> {
        self.steps += n + 1;
        at_most(self.steps as u64, MAX_STEPS as u64, "entries of dicts")
    }
}
